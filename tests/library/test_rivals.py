# SPDX-License-Identifier: GPL-3.0-or-later
"""Rival codecs: their files fit, their bytes are exact, their designs hold as far as promised."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ds2c2.evaluation import layers, outcomes
from ds2c2.evaluation.erasurecode import design_k
from ds2c2.evaluation.rivals import hevc, rivals
from ds2c2.evaluation.summary import _outcomes
from ds2c2.pictures.metrics import psnr

INSTALLED = [name for name in rivals.RIVALS if not rivals.missing(name)]


@pytest.fixture(scope="module")
def picture():
    return np.ascontiguousarray(skimage.data.astronaut()[:96, 160:288])


@pytest.fixture
def source(picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "astronaut.png")
    return outcomes.describe(tmp_path / "astronaut.png", "astronaut")


@pytest.fixture
def settings(source):
    return outcomes.BenchmarkSettings(
        name="test", pictures=(source,), model="binary", weights="", interleave="bit", rates=(0.5, 0.9),
        losses=(0.0, 0.16, 1.0), channels=("iid",), seeds=3, rules=("air",), block_size=32, base_bpp=0.04,
        redundancy=1.0, rivals=("webp",),
    )  # fmt: skip


@pytest.mark.parametrize("name", INSTALLED)
def test_files_fit_their_budgets_and_more_bytes_are_never_worse(name, picture):
    budgets = [40, 1000, 1800, 2600]
    rival = rivals.RIVALS[name]
    best = rivals.best_within(rival, picture, budgets)
    assert best[40] is None  # less than any file's header
    found = [best[budget] for budget in budgets[1:] if best[budget]]
    assert found
    for budget, encoding in best.items():
        if encoding:
            assert len(encoding.data) <= budget
            assert encoding.psnr == psnr(picture, rival.decode(encoding.data))
    assert [e.psnr for e in found] == sorted(e.psnr for e in found)


def test_the_highest_psnr_that_fits_is_taken_not_the_largest_file(picture):
    grey = np.full_like(picture, 128)
    files = {b"long": grey, b"abc": picture, b"too long": picture}
    rival = rivals.Rival("r", lambda *_: ((k.decode(), k) for k in files), files.__getitem__, lambda: "")
    assert rivals.best_within(rival, picture, [4])[4].data == b"abc"


def test_colour_transform_comes_back(picture):
    assert np.abs(hevc.to_rgb(hevc.to_ycbcr(picture)).astype(int) - picture).max() <= 2


def test_an_unknown_rival_is_named():
    with pytest.raises(rivals.RivalError, match="rival 'gif' is unknown; choose from hevc"):
        rivals.missing("gif")


def test_a_layer_is_a_whole_file(picture):
    file = layers.encode_layers(picture, [600, 1200, 2400])
    qualities = [psnr(picture, rivals.RIVALS["jpeg2000"].decode(file.upto(j))) for j in (1, 2, 3)]
    assert qualities == sorted(qualities) and qualities[2] - qualities[0] > 3
    for layer, aim in enumerate((600, 1200, 2400), 1):
        assert abs(len(file.upto(layer)) - aim) < 0.1 * aim


def test_protected_layers_fit_and_get_better(picture):
    curve = layers.quality_curve(picture, 3000)
    plan = layers.protect_layers(picture, 30, 100, curve, 10.0)
    assert plan.pictures
    assert all(size <= room for size, room in zip(plan.sizes, plan.capacity, strict=True))
    qualities = [psnr(picture, received) for received in plan.pictures]
    assert qualities == sorted(qualities)


def test_below_the_design_loss_all_arrives_above_it_nothing(settings, source):
    entry = next(iter(outcomes.measure_rival(settings, source, "webp", [0.9])))
    variant = next(v for v in entry["variants"] if v["design"] == "16 %")
    n, k = entry["blocks"], design_k(entry["blocks"], 0.16)
    assert variant["needs"] == [k] and variant["bytes"] <= k * settings.block_size
    whole, broken = _outcomes(entry, variant, (n - k, n - k + 1), (True, True))
    assert list(whole[:2]) == list(variant["levels"][0]) and whole[2] == 0
    assert list(broken[:2]) == list(entry["grey"]) and broken[2] == 1
    unprotected = entry["variants"][0]
    assert [o[2] for o in _outcomes(entry, unprotected, (0, 1), (True, True))] == [0, 1]


def test_a_rate_does_not_depend_on_which_were_asked_for(settings, source):
    both = list(outcomes.measure_rival(settings, source, "webp", [0.5, 0.9]))
    assert list(outcomes.measure_rival(settings, source, "webp", [0.9])) == both[1:]


def test_losses_are_the_pictures_own_and_grow_with_the_rate(settings, source):
    few, many = (outcomes.hits(settings, source, "iid", loss, 1, 500) for loss in (0.1, 0.3))
    assert few.sum() < many.sum() and (many[few]).all()
    assert (outcomes.hits(settings, source, "iid", 0.1, 2, 500) != few).any()


def test_ends_are_drawn_once(settings):
    assert [draw[1:] for draw in settings.draws()] == [(0.0, 1), (0.16, 1), (0.16, 2), (0.16, 3), (1.0, 1)]
