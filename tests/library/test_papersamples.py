# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the paper's tables: a data set's part or plain ones, their label maps, their size."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ds2c2.networks.paper import PaperNetworks
from ds2c2.networks.weights import save_weights
from ds2c2.paper.archive import list_models, read_model
from ds2c2.paper.samples import evenly, open_samples
from ds2c2.training.datasets import DataError


@pytest.fixture
def camvid(tmp_path):
    """A root in CamVid's layout: three pictures of 90x70 to train on, five to test with."""
    rng = np.random.default_rng(1)
    for split, count in (("train", 3), ("test", 5)):
        for folder in (split, f"{split}annot"):
            (tmp_path / "camvid" / folder).mkdir(parents=True)
        for number in range(count):
            picture = rng.integers(0, 256, (70, 90, 3), np.uint8)
            labels = rng.integers(0, 12, (70, 90), np.uint8)
            Image.fromarray(picture).save(tmp_path / f"camvid/{split}/{number}.png")
            Image.fromarray(labels).save(tmp_path / f"camvid/{split}annot/{number}.png")
    return tmp_path / "camvid"


@pytest.fixture
def found(models):
    return [read_model("paper")]


def pixels(path):
    return np.asarray(Image.open(path))


def test_the_test_part_evenly_spread_and_cut_to_the_cell(camvid, found):
    samples = open_samples([str(camvid)], found, "camvid", most=2)
    assert (samples.name, samples.part, samples.names()) == ("camvid", "test", ["1", "3"])
    picture, labels = samples.load(1)
    assert np.array_equal(picture, pixels(camvid / "test/3.png")[3:67, 1:89])
    assert np.array_equal(labels, pixels(camvid / "testannot/3.png")[3:67, 1:89])
    assert open_samples([str(camvid)], found, "camvid", part="train", most=50).names() == ["0", "1", "2"]
    assert evenly(list(range(12)), 3) == [2, 6, 10]


def test_the_middle_or_the_whole_scaled(camvid, found):
    for fit in ("crop", "scale"):
        samples = open_samples([str(camvid)], found, "camvid", size=(80, 64), fit=fit)
        picture, labels = samples.load(0)
        assert picture.shape == (64, 80, 3) and labels.shape == (64, 80)
    assert np.array_equal(labels, np.asarray(Image.open(camvid / "testannot/0.png").resize((80, 64), 0)))
    with pytest.raises(DataError, match="90x70 is smaller than --size 96x64"):
        open_samples([str(camvid)], found, "camvid", size=(96, 64))


def test_plain_pictures_take_label_maps_from_a_folder_or_a_segnet(camvid, found, tmp_path):
    plain = open_samples([str(camvid / "test")], found, labels=str(camvid / "testannot"))
    own = open_samples([str(camvid)], found, "camvid")
    assert [plain.sha256(i) for i in range(5)] == [own.sha256(i) for i in range(5)]
    made = []
    by_segnet = open_samples([str(camvid / "test")], found, folder=tmp_path, done=lambda *n: made.append(n))
    assert (own.labelled_by, by_segnet.labelled_by) == ("the data set's own", "segnet:segnet-camvid")
    assert made[-1] == (5, 5) and by_segnet.samples[0].labels.parent == tmp_path / "labels-segnet-segnet-camvid"
    open_samples([str(camvid / "test")], found, folder=tmp_path, done=lambda *n: made.append(n))
    assert len(made) == 5


def test_what_does_not_go_together_is_refused(camvid, found, tmp_path, tiny_paper_shape):
    with pytest.raises(DataError, match="--part test: plain pictures have no parts"):
        open_samples([str(camvid / "test")], found, part="test")
    with pytest.raises(DataError, match="no pictures of layout camvid there; it wants val/NAME.png"):
        open_samples([str(camvid)], found, "camvid", part="val")
    with pytest.raises(DataError, match="layout camvid has label maps of camvid, the networks are for ade20k"):
        path = tmp_path / "ade.safetensors"
        save_weights(path, PaperNetworks(replace(tiny_paper_shape, label_set="ade20k")), {})
        open_samples([str(camvid)], list_models([path]), "camvid")
    with pytest.raises(DataError, match="ade wants label maps of ade20k, paper of camvid: one data set cannot"):
        open_samples([str(camvid)], [*list_models([path]), *found], "camvid")


def test_without_a_label_set_no_maps_are_wanted(camvid, tmp_path, tiny_paper_shape):
    path = save_weights(
        tmp_path / "plain.safetensors", PaperNetworks(replace(tiny_paper_shape, label_set="none", depth=4)), {}
    )
    samples = open_samples([str(camvid / "test")], list_models([path]))
    picture, labels = samples.load(0)
    assert picture.shape == (64, 80, 3) and not labels.any()
