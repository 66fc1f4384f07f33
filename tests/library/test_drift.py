# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that drift: changes found where they are, none where there are none, and draws that go the same way."""

import json

import numpy as np
import pytest

from ds2c2.channels.channel import BlockChannel
from ds2c2.traces.drift import change_points, fit_drift
from ds2c2.traces.lossmodels import BASIC, best, distance, fit, fit_noticed, verdict
from ds2c2.traces.twostates import LossModel

BURSTS = LossModel("gilbert-elliott", 0.03, 0.15, 0.0, 1.0, 1, 0.0)


def drifting(count: int, seed: int) -> np.ndarray:
    """3 % lost by itself, then 17 % in bursts, then 8 % by itself: a link with changes after 2/5 and 7/10."""
    rng = np.random.default_rng(seed)
    first, second = 2 * count // 5, 3 * count // 10
    drawn = [rng.random(first) < 0.03, BURSTS.draw(second, rng), rng.random(count - first - second) < 0.08]
    return np.concatenate(drawn)


@pytest.mark.parametrize("seed", [1, 2])
def test_changes_are_found(seed):
    lost = drifting(3000, seed)
    models = fit_noticed(lost)
    found = models[-1]
    assert best(models) is found and verdict(models).startswith("The link changed: piecewise, 2 changes fits")
    assert [round(place, -2) for place in found.changes] == [pytest.approx(1200, abs=100), pytest.approx(2100, abs=100)]
    (words,) = found.words()
    assert words.startswith(f"The link changed at packet {found.changes[0]} and {found.changes[1]}: packets 0 to ")
    assert found.loss == pytest.approx(lost.mean(), abs=0.005)
    assert distance(found, lost, True) < 0.1 and distance(found, lost, False) < 0.1
    assert found.parameters == sum(len(part.intervals) for part in found.parts) + 2
    json.dumps(found.described(), allow_nan=False)


@pytest.mark.parametrize("seed", [1])
def test_a_link_that_does_not_change_is_not_said_to(seed):
    rng = np.random.default_rng(seed)
    for lost in (rng.random(2000) < 0.1, BURSTS.draw(2000, rng)):
        assert change_points(lost) == [] and "drift" not in [model.name for model in fit_noticed(lost)]
        whole = fit_drift(lost)
        assert whole.words()[0].startswith("The link did not change") and whole.label == "piecewise, no change"
        assert whole.bic == pytest.approx(best(fit(lost)).bic)
        # The same model by another name is no rival.
        words = verdict(fit(lost, (*BASIC, "drift")))
        assert "lower by 0.0" not in words and "of piecewise" not in words and "well fits piecewise, no" in words


def test_bursts_that_come_and_go_are_no_drift():
    """Long bad times look like pieces; a chain that comes back to them needs fewer numbers."""
    slow = LossModel("gilbert-elliott-general", 0.002, 0.005, 0.02, 0.6, 1, 0.0)
    lost = slow.draw(8_000, np.random.default_rng(1))
    assert change_points(lost) and best(fit_noticed(lost)).name == "gilbert-elliott-general"


def test_draws_go_the_way_of_the_trace():
    """The emulated channel from its beginning, again and again; a draw from anywhere, as replays do."""
    rng = np.random.default_rng(1)
    found = fit_drift(np.concatenate([np.zeros(300, bool), rng.random(200) < 0.9]))
    assert found.changes == [300] and found.loss == pytest.approx(0.36, abs=0.02)
    drawn = BlockChannel(0, "drift", trace=np.concatenate([np.zeros(300, bool), rng.random(200) < 0.9])).draw(1200)
    assert not drawn[:300].any() and not drawn[500:800].any() and not drawn[1000:].any()
    assert drawn[300:500].mean() == pytest.approx(0.9, abs=0.08) and (drawn[300:500] != drawn[800:1000]).any()
    starts = np.array([found.draw(1, rng)[0] for _ in range(400)])
    assert starts.mean() == pytest.approx(0.36, abs=0.1)
    drawn = fit_drift(drifting(2000, 4)).draw(40_000, np.random.default_rng(2))
    assert drawn.mean() == pytest.approx(drifting(2000, 4).mean(), abs=0.02)


def test_short_traces_have_no_changes():
    assert change_points(np.arange(199) < 100) == [] and fit_drift(np.array([True, False])).changes == []
