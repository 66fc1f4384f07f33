# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shipped weights promise, on photographs that they were not trained on."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ds2c2.evaluation.losscurve import measure_picture, summary

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The four photographs at 0.26 bpp under air rules with 0, 16 and 100 % of the blocks lost."""
    folder = tmp_path_factory.mktemp("photographs")
    measurements = []
    for name in PHOTOGRAPHS:
        path = folder / f"{name}.png"
        Image.fromarray(np.ascontiguousarray(getattr(skimage.data, name)()[:256, 100:420])).save(path)
        settings = {"bpp": 0.26, "model": "binary"}
        measurements += list(measure_picture(path, settings, "air", [0.0, 0.16], 2, device="cpu"))
        measurements += list(measure_picture(path, settings, "paper", [1.0], 1, device="cpu"))
    return measurements


def test_received_is_better_than_base_on_every_photograph(measured):
    gains = {(m.picture, m.seed): m.psnr - m.base_psnr for m in measured if m.loss == 0.16}
    assert len(gains) == 2 * len(PHOTOGRAPHS)
    assert min(gains.values()) > 0
    assert np.mean(list(gains.values())) > 2


def test_loss_is_paid_for_gently(measured):
    clean, lossy, _ = summary(measured)
    assert clean["loss"] == 0.0 and lossy["loss"] == 0.16
    # A sixth of the blocks may cost something, but far less than the enhancement gives.
    assert 0 < clean["psnr"] - lossy["psnr"] < 1
    assert lossy["concealed"] == 0


def test_everything_lost_is_the_base_picture_or_better(measured):
    for m in measured:
        if m.loss == 1.0:
            assert m.psnr > m.base_psnr - 0.25
