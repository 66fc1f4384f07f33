# SPDX-License-Identifier: GPL-3.0-or-later
"""Data sets in their publishers' layouts, in small: found, read in the label set's numbers, or
refused by name; samples drawn in seeded order."""

import numpy as np
import pytest
import torch
from PIL import Image

from ds2c2.errors import PictureError, UserError
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.training.datasets import (
    DataError,
    Sample,
    check_layout,
    check_samples,
    find_samples,
    pair_labels,
    read_label_map,
    values_table,
)
from ds2c2.training.samples import Fit, SampleStore, samples_ahead


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def picture_of(value, height=12, width=16):
    return np.full((height, width, 3), value, np.uint8)


def labels_of(*values, height=12, width=16):
    """Values one after the other over the pixels, again and again."""
    return np.resize(np.array(values, np.uint8), (height, width))


@pytest.fixture
def cityscapes(tmp_path):
    for city, name in (("aachen", "aachen_000000_000019"), ("ulm", "ulm_000003_000019")):
        write(tmp_path / f"leftImg8bit/train/{city}/{name}_leftImg8bit.png", picture_of(9))
        write(tmp_path / f"gtFine/train/{city}/{name}_gtFine_labelIds.png", labels_of(7, 0, 33, 34, 255))
        write(tmp_path / f"gtFine/train/{city}/{name}_gtFine_color.png", picture_of(1))
    return tmp_path


@pytest.fixture
def ade20k(tmp_path):
    for number in (1, 2, 3):
        name = f"ADE_train_0000000{number}"
        write(tmp_path / f"images/training/{name}.jpg", picture_of(9))
        write(tmp_path / f"annotations/training/{name}.png", labels_of(0, 1, 150, 255))
    return tmp_path


@pytest.fixture
def camvid(tmp_path):
    for number in range(4):
        write(tmp_path / f"train/0001TP_{number}.png", picture_of(40 * number))
        write(tmp_path / f"trainannot/0001TP_{number}.png", labels_of(0, 10, 11, number))
    return tmp_path


def read_first(layout, root, label_set):
    labels = label_set_of(label_set)
    samples = find_samples(layout, [str(root)], "train", True)
    table = values_table(layout, labels)
    check_samples(samples, table)
    return samples, read_label_map(samples[0].labels, table, (12, 16)).reshape(-1)


def test_cityscapes_is_read_by_ids_and_by_the_19_that_are_evaluated(cityscapes):
    samples, labels = read_first("cityscapes", cityscapes, "cityscapes35")
    assert [s.picture.name for s in samples] == [
        "aachen_000000_000019_leftImg8bit.png",
        "ulm_000003_000019_leftImg8bit.png",
    ]
    assert labels[:5].tolist() == [7, 0, 33, 34, 35]
    _, labels = read_first("cityscapes", cityscapes, "cityscapes19")
    assert labels[:5].tolist() == [0, 19, 18, 19, 19]


def test_ade20k_counts_from_one(ade20k):
    samples, labels = read_first("ade20k", ade20k, "ade20k")
    assert len(samples) == 3
    assert labels[:4].tolist() == [150, 0, 149, 150]


def test_camvid_has_the_sets_own_numbers(camvid):
    samples, labels = read_first("camvid", camvid, "camvid")
    assert len(samples) == 4
    assert labels[:4].tolist() == [0, 10, 11, 0]
    assert find_samples("camvid", [str(camvid)], "train", False)[0].labels is None


def test_a_data_sets_root_is_no_plain_folder(camvid):
    """Its label maps would be trained on as pictures."""
    with pytest.raises(DataError, match="trainannot: label maps in the layout camvid, not pictures"):
        find_samples("folder", [str(camvid)], "train", True)
    found = find_samples("folder", [str(camvid / "trainannot")], "train", True)
    assert found  # a folder of that name alone may be anybody's


def test_a_plain_folder_takes_its_maps_from_another(camvid, tmp_path):
    samples = find_samples("folder", [str(camvid / "train")], "train", True)
    assert [sample.labels for sample in samples] == [None] * 4
    paired = pair_labels(samples, camvid / "trainannot")
    assert paired[3].labels == camvid / "trainannot" / "0001TP_3.png"
    (camvid / "trainannot" / "0001TP_2.png").unlink()
    refused(lambda: pair_labels(samples, camvid / "trainannot"), "0001TP_2.png: 1 of 4 label maps are missing")
    refused(lambda: pair_labels(samples, tmp_path / "gone"), "gone: no such folder of label maps")
    refused(lambda: pair_labels(samples * 2, camvid / "trainannot"), "two pictures are called 0001TP_0")


def refused(action, *words, kind=DataError):
    with pytest.raises(kind) as error:
        action()
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("cityscapes", ["leftImg8bit/train/CITY/*_leftImg8bit.png", "gtFine"]),
        ("ade20k", ["images/{training,validation}/*.jpg", "ADEChallengeData2016.zip"]),
        ("camvid", ["train/NAME.png", "trainannot/NAME.png"]),
    ],
)
def test_a_folder_of_another_layout_is_told_what_is_wanted(tmp_path, layout, words):
    refused(lambda: find_samples(layout, [str(tmp_path)], "train", True), "no pictures of layout", *words)
    gone = str(tmp_path / "gone")
    refused(lambda: find_samples(layout, [gone], "train", True), "gone: no such folder", *words)
    refused(lambda: find_samples(layout, [gone, gone], "train", True), "one root folder; 2 were given")


def test_missing_and_unfit_label_maps_are_named(cityscapes):
    path = cityscapes / "gtFine/train/ulm/ulm_000003_000019_gtFine_labelIds.png"
    write(path, labels_of(7, height=6, width=8))
    table = values_table("cityscapes", label_set_of("cityscapes35"))
    refused(lambda: read_label_map(path, table, (12, 16)), "8x6, its picture is 16x12")
    write(path, picture_of(3))
    refused(lambda: read_label_map(path, table, (12, 16)), "RGB colours", kind=PictureError)
    path.unlink()
    refused(
        lambda: find_samples("cityscapes", [str(cityscapes)], "train", True),
        "ulm_000003_000019_gtFine_labelIds.png: 1 of 2 label maps are missing",
    )


def test_maps_of_another_data_set_are_noticed(camvid):
    write(camvid / "trainannot/0001TP_0.png", labels_of(90, 200))
    refused(lambda: read_first("camvid", camvid, "camvid"), "no pixel has a class of the label set")


def test_a_label_set_that_the_files_do_not_have_is_refused():
    refused(lambda: check_layout("ade20k", label_set_of("camvid")), "label maps of ade20k", "networks are for camvid")
    refused(lambda: check_layout("coco", label_set_of("none")), "layout 'coco' is unknown", "cityscapes, ade20k")
    check_layout("cityscapes", label_set_of("cityscapes19"))
    check_layout("folder", label_set_of("ade20k"))
    check_layout("camvid", label_set_of("none"))


def store_of(camvid, **fit):
    labels = label_set_of("camvid")
    samples = find_samples("camvid", [str(camvid)], "train", True)
    return SampleStore(samples, Fit(**({"width": 16, "height": 12} | fit)), labels, values_table("camvid", labels))


def test_every_epoch_draws_every_sample_once_in_another_order(camvid):
    store = store_of(camvid)
    orders = [[store.index_of(7, 4 * epoch + i) for i in range(4)] for epoch in range(6)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert orders == [[store_of(camvid).index_of(7, 4 * epoch + i) for i in range(4)] for epoch in range(6)]


def test_pictures_and_maps_are_cropped_and_mirrored_together(tmp_path):
    column = np.arange(16, dtype=np.uint8) % 11
    labels = np.tile(column, (12, 1))
    write(tmp_path / "train/a.png", np.repeat(labels[:, :, None] * 20, 3, axis=2))
    write(tmp_path / "trainannot/a.png", labels)
    store = store_of(tmp_path, width=8, height=8, how="crop")
    drawn = [store.draw(1, number) for number in range(20)]
    for picture, cut in drawn:
        assert picture.shape == (8, 8, 3) and np.array_equal(picture[:, :, 0], cut * 20)
    steps = {int(cut[0, 1]) - int(cut[0, 0]) for _, cut in drawn}
    assert {1, -1} <= steps
    again = store_of(tmp_path, width=8, height=8, how="crop").draw(1, 13)
    assert np.array_equal(again[0], drawn[13][0])


def test_scaling_brings_every_picture_to_one_size_and_keeps_classes(tmp_path):
    write(tmp_path / "train/a.png", picture_of(10, 30, 50))
    write(tmp_path / "trainannot/a.png", labels_of(0, 10, height=30, width=50))
    picture, labels = store_of(tmp_path, flips=False).draw(1, 0)
    assert picture.shape == (12, 16, 3) and labels.shape == (12, 16)
    assert set(np.unique(labels)) <= {0, 10}


def test_batches_come_ready_for_the_networks(camvid):
    store = store_of(camvid)
    ahead = samples_ahead(store, 7, lambda step: range(2 * step, 2 * step + 2))
    pictures, labels = ahead(3)
    ahead.close()
    assert (pictures.shape, labels.shape) == ((2, 3, 12, 16), (2, 12, 16))
    assert (pictures.dtype, labels.dtype) == (torch.float32, torch.uint8)
    wanted = store.draw(7, 6)[0]
    assert np.allclose((pictures[0].permute(1, 2, 0).numpy() + 1) * 127.5, wanted, atol=1e-3)


def test_pictures_without_maps_are_void_and_small_ones_are_named(camvid):
    labels = label_set_of("camvid")
    samples = [Sample(camvid / "train/0001TP_0.png", None)]
    store = SampleStore(samples, Fit(16, 12), labels, values_table("folder", labels))
    assert (store[0][1] == 11).all()
    small = SampleStore(samples, Fit(32, 32, "crop"), labels, values_table("folder", labels))
    refused(small.check, "0001TP_0.png: 16x12 is smaller than the crop of 32x32", "data.fit = scale")
    refused(lambda: small[0], "smaller than the crop")
    (camvid / "train/0001TP_0.png").write_text("I am no picture")
    refused(small.check, "0001TP_0.png: not a picture", kind=PictureError)
    with pytest.raises(UserError, match="fit 'pad' is unknown; choose one of scale, crop"):
        Fit(16, 12, "pad")
