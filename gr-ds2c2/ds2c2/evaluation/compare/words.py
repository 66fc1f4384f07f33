# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison's figures mean: a verdict for each emulation and for interleaving, and words."""

import math

from ds2c2.evaluation.compare.figures import JUDGED
from ds2c2.traces.lossmodels import LABELS, Model, verdict

FEW_FRAMES = 10  # a trace of fewer says little of its link
FEW_PIECES = 4  # resampling fewer independent pieces of a trace gives no interval
MOST_SEEN = 0.5  # of the packets: replays that look at fewer are to say so
LOST_MARGIN = 0.01  # of the frames: a smaller difference in lost base layers counts as none
TRUE, OPTIMISTIC, PESSIMISTIC, UNCLEAR, SHORT = "true", "optimistic", "pessimistic", "unclear", "short"
ENOUGH, NOT_ENOUGH = "enough", "not-enough"
WRONG = {OPTIMISTIC: "too optimistic", PESSIMISTIC: "too pessimistic"}


def judge(result: dict) -> dict[str, str]:
    """A verdict for each emulation, by its name, and one for ``interleaving``.

    An emulation is ``optimistic`` or ``pessimistic`` where an interval leaves 0 out and the difference
    is larger than the margin: that of the mean PSNR, else of the worst 5 % of frames, else of the
    frames without base layer. It is ``true`` where the whole interval of the mean lies within the
    margin and the other two figures differ by no more, else ``unclear``. Interleaving over one frame is
    ``enough`` where spreading losses over more gains less than that by each of the three figures, and
    ``not-enough`` where it surely gains.
    """
    margin = result["settings"]["margin"]
    pieces = result["settings"]["draws"] / result["bootstrap-block"]
    short = result["frames"] < FEW_FRAMES or pieces < FEW_PIECES
    found = {}
    for name, difference in result["differences"].items():
        refuted = _refuted(difference, margin)
        if short:
            found[name] = SHORT
        elif refuted:
            found[name] = refuted[1]
        else:
            found[name] = UNCLEAR if _open(difference, margin) else TRUE
    over = result["interleaving"]["over-frames"]
    if short or over is None:
        found["interleaving"] = SHORT
    elif _refuted(over, margin, gains=True):
        found["interleaving"] = NOT_ENOUGH
    elif all(over[key]["high"] <= margin for key in ("psnr", "worst-5")) and over["concealed"]["low"] >= -LOST_MARGIN:
        found["interleaving"] = ENOUGH
    else:
        found["interleaving"] = UNCLEAR
    return found


def _least(figure: str, margin: float) -> float:
    """What counts as none of a figure's difference."""
    return LOST_MARGIN if figure == "concealed" else margin


def _deciding(found: dict) -> dict:
    """A difference with the interval that verdicts are drawn from."""
    low, high = found.get("together", (found["low"], found["high"]))
    return found | {"low": low, "high": high}


def _refuted(difference: dict, margin: float, gains: bool = False) -> tuple[str, str] | None:
    """The figure that refutes an emulation and how, None where none does; ``gains``: only a gain of
    the first over the second counts."""
    for figure in JUDGED:
        found, least = difference[figure], _least(figure, margin)
        decided = _deciding(found)
        if abs(found["value"]) > least and not decided["low"] <= 0 <= decided["high"]:
            # More lost base layers on the link, or less PSNR there, and the emulation is too good.
            too_good = (found["value"] > 0) == (figure == "concealed")
            if not (gains and too_good):
                return figure, OPTIMISTIC if too_good else PESSIMISTIC
    return None


def _open(difference: dict, margin: float) -> str:
    """The figure of an emulation that is not refuted which keeps it from being true, empty where none does."""
    if difference["psnr"]["low"] < -margin or difference["psnr"]["high"] > margin:
        return "psnr"
    return next((one for one in JUDGED if abs(difference[one]["value"]) > _least(one, margin)), "")


def span(found: dict, turned: bool = False) -> str:
    """``0.30 dB [0.12, 0.48]``; ``turned``: with the other sign."""
    value, low, high = (found[key] for key in ("value", "low", "high"))
    if turned:
        value, low, high = -value, -high, -low
    # No minus before a zero.
    value, low, high = (round(v, 2) + 0.0 for v in (value, low, high))
    return f"{value:.2f} dB [{low:.2f}, {high:.2f}]"


def _most(found: dict) -> float:
    return max(abs(found["low"]), abs(found["high"]))


def _room(result: dict, name: str) -> tuple[str, str, str]:
    """How wrong an emulation that nothing refutes may be: up to how much, in what, and the difference itself."""
    figure = _open(result["differences"][name], result["settings"]["margin"])
    found = result["differences"][name][figure]
    if figure == "concealed":
        words = "{value:+.1%} [{low:+.1%}, {high:+.1%}]".format(**found)
        return f"{_most(found):.1%}", " in the share of frames without base layer", words
    return f"{_most(found):.1f} dB", " in the worst 5 % of frames" if figure == "worst-5" else "", span(found)


def _off(result: dict, name: str) -> str:
    """How wrong a refuted emulation is, without its name."""
    difference, kind = result["differences"][name], result["verdicts"][name]
    figure, _ = _refuted(difference, result["settings"]["margin"])
    if figure == "concealed":
        return f"{WRONG[kind]} in frames without base layer"
    what = " in the worst 5 % of frames" if figure == "worst-5" else ""
    return f"{span(_deciding(difference[figure]), turned=kind == OPTIMISTIC)} {WRONG[kind]}{what}"


def told(result: dict, name: str) -> str:
    """What is to be said of one emulation, without its name."""
    psnr, found = result["differences"][name]["psnr"], result["verdicts"][name]
    if found in WRONG:
        return f"is {_off(result, name)}"
    if found == UNCLEAR:
        most, what, words = _room(result, name)
        there = " there" if what else ""
        return f"is not refuted, but may be wrong by up to {most}{what}: link minus emulation is {words}{there}"
    return {
        TRUE: f"tells the truth: link minus emulation is {span(psnr)}",
        SHORT: f"cannot be judged by a trace so short; on it, link minus emulation is {span(psnr)}",
    }[found]


def headline(result: dict) -> str:
    """The answer to whether an emulated channel tells the truth, in a sentence or two."""
    verdicts = {name: result["verdicts"][name] for name in result["differences"]}
    if SHORT in verdicts.values():
        return (
            f"This trace is too short to tell: {result['frames']:.1f} frames of pictures. Record {FEW_FRAMES} frames "
            "or more, better hundreds."
        )
    # The model that fits the losses best comes first.
    order = sorted(verdicts, key=lambda name: name != result["best-model"])
    named = {kind: [name for name in order if verdicts[name] == kind] for kind in (TRUE, UNCLEAR)}
    if named[TRUE]:
        # i.i.d. brings its own full stop.
        lead = f"Yes, with {' or '.join(LABELS[name] for name in named[TRUE])}".removesuffix(".") + "."
    elif named[UNCLEAR]:
        differences, margin = result["differences"], result["settings"]["margin"]
        wide = [name for name in named[UNCLEAR] if _open(differences[name], margin) == "psnr"]
        shown = max(wide, key=lambda name: _most(differences[name]["psnr"])) if wide else named[UNCLEAR][0]
        most, what, _ = _room(result, shown)
        lead = (
            f"Perhaps, with {' or '.join(LABELS[name] for name in named[UNCLEAR])}: nothing refutes it, but this trace "
            f"leaves room for a difference of up to {most}{what}."
        )
    else:
        lead = "No model of its losses does; replay the trace itself."
    wrong = [f"Not with {LABELS[name]}: {_off(result, name)}." for name in order if verdicts[name] in WRONG]
    return " ".join([lead, *wrong])


def looked_at(result: dict) -> str:
    """How little of a long trace the replays look at, in a sentence, empty where it is most of it."""
    share = result["replayed-share"]
    if share >= MOST_SEEN:
        return ""
    return (
        f"The replays look at {share:.1%} of the trace's packets, and what is rare may lie in the rest: "
        f"--draws {math.ceil(result['settings']['draws'] / share)} looks at all."
    )


def lost_bases(result: dict, name: str) -> str:
    """Frames without base layer on the link and emulated."""
    both = [result["channels"][channel]["concealed"]["value"] for channel in ("trace", name)]
    return "frames without base layer: {:.1%} on the link, {:.1%} emulated".format(*both)


def interleaving_answer(result: dict) -> str:
    """Whether interleaving over one frame is enough, in a sentence."""
    found = result["interleaving"]
    over = found["over-frames"]
    if over is None:
        return "The trace is too short to say what interleaving over several frames would gain."
    kind = result["verdicts"]["interleaving"]
    if kind == NOT_ENOUGH:
        figure, _ = _refuted(over, result["settings"]["margin"], gains=True)
        over = over | {figure: _deciding(over[figure])}
    changes = {
        "psnr": f"the mean by {span(over['psnr'])}",
        "worst-5": f"the worst 5 % of frames by {span(over['worst-5'])}",
        "concealed": "the share of frames without base layer by {value:+.1%} [{low:+.1%}, {high:+.1%}]".format(
            **over["concealed"]
        ),
    }
    spread = f"spreading the same losses over {found['frames']} frames"
    if kind == NOT_ENOUGH:
        # What decided comes first, and is called that.
        others = " and ".join(words for name, words in changes.items() if name != figure)
        return f"No: {spread} changes {changes[figure]}, which decides it; beside that {others}."
    every = f"{changes['psnr']}, {changes['worst-5']} and {changes['concealed']}"
    return {
        ENOUGH: f"Yes: {spread} gains less than counts on every figure: it changes {every}.",
        UNCLEAR: f"This trace cannot tell: {spread} changes {every}.",
        SHORT: f"The trace is too short to tell; on it, {spread} changes {every}.",
    }[kind]


def said(result: dict, models: list[Model]) -> list[str]:
    """The whole answer, a sentence each."""
    words = [headline(result)]
    words += [f"{LABELS[name]} {told(result, name)}; {lost_bases(result, name)}." for name in result["differences"]]
    words.append(f"Is interleaving over one frame enough? {interleaving_answer(result)}")
    words.append(f"Shuffling the losses within a frame changes {span(result['interleaving']['in-frame']['psnr'])}.")
    words.append(verdict(models))
    return [one for one in (*words, looked_at(result)) if one]
