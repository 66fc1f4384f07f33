# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of channels whose pictures are known: their values and intervals, and what traces drawn anew say of them."""

import json

import numpy as np
import pytest

from ds2c2.evaluation.compare.figures import ChannelFigures
from ds2c2.evaluation.compare.worlds import Known
from ds2c2.evaluation.outcomes import Reception
from ds2c2.traces.lossmodels import wilson


def drawn(values: np.ndarray, concealed: float = 0.0) -> list[list]:
    return [[Reception(float(v), None, n < concealed * len(row)) for n, v in enumerate(row)] for row in values]


def test_figures_and_differences_of_known_outcomes():
    link = np.arange(40.0).reshape(2, 20)
    outcomes = ChannelFigures({"trace": drawn(link, 0.5), "iid": drawn(link + 3.0)}, {"trace"}, 1, 0.01, seed=1)
    assert outcomes.figure("trace", "psnr")["value"] == 19.5
    assert outcomes.figure("trace", "psnr-received")["value"] == 24.5
    assert outcomes.figure("trace", "worst-5")["value"] == 0.5
    # All in one half of the trace: eight parts say little of how often that is.
    concealed = outcomes.figure("trace", "concealed")
    assert concealed["value"] == 0.5 and 0 <= concealed["low"] < 0.2 and 0.8 < concealed["high"] <= 1
    assert outcomes.figure("trace", "ms-ssim") is None
    difference = outcomes.difference("trace", "iid", "psnr")
    assert difference["value"] == -3.0 and difference["low"] < -3.0 < difference["high"]
    assert difference["together"][0] < -3.0 < difference["together"][1]
    json.dumps(difference, allow_nan=False)


def test_replays_share_their_resamples_and_need_no_width_where_they_agree():
    values = np.random.default_rng(1).normal(size=(2, 20))
    outcomes = ChannelFigures({"trace": drawn(values), "other": drawn(values + 1)}, {"trace", "other"}, 3, 0.1, seed=1)
    found = outcomes.difference("other", "trace", "psnr")
    assert found == {"value": 1.0, "low": 1.0, "high": 1.0, "together": [1.0, 1.0]}


def test_frames_that_are_all_alike_leave_room_for_a_rare_one():
    values = {"trace": drawn(np.full((1, 40), 30.0)), "iid": drawn(np.full((1, 40), 30.0))}
    outcomes = ChannelFigures(values, {"trace"}, 1, 1 / 5000, 1)
    outcomes.keep({}, "iid", 10.0)
    rare = wilson(0, 40)[1]
    for figure, share in (("psnr", rare), ("worst-5", 1.0)):  # 9 % of the frames are all of the worst 5 %
        found = outcomes.figure("trace", figure)
        assert found == {"value": 30.0, "low": pytest.approx(30 - 20 * share, abs=1e-6), "high": 30.0}


def test_an_ms_ssim_has_a_floor_of_its_own():
    similar = np.linspace(0.7, 0.9, 40)
    frames = [[Reception(30.0 + n % 3, float(one), False) for n, one in enumerate(similar)]]
    outcomes = ChannelFigures({"trace": frames}, {"trace"}, 1, 1 / 40, 1)
    outcomes.keep({}, "iid", 9.8)
    found = outcomes.figure("trace", "ms-ssim")
    assert 0 < found["low"] < found["value"] < found["high"] < 1


@pytest.mark.parametrize("together", [1, 4])
def test_intervals_hold_what_they_promise(together):
    """The true mean lies within about 95 of 100; neighbours that are alike make them wider."""
    rng = np.random.default_rng(1)
    within = 0
    for _ in range(100):
        # Losses cost PSNR, mostly little.
        values = 32 - np.repeat(rng.exponential(2, size=(1, 48 // together)), together, axis=1)
        channels = {"trace": drawn(values), "clean": drawn(np.full((1, 48), 32.0))}
        found = ChannelFigures(channels, {"trace"}, 2 * together - 1, together / 48, 1).figure("trace", "psnr")
        within += found["low"] <= 30 <= found["high"] < 32
    # Intervals that always hold it would be too wide.
    assert 90 <= within <= 99


@pytest.mark.parametrize(("share", "frames"), [(1 / 20, 20), (1 / 5000, 40)], ids=["short", "long"])
def test_what_was_not_seen_may_be_rare(share, frames):
    """No base layer lost in the frames of a short trace, or in the 40 replays that were made of a long one."""
    values = {"trace": drawn(np.full((1, 40), 30.0)), "iid": drawn(np.full((1, 40), 30.0))}
    outcomes = ChannelFigures(values, {"trace"}, 3, share, 1)
    for name, seen in (("trace", frames), ("iid", 40)):
        assert outcomes.figure(name, "concealed") == {
            "value": 0.0,
            "low": 0.0,
            "high": pytest.approx(wilson(0, seen)[1], abs=1e-6),
        }
    assert outcomes.difference("trace", "iid", "concealed")["together"] == [0, 0]


def test_the_worst_frames_are_given_as_much_room_as_worlds_need():
    """A trace without rare frames says nothing of them; draws from a model do."""
    rng = np.random.default_rng(1)
    values = rng.normal(30, 0.5, size=(2, 40))
    channels = {"trace": drawn(values), "clean": drawn(np.full((2, 40), 32.0))}
    plain = ChannelFigures(channels, {"trace"}, 1, 0.02, 1)
    before = plain.figure("trace", "worst-5")
    # One world of ten holds frames at 12 dB.
    worlds = rng.normal(30, 0.5, size=(100, 2, 40))
    worlds[::10, :, ::4] = 12.0
    wide = ChannelFigures(channels, {"trace"}, 1, 0.02, 1)
    wide.allow_for({"model": worlds}, "model", 10.0)
    after = wide.figure("trace", "worst-5")
    assert after["value"] == before["value"] and after["high"] >= before["high"]
    # What they give on the whole: one frame in forty at 12 dB makes half of the worst 5 %.
    assert 10 <= after["low"] < np.sort(worlds, axis=None)[:400].mean() < before["low"]
    assert wide.figure("trace", "psnr") == plain.figure("trace", "psnr")
    verdict_by = [one.difference("trace", "clean", "worst-5")["together"] for one in (plain, wide)]
    assert verdict_by[0] == verdict_by[1]
    # Worlds that lose nothing have nothing to say.
    plain.allow_for({"model": np.full((40, 2, 40), 32.0)}, "model", 10.0)
    assert plain.figure("trace", "worst-5") == before


def test_a_verdict_on_the_worst_frames_allows_for_what_its_model_does_to_other_traces():
    """A trace 1 dB below two emulations: of a model some of whose traces are worse, and of one whose are alike."""
    rng = np.random.default_rng(1)
    emulated = drawn(rng.normal(30, 0.5, size=(2, 40)))
    channels = {"trace": drawn(rng.normal(29, 0.5, size=(2, 40))), "varies": emulated, "alike": emulated}
    outcomes = ChannelFigures(channels, {"trace"}, 1, 0.02, 1)
    before = outcomes.difference("trace", "varies", "worst-5")
    worlds = rng.normal(30, 0.5, size=(100, 2, 40))
    # One world of ten holds some frames at 27 dB.
    some = worlds.copy()
    some[::10, :, ::8] = 27.0
    outcomes.allow_for({"varies": some, "alike": worlds}, "alike", 10.0)
    varies, alike = (outcomes.difference("trace", name, "worst-5") for name in ("varies", "alike"))
    assert varies["value"] == alike["value"] == before["value"] < -0.5
    assert before["together"][1] < 0 and alike["together"][1] < 0 < varies["together"][1]
    assert varies["together"][0] < alike["together"][0] <= before["together"][0]
    # Only that of the model which fits best says how far the link's own figure may be off.
    assert (varies["low"], varies["high"]) == pytest.approx((alike["low"], alike["high"]), abs=0.01)


def test_the_worst_frames_of_few_draws_are_not_sure():
    """Two frames of forty are the worst 5 %; of three grey ones any may be left out and they are grey still."""
    emulated = np.full((1, 40), 30.0)
    emulated[0, :3] = 10.0
    outcomes = ChannelFigures({"trace": drawn(emulated), "iid": drawn(emulated)}, {"trace"}, 1, 0.02, 1)
    found = outcomes.figure("iid", "worst-5")
    assert found["value"] == 10.0 and found["low"] <= 10.0 and found["high"] > 15


def test_what_nobody_received_is_as_what_was_like_it():
    losses = {"trace": [[np.arange(8) < lost for lost in (0, 2, 6)]]}
    known = Known(losses, {"trace": drawn(np.array([[30.0, 20.0, 10.0]]))})
    asked = np.array([np.arange(8) >= 8 - lost for lost in range(9)])
    assert known(0, asked).tolist() == [30, 20, 20, 20, 10, 10, 10, 10, 10]
