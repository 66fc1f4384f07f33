# SPDX-License-Identifier: GPL-3.0-or-later
"""Link against emulation: what meets the pictures, the intervals, and the verdicts drawn from them."""

import json

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ds2c2.errors import UserError
from ds2c2.evaluation.compare.advice import advice_words, further, variants
from ds2c2.evaluation.compare.compare import (
    DEEP,
    REPLAYED,
    SHUFFLED,
    ComparisonSettings,
    Sent,
    check,
    compare,
    draw_losses,
)
from ds2c2.evaluation.compare.figures import ChannelFigures
from ds2c2.evaluation.compare.report import emulate_commands, render
from ds2c2.evaluation.compare.sidebyside import Compared, render_several
from ds2c2.evaluation.compare.words import headline, interleaving_answer, judge, told
from ds2c2.evaluation.compare.worlds import Known
from ds2c2.evaluation.outcomes import describe
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.lossmodels import fit, statistics, wilson

STREAM = StreamFormat(64, 64, bpp=0.9, block_size=32, base_bpp=0.1, base_redundancy=1)
N = STREAM.blocks


@pytest.fixture
def settings(models, tmp_path):
    """Two pictures of one frame a draw, the tiny weights."""
    pictures = []
    for name in ("astronaut", "coffee"):
        Image.fromarray(np.ascontiguousarray(getattr(skimage.data, name)()[60:124, 100:164])).save(
            tmp_path / f"{name}.png"
        )
        pictures.append(describe(tmp_path / f"{name}.png", name))
    return ComparisonSettings(tuple(pictures), (STREAM, STREAM), draws=8)


def outages(frames: int = 60) -> np.ndarray:
    """Every fifth frame's packets are lost, the others arrive."""
    return np.repeat(np.arange(frames) % 5 == 0, N)


def test_every_channel_loses_what_its_name_says(settings):
    lost = outages()
    lost[3] = True
    losses = draw_losses(settings, lost, fit(lost))
    assert list(losses) == [REPLAYED, "gilbert-elliott-general", "gilbert-elliott", "iid", SHUFFLED, DEEP]
    assert {(len(drawn), len(draws)) for drawn in losses.values() for draws in drawn} == {(2, 8)}
    around = np.concatenate([lost, lost[:N]])
    places = [around[start : start + N].tolist() for start in range(len(lost))]
    for replayed, shuffled in zip(sum(losses[REPLAYED], []), sum(losses[SHUFFLED], []), strict=True):
        assert replayed.tolist() in places and replayed.sum() == shuffled.sum()
    # Each picture's places lie between the other's.
    assert not {one.tobytes() for one in losses["iid"][0]} & {one.tobytes() for one in losses["iid"][1]}
    again = draw_losses(settings, lost, fit(lost))
    assert all(np.array_equal(losses[name], again[name]) for name in losses)


def test_a_trace_shorter_than_a_frame_is_refused(settings):
    with pytest.raises(UserError, match=f"holds {N - 1} packets .* one frame takes {N}; record a longer one"):
        check(settings, np.zeros(N - 1, bool))
    check(settings, np.zeros(N, bool))


def test_equal_losses_are_received_once_and_like_the_codec_does(settings):
    from ds2c2.codec.codec import Codec
    from ds2c2.evaluation.outcomes import Reception, quality
    from ds2c2.pictures.pictures import read_picture
    from ds2c2.stream.softbits import to_soft

    none, some, every = np.zeros(N, bool), np.arange(N) >= N - 2, np.ones(N, bool)
    losses = {"a": [[none, some], [none, every]], "b": [[some, none], [every, every]]}
    told, done = [], []
    found = Sent(settings, 1, "cpu").measure(losses, told.append, done.append)
    assert told == [4] and sum(done) == 4
    assert found["a"][0] == found["b"][0][::-1] and found["a"][1][1] == found["b"][1][0]
    assert [outcome.concealed for outcome in found["a"][0] + found["a"][1]] == [False, False, False, True]
    codec, original = Codec(STREAM, "cpu"), read_picture(settings.pictures[0].path)
    decoded = codec.decode(to_soft(codec.encode(original).blocks, ~some))
    assert found["a"][0][1] == Reception(*quality(original, decoded.picture), False)
    grey = quality(read_picture(settings.pictures[1].path), np.full((64, 64, 3), 128, np.uint8))
    assert found["a"][1][1] == Reception(*grey, True)


def test_groups_of_frames_are_deinterleaved(settings):
    """Losses anywhere in a group of four reach the frame that is looked at."""
    deep = StreamFormat(64, 64, bpp=0.9, block_size=32, base_bpp=0.1, interleave="block", depth=4, base_redundancy=1)
    settings = ComparisonSettings(settings.pictures, (deep, deep), draws=2)
    lost = np.zeros(4 * N, bool)
    lost[N + STREAM.base_blocks :] = True
    (first, second), _ = Sent(settings, 1, "cpu").measure({"a": [[~lost & lost, lost]] * 2})["a"]
    assert not first.concealed and not second.concealed and first.psnr != second.psnr


def drawn(values: np.ndarray, concealed: float = 0.0) -> list[list]:
    from ds2c2.evaluation.outcomes import Reception

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


def test_what_was_not_seen_may_be_rare():
    """No base layer lost in 20 frames of the link and in 40 draws: a share that such a count leaves room for."""
    values = {"trace": drawn(np.full((1, 40), 30.0)), "iid": drawn(np.full((1, 40), 30.0))}
    outcomes = ChannelFigures(values, {"trace"}, 3, 1 / 20, 1)
    for name, frames in (("trace", 20), ("iid", 40)):
        found = outcomes.figure(name, "concealed")
        assert (found["value"], found["low"]) == (0, 0) and found["high"] == pytest.approx(
            wilson(0, frames)[1], abs=1e-6
        )
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
    assert (varies["low"], varies["high"]) == (alike["low"], alike["high"])


def test_what_nobody_received_is_as_what_was_like_it():
    losses = {"trace": [[np.arange(8) < lost for lost in (0, 2, 6)]]}
    known = Known(losses, {"trace": drawn(np.array([[30.0, 20.0, 10.0]]))})
    asked = np.array([np.arange(8) >= 8 - lost for lost in range(9)])
    assert known(0, asked).tolist() == [30, 20, 20, 20, 10, 10, 10, 10, 10]


def result_of(psnr, worst=(0, -1, 1), concealed=(0, 0, 0), frames=100.0, over=((0, 0, 0),) * 3, block=1) -> dict:
    """As much of a comparison as verdicts are drawn from."""

    def bounds(triple: tuple) -> dict:
        return dict(zip(("value", "low", "high"), triple, strict=True))

    difference = {"psnr": bounds(psnr), "worst-5": bounds(worst), "concealed": bounds(concealed)}
    gain = {"psnr": bounds(over[0]), "worst-5": bounds(over[1]), "concealed": bounds(over[2])}
    result = {
        "settings": {"margin": 0.5, "draws": 40}, "bootstrap-block": block, "frames": frames, "best-model": "iid",
        "differences": {"iid": difference}, "interleaving": {"frames": 8, "over-frames": gain, "in-frame": gain},
    }  # fmt: skip
    return result | {"verdicts": judge(result)}


@pytest.mark.parametrize(
    ("found", "kind", "head", "words"),
    [
        (result_of((0.1, -0.2, 0.4)), "true", "Yes, with i.i.d.", "tells the truth"),
        (
            result_of((0.4, -0.2, 1.25)),
            "unclear",
            "Perhaps, with i.i.d.: no difference is seen, but this trace leaves room for one of up to 1.2 dB.",
            "may be wrong by up to 1.2 dB",
        ),
        (
            result_of((-2.0, -3.0, -1.0)),
            "optimistic",
            "No model of its losses does; replay the trace itself. Not with i.i.d.: 2.00 dB [1.00, 3.00] too optim",
            "is 2.00 dB [1.00, 3.00] too optimistic",
        ),
        (result_of((2.0, 1.0, 3.0)), "pessimistic", "2.00 dB [1.00, 3.00] too pessimistic.", "too pessimistic"),
        # The mean hides what the worst frames and the lost base layers show.
        (
            result_of((0, -0.1, 0.1), (-4, -5, -3)),
            "optimistic",
            "4.00 dB [3.00, 5.00] too optimistic in the worst",
            "is",
        ),
        (
            result_of((0, -1, 1), concealed=(0.1, 0.05, 0.15)),
            "optimistic",
            "too optimistic in frames without base layer",
            "too optimistic in frames",
        ),
        (result_of((0, -1, 1), concealed=(-0.1, -0.15, -0.05)), "pessimistic", "too pessimistic in frames", "is"),
        # Nobody would be told the truth about the worst frames.
        (result_of((0, -0.1, 0.1), (-0.8, -2, 1)), "unclear", "Perhaps", "is not refuted"),
        # Sure, and too small to matter.
        (result_of((-0.2, -0.3, -0.1), concealed=(0.005, 0.001, 0.01)), "true", "Yes, with i.i.d.", "tells"),
        (result_of((-9, -9, -9), frames=9.9), "short", "too short to tell: 9.9 frames", "cannot be judged"),
        (result_of((-9, -9, -9), block=11), "short", "too short", "cannot be judged"),
    ],
)
def test_verdicts(found, kind, head, words):
    assert found["verdicts"]["iid"] == kind
    assert head in headline(found) and words in told(found, "iid")


@pytest.mark.parametrize(
    ("over", "kind", "words"),
    [
        (
            ((0.1, -0.1, 0.3), (0.2, 0, 0.4), (0, 0, 0)),
            "enough",
            "Yes: spreading the same losses over 8 frames gains less than counts",
        ),
        (
            ((3.0, 2.0, 4.0), (0, -1, 1), (0, 0, 0)),
            "not-enough",
            "8 frames changes the mean by 3.00 dB [2.00, 4.00], which decides it; beside",
        ),
        (
            ((0, -0.1, 0.1), (6.0, 2.0, 9.0), (0, 0, 0)),
            "not-enough",
            "the worst 5 % of frames by 6.00 dB [2.00, 9.00], which decides it",
        ),
        (
            ((0.4, -0.5, 1.5), (0, 0, 0), (-0.15, -0.25, -0.05)),
            "not-enough",
            "base layer by -15.0% [-25.0%, -5.0%], which",
        ),
        (((0.4, -0.5, 1.5), (0, 0, 0), (0, 0, 0)), "unclear", "This trace cannot tell"),
        (((-3.0, -4.0, -2.0), (-1.0, -2.0, 0.0), (0.1, 0.05, 0.2)), "enough", "Yes"),
    ],
)
def test_verdicts_on_interleaving(over, kind, words):
    found = result_of((0, 0, 0), over=over)
    assert found["verdicts"]["interleaving"] == kind
    assert words in interleaving_answer(found)


def test_one_figure_of_three_needs_more_than_its_own_interval():
    """An interval that leaves 0 out by itself, and not together with the others', refutes nothing."""
    found = result_of((-2.0, -3.9, -0.1))
    assert found["verdicts"]["iid"] == "optimistic"
    found["differences"]["iid"]["psnr"]["together"] = [-4.5, 0.3]
    assert judge(found)["iid"] == "unclear"


def advised(gains: dict, verdicts: dict | None = None) -> dict:
    def bounds(value: float) -> dict:
        return {"value": value, "low": value - 0.05, "high": value + 0.05, "together": [value - 0.06, value + 0.06]}

    told = {
        option: {
            value: dict(zip(("psnr", "worst-5", "concealed"), map(bounds, figures), strict=True))
            for value, figures in tried.items()
        }
        for option, tried in gains.items()
    }
    now = {"survive": "0.5", "depth": "1", "block-size": "100"}
    advice = {"now": now, "gains": told, "blocks": {"100": 85, "50": 170, "200": 43}}
    return {"advice": advice, "verdicts": verdicts or {"iid": "true"}}


def test_the_first_sentence_says_what_to_do():
    """The best of what is surely better, by the mean or by the worst frames, each with its dB; else what is kept."""
    result = advised(
        {
            "survive": {"0.3": (0.4, -0.2, 0), "0.7": (-0.5, 1.0, 0)},
            "depth": {"8": (0.02, 3.0, -0.05)},
            "block-size": {"50": (-0.2, 0, 0), "200": (0.05, 0, 0)},
        }
    )
    assert advice_words(result) == (
        "On this link, send with --survive 0.3 (0.40 dB [0.35, 0.45] on the mean) and --interleave block --depth 8 "
        "(3.00 dB [2.95, 3.05] in the worst 5 % of frames); keep --block-size 100, 85 blocks a frame (200 would give "
        "0.05 dB [0.00, 0.10] on the mean)."
    )
    nothing = advised({"survive": {"0.3": (0.05, 9.0, 0)}, "depth": {"8": (-0.3, 2.0, 0)}})
    assert advice_words(nothing) == (
        "On this link, send with --survive 0.3 (9.00 dB [8.95, 9.05] in the worst 5 % of frames); keep --depth 1 (8 "
        "would give -0.30 dB [-0.35, -0.25] on the mean)."
    )
    assert "too short" in advice_words(advised({"survive": {}}, {"iid": "short"}))


def test_other_settings_are_those_that_the_stream_and_the_trace_have():
    whole = StreamFormat(512, 512)
    assert [(one.name, one.window) for one in variants((whole,), 1000)] == [
        ("survive 0.3", 85), ("survive 0.7", 85), ("block-size 50", 170), ("block-size 200", 42),
    ]  # fmt: skip
    # Version 1 has no survive, smaller blocks need a longer trace.
    assert [one.name for one in variants((STREAM,), N)] == ["block-size 64"]


def test_blocks_are_halved_or_doubled_for_as_long_as_it_gains():
    whole = StreamFormat(512, 512, block_size=200)
    tried = list(variants((whole,), 1000))
    means = {"block-size 100": 30.2, "block-size 50": 30.4, "block-size 400": 29.0}
    asked = []

    def mean_of(variant):
        asked.append(variant.name)
        return means[variant.name]

    # Blocks of 25 bytes are none; what loses is not gone on with.
    assert [one.name for one in further((whole,), tried, 1000, 30.0, mean_of)] == ["block-size 50"]
    assert asked == ["block-size 100", "block-size 50", "block-size 400"]
    # Frames of 170 packets are longer than the trace.
    assert further((whole,), tried, 100, 30.0, mean_of) == []
    whole = StreamFormat(512, 512)
    means = {"block-size 50": 30.05, "block-size 200": 30.2, "block-size 400": 30.25}
    tried = list(variants((whole,), 1000))
    assert [one.name for one in further((whole,), tried, 1000, 30.0, mean_of)] == ["block-size 400"]


def test_no_interleaving_over_frames_that_the_trace_does_not_have():
    found = result_of((0, 0, 0))
    found["interleaving"]["over-frames"] = None
    found["verdicts"] = judge(found)
    assert found["verdicts"]["interleaving"] == "short" and "too short" in interleaving_answer(found)


@pytest.mark.parametrize("rate", [0, 1])
def test_a_link_that_always_or_never_loses_is_its_rate(settings, rate):
    """Only i.i.d. can be fitted, and it is the link."""
    lost = np.full(12 * N, bool(rate))
    result, frames = compare(settings, lost, fit(lost), statistics(lost), device="cpu")
    assert list(result["differences"]) == ["iid"] and result["verdicts"]["iid"] == "true"
    assert result["differences"]["iid"]["psnr"] == {"value": 0.0, "low": 0.0, "high": 0.0, "together": [0.0, 0.0]}
    assert result["channels"][REPLAYED]["concealed"]["value"] == rate
    assert result["channels"][REPLAYED]["psnr-received"] is None or not rate
    assert result["verdicts"]["interleaving"] == "enough"
    assert [text for text, _ in frames][0].startswith("The link: ") and len(frames) == 4
    json.dumps(result, allow_nan=False)


def test_the_page_holds_all_it_shows_and_says_how_to_emulate(settings):
    lost = outages()
    lost[7::31] = True
    result, frames = compare(settings, lost, fit(lost), statistics(lost), device="cpu")
    result |= {"trace": {"file": "a<b.csv"}, "machine": {}, "command": "ds2c2 compare 'a<b.csv'"}
    page = render(result, [], frames[0][1])
    assert headline(result).replace("'", "&#x27;") in page
    assert "a&lt;b.csv" in page and "a<b" not in page and "No plots" in page
    assert advice_words(result) in page and "--block-size" in page
    both = render_several([Compared("a<b", "north", result), Compared("c", "south", result)], "ds2c2 compare a b")
    assert 'href="north/report.html">a&lt;b' in both and 'href="south/report.html"' in both and "a<b" not in both
    assert both.count(headline(result)) == 0 and both.count(advice_words(result)) == 2
    assert page.count("<img ") == page.count("src=") == page.count('src="data:image/') == 1 and "http" not in page
    fitted = {model["name"]: model for model in result["models"]}
    burst = 1 / fitted["gilbert-elliott"]["parameters"]["r"]["value"]
    commands = emulate_commands(result)
    assert (
        f"--channel gilbert-elliott --loss {fitted['gilbert-elliott']['loss']:.4g} --burst {burst:.4g}" in commands[2]
    )
    assert all(command.startswith("ds2c2 ") for command in commands) and len(commands) == 4
    # Of interleaving there is nothing to refute.
    result["verdicts"]["interleaving"] = "unclear"
    assert '<div class="badge">cannot be told</div><p>This trace cannot tell' in render(result, [], frames[0][1])
    assert "<td>cannot be told</td>" in render_several([Compared("a", "a", result)], "")
