# SPDX-License-Identifier: GPL-3.0-or-later
"""A comparison to one HTML file that holds all it shows: the answer, pictures, plots, tables."""

import base64
import html
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ds2c2.evaluation.compare.words import (
    ENOUGH,
    NOT_ENOUGH,
    OPTIMISTIC,
    PESSIMISTIC,
    SHORT,
    TRUE,
    UNCLEAR,
    headline,
    interleaving_answer,
    lost_bases,
    span,
)  # fmt: skip
from ds2c2.traces.lossmodels import LABELS

JPEG_QUALITY = 88
PLOT_TEXT = {
    "differences": "PSNR on the link minus PSNR on each emulation, with 95 % intervals; within the grey band a "
    "difference counts as none.",
    "quality": "Each channel's mean PSNR, the mean of its worst 5 % of frames, and the share of frames whose base "
    "layer was lost, with 95 % intervals.",
    "distribution": "Share of the frames that are worse than a PSNR.",
    "trace": "The trace and the models fitted to it.",
}
# What a verdict is called, and its colour.
BADGES = {
    TRUE: ("true", "good"),
    OPTIMISTIC: ("too optimistic", "wrong"),
    PESSIMISTIC: ("too pessimistic", "wrong"),
    UNCLEAR: ("not refuted", "open"),
    SHORT: ("trace too short", "open"),
    ENOUGH: ("enough", "good"),
    NOT_ENOUGH: ("not enough", "wrong"),
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 70rem; margin: 1.5rem auto;
       padding: 0 1rem }
h1 { line-height: 1.2; margin: 0 0 .5rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd }
.lead { font-size: 1.25rem; margin: .3rem 0 .9rem } .about { color: #555; margin: 0 0 1rem }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: .8rem }
.card { border: 1px solid #ddd; border-top: 5px solid #999; border-radius: 4px; padding: .6rem .9rem;
        font-size: .92rem }
.card h3 { margin: 0; font-size: 1rem } .card p { margin: .3rem 0 0 }
.badge { font-weight: 700; font-size: 1.15rem }
.good { border-top-color: #009e73 } .good .badge { color: #007a59 }
.wrong { border-top-color: #d55e00 } .wrong .badge { color: #b34700 }
.open { border-top-color: #e69f00 } .open .badge { color: #8a5f00 }
table { border-collapse: collapse; font-size: .9rem; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th { white-space: normal } th:first-child, td:first-child { text-align: left; white-space: normal }
td small { color: #555 }
td.words { text-align: left; white-space: normal; overflow-wrap: anywhere }
figure { margin: 1.2rem 0 } img { max-width: 100% } figcaption, .note { color: #555; font-size: .9rem }
pre { background: #f4f6f8; padding: .6rem 1rem; overflow-x: auto }
"""
METHOD = """
Every picture is encoded once and received as often as there are draws on each channel. All packets can be lost, those
of the base layer too; a frame whose base layer cannot be repaired shows grey and counts so. Replays begin at places
spread evenly over the trace and go on from its start at its end. Intervals are 95 %, for these pictures, by bootstrap:
the replays in circular blocks of neighbouring places, the emulations draw by draw; they say what another trace of the
same link and length might give. Shuffled channels are the same stretches of the trace with their losses in random
order, within one frame or over several: what ideal interleaving over so many frames would make of them.
"""
MODEL_NOTE = """
loss: probability that a packet is lost; p: probability a packet to turn from the good to the bad state, r: back; good,
bad: loss in them. Bursts off, gaps off: the largest difference between the distribution of run lengths and the model's.
Lower AIC and BIC fit better.
"""
INTERLEAVING = {
    "in-frame": "shuffled within a frame − as it was",
    "over-frames": "shuffled over {frames} frames − within one",
    "ideal": "i.i.d. at equal rate − shuffled within a frame",
}


def table(headings: list[str], rows: list[list[str]], words: bool = False) -> str:
    """An HTML table; cells are text. An interval stands under its value. ``words``: the last column
    is prose."""
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = ""
    for row in rows:
        cells = [f"<td>{html.escape(cell)}</td>" for cell in row]
        if words:
            cells[-1] = cells[-1].replace("<td>", '<td class="words">')
        else:
            cells = [re.sub(r" (\[[^]]*\])", r"<br><small>\1</small>", cell) for cell in cells]
        body += f"<tr>{''.join(cells)}</tr>\n"
    return f"<table>\n<tr>{head}</tr>\n{body}</table>\n"


def bounded(found: dict | None, digits: int = 2, percent: bool = False, sign: bool = False) -> str:
    """``27.31 [27.02, 27.60]``"""
    if found is None:
        return "–"
    form = f"{'+' if sign else ''}.{digits}{'%' if percent else 'f'}"
    value, low, high = (format(found[key], form) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


QUALITY = ["mean PSNR, dB", "of those received, dB", "worst 5 %, dB", "MS-SSIM", "base layer lost"]


def quality_cells(found: dict, sign: bool = False) -> list[str]:
    """The cells under ``QUALITY`` of a channel or of a difference."""
    cells = [bounded(found[key], sign=sign) for key in ("psnr", "psnr-received", "worst-5")]
    return [*cells, bounded(found["ms-ssim"], 4, sign=sign), bounded(found["concealed"], 1, percent=True, sign=sign)]


MODEL_FIGURES = (
    ("mean-burst", "mean burst, packets", 2),
    ("log-likelihood", "log-likelihood", 1),
    ("aic", "AIC", 1),
    ("bic", "BIC", 1),
    ("loss-run-distance", "bursts off", 3),
    ("gap-run-distance", "gaps off", 3),
)
PARAMETERS = ("loss", "p", "r", "good", "bad")


def model_rows(models: list[dict]) -> list[list[str]]:
    """A row a figure: its name, then its value for each model; the first row has the models' names."""
    rows = [["", *(model["label"] for model in models)]]
    for name in PARAMETERS:
        rows.append([name, *(bounded(model["parameters"].get(name), 4) for model in models)])
    rows.append(["loss rate", *(f"{model['loss']:.2%}" for model in models)])
    for key, name, digits in MODEL_FIGURES:
        rows.append([name, *("–" if model[key] is None else f"{model[key]:.{digits}f}" for model in models)])
    return [row for row in rows if set(row[1:]) != {"–"}]


def headed(rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The first row and the others."""
    return rows[0], rows[1:]


def mean_run(counts: list[int]) -> str:
    """Mean of run lengths counted from 1 on, in packets."""
    total = sum(counts)
    return f"{sum(n * count for n, count in enumerate(counts, 1)) / total:.2f} packets" if total else "none whole"


def statistics_rows(shown: dict) -> list[list[str]]:
    """Name and value of a trace's statistics."""
    low, high = shown["interval"]
    return [
        ["packets", str(shown["packets"])],
        ["lost on the link", str(shown["lost"])],
        ["loss rate", f"{shown['rate']:.2%} [{low:.2%}, {high:.2%}], bootstrap in blocks of {shown['block']} packets"],
        ["the same if independent", "[{:.2%}, {:.2%}], Wilson".format(*shown["independent"])],
        ["mean burst", mean_run(shown["loss_runs"])],
        ["longest burst", f"{len(shown['loss_runs'])} packets"],
        ["mean gap between losses", mean_run(shown["gap_runs"])],
    ]


def emulate_commands(result: dict) -> list[str]:
    """Command lines that put this link's losses, or an emulation of them, on a stream."""
    lines = [f"ds2c2 send PICTURES --to udp://… --channel trace --trace {result['trace']['file']}"]
    for model in result["models"]:
        if model["name"] == "iid":
            lines.append(f"ds2c2 send PICTURES --to udp://… --channel iid --loss {model['loss']:.4g}")
        elif model["name"] == "gilbert-elliott":
            lines.append(
                f"ds2c2 send PICTURES --to udp://… --channel gilbert-elliott --loss {model['loss']:.4g} "
                f"--burst {1 / model['parameters']['r']['value']:.4g}"
            )
        else:
            lines.append(
                f"ds2c2 trace fit {result['trace']['file']} --model {model['name']} --emulate emulated.csv "
                "&& ds2c2 send PICTURES --to udp://… --channel trace --trace emulated.csv"
            )
    return lines


def _image(kind: str, data: bytes, text: str) -> str:
    encoded, text = base64.b64encode(data).decode(), html.escape(text)
    return (
        f'<figure><img alt="{text}" src="data:image/{kind};base64,{encoded}"><figcaption>{text}</figcaption></figure>\n'
    )


def _frames(sheet: np.ndarray) -> str:
    data = io.BytesIO()
    Image.fromarray(sheet).save(data, "JPEG", quality=JPEG_QUALITY)
    text = "The first picture as it came: above a typical frame of each channel, below a bad one, 1 in 20 being worse."
    return _image("jpeg", data.getvalue(), text)


def _card(verdict: str, title: str, words: str) -> str:
    badge, kind = BADGES[verdict]
    return (
        f'<div class="card {kind}"><h3>{html.escape(title)}</h3><div class="badge">{badge}</div>'
        f"<p>{html.escape(words)}</p></div>\n"
    )


def _cards(result: dict) -> str:
    cards = ""
    for name, found in result["differences"].items():
        words = f"Link minus emulation: {span(found['psnr'])} on the mean, {span(found['worst-5'])} in the worst 5 %"
        cards += _card(result["verdicts"][name], LABELS[name], f"{words}; {lost_bases(result, name)}.")
    return cards + _card(result["verdicts"]["interleaving"], "Interleaving over one frame", interleaving_answer(result))


def _about(result: dict) -> str:
    shown = result["statistics"]
    low, high = shown["interval"]
    name = next(model["label"] for model in result["models"] if model["name"] == result["best-model"])
    return (
        f"{result['trace']['file']}: {shown['packets']} packets, {result['frames']:.0f} frames, "
        f"{shown['rate']:.2%} [{low:.2%}, {high:.2%}] lost, bursts of {mean_run(shown['loss_runs'])} on average and "
        f"{len(shown['loss_runs'])} at most. Of the models, {name} fits the losses best by BIC."
    )


def render(result: dict, plots: list[Path], sheet: np.ndarray) -> str:
    """The page. ``plots`` are PNG files, embedded, none where matplotlib is not installed; ``sheet``
    shows frames, ``uint8[H, W, 3]``."""
    shown = {path.stem: _image("png", path.read_bytes(), PLOT_TEXT[path.stem]) for path in plots}
    settings, trace = result["settings"], result["trace"]
    channels = [
        [found["label"], f"{found['loss']:.2%}", *quality_cells(found)] for found in result["channels"].values()
    ]
    differences = [[LABELS[name], *quality_cells(found, sign=True)] for name, found in result["differences"].items()]
    frames = result["interleaving"]["frames"]
    interleaving = [
        [named.format(frames=frames), *quality_cells(result["interleaving"][key], sign=True)]
        for key, named in INTERLEAVING.items()
        if result["interleaving"][key] is not None
    ]
    configuration = [[key, str(value)] for key, value in trace.items()]
    configuration += [[f"picture {p['name']}", f"{p['blocks']} packets: {p['format']}"] for p in settings["pictures"]]
    configuration += [
        ["draws of each channel a picture", str(settings["draws"])],
        ["seed", str(settings["seed"])],
        ["pictures fitted by", settings["fit"]],
        ["difference that counts as none", f"{settings['margin']:g} dB of mean PSNR"],
        ["frames in the trace", f"{result['frames']:g}"],
        ["bootstrap block", f"{result['bootstrap-block']} draws"],
        *([key, str(value)] for key, value in result["machine"].items()),
    ]
    plotted = "" if plots else '<p class="note">No plots: the package matplotlib is not installed.</p>\n'
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Emulated against real: {html.escape(trace["file"])}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{STYLE}</style></head><body>
<h1>Does the emulated channel tell the truth about this link?</h1>
<p class="lead">{html.escape(headline(result))}</p>
<p class="about">{html.escape(_about(result))}</p>
<div class="cards">
{_cards(result)}</div>
{plotted}{shown.get("differences", "")}
<h2>What it looks like</h2>
{_frames(sheet)}
<h2>Real and emulated</h2>
{table(["channel", "loss", *QUALITY], channels)}{shown.get("quality", "")}
<h3>Link minus emulation</h3>
{table(["emulation", *QUALITY], differences)}{shown.get("distribution", "")}
<h2>Is interleaving over one frame enough?</h2>
<p>{html.escape(interleaving_answer(result))}</p>
{table(["difference", *QUALITY], interleaving)}
<h2>The trace and its models</h2>
{table(["", "of the trace"], statistics_rows(result["statistics"]), words=True)}
{table(*headed(model_rows(result["models"])))}
<p class="note">{MODEL_NOTE}</p>
{shown.get("trace", "")}
<h2>The same losses on your stream</h2>
<pre>{html.escape(chr(10).join(emulate_commands(result)))}</pre>
<h2>How it was done</h2>
<p>{METHOD}</p>
<pre>{html.escape(result["command"])}</pre>
{table(["", ""], configuration, words=True)}
</body></html>
"""
