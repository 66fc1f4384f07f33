# SPDX-License-Identifier: GPL-3.0-or-later
"""Link against emulation: what meets the pictures, the intervals, and the verdicts drawn from them."""

import json

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ds2c2.errors import UserError
from ds2c2.evaluation.compare.advice import advice_words, better, further, variants
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
from ds2c2.evaluation.compare.report import emulate_commands, render
from ds2c2.evaluation.compare.sidebyside import Compared, render_several
from ds2c2.evaluation.compare.words import headline, interleaving_answer, judge, looked_at, told
from ds2c2.evaluation.outcomes import describe
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.lossmodels import fit, statistics

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


def result_of(psnr, worst=(0, -1, 1), concealed=(0, 0, 0), frames=100.0, over=((0, 0, 0),) * 3, block=1) -> dict:
    """As much of a comparison as verdicts are drawn from."""

    def bounds(triple: tuple) -> dict:
        return dict(zip(("value", "low", "high"), triple, strict=True))

    difference = {"psnr": bounds(psnr), "worst-5": bounds(worst), "concealed": bounds(concealed)}
    gain = {"psnr": bounds(over[0]), "worst-5": bounds(over[1]), "concealed": bounds(over[2])}
    result = {
        "settings": {"margin": 0.5, "draws": 40}, "bootstrap-block": block, "frames": frames, "best-model": "iid",
        "differences": {"iid": difference}, "interleaving": {"frames": 8, "over-frames": gain, "in-frame": gain},
        "replayed-share": 1.0,
    }  # fmt: skip
    return result | {"verdicts": judge(result)}


@pytest.mark.parametrize(
    ("found", "kind", "head", "words"),
    [
        (result_of((0.1, -0.2, 0.4)), "true", "Yes, with i.i.d.", "tells the truth"),
        (
            result_of((0.4, -0.2, 1.25)),
            "unclear",
            "Perhaps, with i.i.d.: nothing refutes it, but this trace leaves room for a difference of up to 1.2 dB.",
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
        (
            result_of((0, -0.1, 0.1), (-0.8, -2, 1)),
            "unclear",
            "leaves room for a difference of up to 2.0 dB in the worst 5 % of frames.",
            "by up to 2.0 dB in the worst 5 % of frames: link minus emulation is -0.80 dB [-2.00, 1.00] there",
        ),
        (
            result_of((0, -0.1, 0.1), concealed=(0.02, -0.01, 0.05)),
            "unclear",
            "a difference of up to 5.0% in the share of frames without base layer.",
            "without base layer: link minus emulation is +2.0% [-1.0%, +5.0%] there",
        ),
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


def test_a_report_says_how_little_of_a_long_trace_was_looked_at():
    found = result_of((0, 0, 0))
    assert looked_at(found) == ""
    found["replayed-share"] = 0.007
    assert "look at 0.7% of the trace's packets" in looked_at(found) and "--draws 5715 looks at all" in looked_at(found)


def test_a_setting_that_loses_base_layers_is_not_advised():
    gain = {key: {"value": 2.0, "low": 1.5, "high": 2.5} for key in ("psnr", "worst-5")}
    assert better(gain | {"concealed": {"value": 0.02, "low": -0.01, "high": 0.05}}) == "psnr"
    assert better(gain | {"concealed": {"value": 0.12, "low": 0.01, "high": 0.25}}) == ""


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
    # Twelve frames without loss leave room for one in four with some; grey ones are as bad as any.
    assert list(result["differences"]) == ["iid"] and result["verdicts"]["iid"] == ("true" if rate else "unclear")
    difference = result["differences"]["iid"]["psnr"]
    assert difference["value"] == 0 and difference["together"] == [0.0, 0.0]
    assert (
        difference["low"] <= 0 <= difference["high"]
        and (max(abs(difference[end]) for end in ("low", "high")) > 1) != rate
    )
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
    assert 'href="./north/report.html">a&lt;b' in both and 'href="./south/report.html"' in both and "a<b" not in both
    assert both.count(headline(result)) == 0 and both.count(advice_words(result)) == 2
    assert page.count("<img ") == page.count("src=") == page.count('src="data:image/') == 1 and "http" not in page
    fitted = {model["name"]: model for model in result["models"]}
    burst = 1 / fitted["gilbert-elliott"]["parameters"]["r"]["value"]
    commands = emulate_commands(result)
    assert (
        f"--channel gilbert-elliott --loss {fitted['gilbert-elliott']['loss']:.4g} --burst {burst:.4g}" in commands[2]
    )
    assert all(command.startswith("ds2c2 ") for command in commands) and len(commands) == 4
    result["trace"] |= {"file": "my links.json", "reading": ["--within", "start"]}
    convert, replay, *_ = emulate_commands(result)
    assert convert == "ds2c2 trace convert 'my links.json' 'my links-link.csv' --within start"
    assert replay.endswith(" --channel trace --trace 'my links-link.csv'")
    # Of interleaving there is nothing to refute.
    result["verdicts"]["interleaving"] = "unclear"
    assert '<div class="badge">cannot be told</div><p>This trace cannot tell' in render(result, [], frames[0][1])
    assert "<td>cannot be told</td>" in render_several([Compared("a", "a", result)], "")
