# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shipped weights promise, on photographs that they were not trained on."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ds2c2.codec.codec import Codec
from ds2c2.codec.segmentation import default_segnet, open_segmenter
from ds2c2.evaluation.losscurve import measure_picture, summary
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.pictures.metrics import psnr
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
MODELS = ("binary", "coded")
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def all_measured(tmp_path_factory):
    """The four photographs at 0.26 bpp under air rules with 0, 16 and 100 % of the blocks lost,
    by each model."""
    folder = tmp_path_factory.mktemp("photographs")
    measurements = {model: [] for model in MODELS}
    for name in PHOTOGRAPHS:
        path = folder / f"{name}.png"
        Image.fromarray(np.ascontiguousarray(getattr(skimage.data, name)()[:256, 100:420])).save(path)
        for model, found in measurements.items():
            settings = {"bpp": 0.26, "model": model}
            found += measure_picture(path, settings, "air", [0.0, 0.16], 2, device="cpu")
            found += measure_picture(path, settings, "paper", [1.0], 1, device="cpu")
    return measurements


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


@pytest.fixture
def measured(all_measured, model):
    return all_measured[model]


def test_received_is_better_than_base_on_every_photograph(measured):
    gains = {(m.picture, m.seed): m.psnr - m.base_psnr for m in measured if m.loss == 0.16}
    assert len(gains) == 2 * len(PHOTOGRAPHS)
    assert min(gains.values()) > 0
    assert np.mean(list(gains.values())) > 2


def test_loss_is_paid_for_gently(measured, model):
    clean, lossy, _ = summary(measured)
    assert clean["loss"] == 0.0 and lossy["loss"] == 0.16
    # A sixth of the blocks may cost something, but far less than the enhancement gives.
    # Coded blocks hold far more, so that there is more to lose.
    assert 0 < clean["psnr"] - lossy["psnr"] < {"binary": 1, "coded": 2.5}[model]
    assert lossy["concealed"] == 0


def test_everything_lost_is_the_base_picture_or_better(measured, model):
    for m in measured:
        if m.loss == 1.0:
            assert m.psnr > m.base_psnr - {"binary": 0.25, "coded": 0.05}[model]


def test_coded_is_better_than_binary_with_and_without_loss(all_measured):
    binary, coded = (summary(all_measured[model]) for model in MODELS)
    for fewer, more in zip(binary[:2], coded[:2], strict=True):
        assert more["loss"] == fewer["loss"]
        assert more["psnr"] > fewer["psnr"]
        assert more["bpp"] == fewer["bpp"]


def test_the_paper_s_networks_work_without_a_download(tmp_path):
    """On the paper's channel, with label maps of the shipped SegNet; 20 blocks of r beside c and s."""
    settings = {"bpp": 0.24415, "base_bpp": 0.04, "model": "paper-camvid"}
    for name in PHOTOGRAPHS[:2]:
        path = tmp_path / f"{name}.png"
        Image.fromarray(np.ascontiguousarray(getattr(skimage.data, name)()[:256, 100:420])).save(path)
        for m in measure_picture(path, settings, "paper", [0.0, 0.16], 1, "zero", device="cpu"):
            assert m.psnr > m.base_psnr + 2


def test_the_decoder_for_the_eye_reads_what_coded_sends_and_is_sharper():
    """Steps from pixel to pixel, which squared error smooths away, are nearer to the original's."""

    def detail(picture):
        grey = picture.astype(float).mean(2)
        return np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()

    for name in PHOTOGRAPHS[:3]:
        picture = np.ascontiguousarray(getattr(skimage.data, name)()[:256, 100:420])
        stream = StreamFormat(320, 256, bpp=0.26)
        plain, eye = Codec(stream, "cpu"), Codec(stream, "cpu", render="coded-perceptual")
        blocks = plain.encode(picture).blocks
        assert np.array_equal(blocks, eye.encode(picture).blocks)
        soft = to_soft(blocks, np.arange(len(blocks)) % 6 != 5)
        exact, sharp = (codec.decode(soft).picture for codec in (plain, eye))
        assert detail(exact) < detail(sharp) < detail(picture)
        assert 0 < psnr(picture, exact) - psnr(picture, sharp) < 0.7


def test_all_weights_together_are_small_and_have_cards():
    """32 MB is what a checkout may carry of them."""
    files = sorted((CHECKOUT / "models").glob("*.safetensors"))
    expected = {"binary", "coded", "coded-perceptual", "paper-camvid", "segnet-camvid"}
    assert expected == {path.stem for path in files}
    assert sum(path.stat().st_size for path in files) <= 32e6
    assert all(path.with_suffix(".md").is_file() for path in files)


def test_label_maps_of_camvid_need_no_download():
    """Something bright above something grey is the sky above a road."""
    scene = np.full((360, 480, 3), 235.0)
    scene[200:] = 95, 95, 98
    scene += np.random.default_rng(1).normal(0, 6, scene.shape)
    camvid = label_set_of("camvid")
    labels = open_segmenter(default_segnet("camvid"), camvid, "cpu").labels(scene.clip(0, 255).astype(np.uint8))
    assert labels.shape == (360, 480) and labels.max() < camvid.count
    assert (labels[:180] == camvid.names.index("sky")).mean() > 0.8
    assert (labels[220:] == camvid.names.index("road")).mean() > 0.8
    assert "CC BY-NC" in (CHECKOUT / "models" / "segnet-camvid.md").read_text()
