# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that drift: changes found where they are, none where there are none, and draws that go the same way."""

import itertools
import json

import numpy as np
import pytest

from ds2c2.channels.channel import BlockChannel
from ds2c2.traces.drift import Drift, _fit_part, _prefixes, change_points, fit_drift
from ds2c2.traces.losschain import Chain
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


@pytest.mark.parametrize(("rate", "seed"), [(0.02, 0), (0.01, 31)])
def test_a_link_that_dies_after_a_long_gap_died_where_it_did(rate, seed):
    """A chain that turns bad once is as likely from the gap's beginning on, but cannot be fitted to a piece."""
    lost = np.concatenate([np.random.default_rng(seed).random(3000) < rate, np.ones(4000, bool)])
    assert change_points(lost)[0] < 2850 and fit_drift(lost).changes == [3000]
    models = fit_noticed(lost)
    assert best(models) is models[-1] and "packets 3000 to 6999 lose 100.0%" in models[-1].words()[0]


def test_changes_lie_where_the_fitted_models_have_them():
    """No other place makes what both fitted neighbours say of the packets more likely, and moving never costs."""
    lost = drifting(2000, 3)
    ends = [0, *change_points(lost), len(lost)]
    before = [_fit_part(lost[start:end]) for start, end in itertools.pairwise(ends)]
    found = fit_drift(lost)
    assert found.bic <= Drift(before, np.diff(ends).tolist()).bic - 1 and found.changes != ends[1:-1]
    ends = [0, *found.changes, len(lost)]
    for number, place in enumerate(found.changes, 1):
        left, right = found.parts[number - 1 : number + 1]
        begin, end = ends[number - 1], ends[number + 1]

        def said(at, left=left, right=right, begin=begin, end=end):
            pieces = ((left, lost[begin:at]), (right, lost[at:end]))
            return sum(Chain(one).log_likelihood((m.p, m.r, m.good, m.bad)) for m, one in pieces)

        near = range(max(place - 60, begin + 50), min(place + 60, end - 50))
        assert max(map(said, near)) < said(place) + 0.11


@pytest.mark.parametrize("model", [BURSTS, LossModel("gilbert-elliott-general", 0.1, 0.2, 0.05, 0.7, 1, 0.0)])
def test_the_likelihood_of_every_beginning(model):
    lost = BURSTS.draw(60, np.random.default_rng(2))
    found = _prefixes(model, lost)
    assert found[0] == 0 and len(found) == 61
    values = (model.p, model.r, model.good, model.bad)
    assert found[[1, 7, 60]] == pytest.approx([Chain(lost[:count]).log_likelihood(values) for count in (1, 7, 60)])


def test_a_beginning_that_cannot_be_is_not():
    lost = np.array([False, True, False, False])
    always, turns = (LossModel(name, 1.0, 1.0, good, 1.0, 1, 0.0) for name, good in (("iid", 1.0), ("x", 0.0)))
    assert _prefixes(always, lost).tolist() == [0, *[-np.inf] * 4]
    assert np.isfinite(_prefixes(turns, lost)).tolist() == [True] * 4 + [False]


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
