# SPDX-License-Identifier: GPL-3.0-or-later
"""A comparison to one HTML file that holds all it shows: the answer, pictures, plots, tables."""

import base64
import io
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from ds2c2.evaluation.compare.advice import OPTIONS, advice_words, better, blocks_words
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
    looked_at,
    lost_bases,
    span,
)  # fmt: skip
from ds2c2.traces.lossmodels import LABELS
from ds2c2.traces.lossstatistics import has_batches

TEMPLATE = "report.html"
# What comes from traces and files is text, whatever it looks like.
TEMPLATES = Environment(
    loader=PackageLoader("ds2c2.evaluation.compare", "."), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
)  # fmt: skip
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
# Of interleaving there is nothing to refute.
INTERLEAVING_BADGES = BADGES | {UNCLEAR: ("cannot be told", "open")}
INTERLEAVING = {
    "in-frame": "shuffled within a frame − as it was",
    "over-frames": "shuffled over {frames} frames − within one",
    "ideal": "i.i.d. at equal rate − shuffled within a frame",
}


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and an interval that stands below it."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class Table:
    """A table; ``words``: the last column is prose."""

    headings: list[str]
    rows: list[list[Cell]]
    words: bool = False

    @classmethod
    def of(cls, headings: list[str], rows: list[list[Cell | str]], words: bool = False) -> "Table":
        """A table whose plain cells are texts."""
        return cls(headings, [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in rows], words)


@dataclass(frozen=True)
class Card:
    """A verdict: ``kind`` is its colour, ``badge`` what it is called."""

    kind: str
    badge: str
    title: str
    words: str


@dataclass(frozen=True)
class Embedded:
    """A picture within the page: ``data`` in base64, ``text`` its caption."""

    kind: str
    data: str
    text: str

    @classmethod
    def of(cls, kind: str, data: bytes, text: str) -> "Embedded":
        return cls(kind, base64.b64encode(data).decode(), text)


def bounded(found: dict | None, digits: int = 2, percent: bool = False, sign: bool = False) -> Cell:
    """A figure and its interval: ``27.31`` and ``[27.02, 27.60]``."""
    if found is None:
        return Cell("–")
    form = f"{'+' if sign else ''}.{digits}{'%' if percent else 'f'}"
    value, low, high = (format(found[key], form) for key in ("value", "low", "high"))
    return Cell(value, f"[{low}, {high}]")


QUALITY = ["mean PSNR, dB", "of those received, dB", "worst 5 %, dB", "MS-SSIM", "base layer lost"]


def quality_cells(found: dict, sign: bool = False) -> list[Cell]:
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


def model_table(models: list[dict]) -> Table:
    """A row a figure: its name, then its value for each model."""
    rows: list[list[Cell | str]] = []
    for name in PARAMETERS:
        rows.append([name, *(bounded(model["parameters"].get(name), 4) for model in models)])
    rows.append(["loss rate", *(f"{model['loss']:.2%}" for model in models)])
    for key, name, digits in MODEL_FIGURES:
        rows.append([name, *(Cell("–" if model[key] is None else f"{model[key]:.{digits}f}") for model in models)])
    known = [row for row in rows if set(row[1:]) != {Cell("–")}]
    return Table.of(["", *(model["label"] for model in models)], known)


def mean_run(counts: list[int], what: str) -> str:
    """Mean of run lengths counted from 1 on, in packets, and of how many ``what`` it is."""
    total = sum(counts)
    if not total:
        return f"no whole {what}"
    mean = sum(n * count for n, count in enumerate(counts, 1)) / total
    return f"{mean:.2f} packets, of {total} whole {what}{'' if total == 1 else 's'}"


def mean_burst(shown: dict) -> str:
    """Mean of the whole bursts of a trace's statistics, and how many losses are in others."""
    cut = shown["cut_loss_runs"]
    if not cut:
        return mean_run(shown["loss_runs"], "burst") if shown["lost"] else "no burst"
    lost = "1 loss is" if sum(cut) == 1 else f"{sum(cut)} losses are"
    where = "a burst that the trace's end cuts" if len(cut) == 1 else "bursts that the trace's ends cut"
    return f"{mean_run(shown['loss_runs'], 'burst')}; {lost} in {where}"


def longest_burst(shown: dict) -> str:
    """The longest burst of a trace's statistics; one that the trace's ends cut was at least as long as is seen."""
    whole, cut = len(shown["loss_runs"]), max(shown["cut_loss_runs"], default=0)
    longest = max(whole, cut)
    if not longest:
        return "no burst"
    return f"{longest} packet{'' if longest == 1 else 's'}{' or more' if cut == longest else ''}"


def statistics_rows(shown: dict) -> list[list[str]]:
    """Name and value of a trace's statistics."""
    low, high = shown["interval"]
    means = "by batch means" if has_batches(shown["lost"], shown["packets"]) else "Wilson"
    return [
        ["packets", str(shown["packets"])],
        ["lost on the link", str(shown["lost"])],
        ["loss rate", f"{shown['rate']:.2%} [{low:.2%}, {high:.2%}], {means}"],
        ["the same if independent", "[{:.2%}, {:.2%}], Wilson".format(*shown["independent"])],
        ["mean burst", mean_burst(shown)],
        ["longest burst", longest_burst(shown)],
        ["mean gap between losses", mean_run(shown["gap_runs"], "gap")],
    ]


def emulate_commands(result: dict) -> list[str]:
    """Command lines that put this link's losses, or an emulation of them, on a stream."""
    file, reading = result["trace"]["file"], result["trace"].get("reading")
    lines = []
    if reading:  # which `ds2c2 send` has no options for
        lines = [shlex.join(["ds2c2", "trace", "convert", file, file := f"{Path(file).stem}-link.csv", *reading])]
    file = shlex.quote(file)
    lines.append(f"ds2c2 send PICTURES --to udp://… --channel trace --trace {file}")
    for model in result["models"]:
        if model["name"] == "iid":
            lines.append(f"ds2c2 send PICTURES --to udp://… --channel iid --loss {model['loss']:.4g}")
        elif model["name"] == "gilbert-elliott":
            lines.append(
                f"ds2c2 send PICTURES --to udp://… --channel gilbert-elliott --loss {model['loss']:.4g} "
                f"--burst {1 / model['parameters']['r']['value']:.4g}"
            )
        else:
            lines.append(f"ds2c2 send PICTURES --to udp://… --channel {model['name']} --trace {file}")
    return lines


def advice_table(advice: dict) -> Table:
    """A row each setting that was tried, with what it would gain."""
    rows: list[list[Cell | str]] = []
    for option, tried in advice["gains"].items():
        for value, gain in tried.items():
            cells = [bounded(gain[key], sign=True) for key in ("psnr", "worst-5")]
            frames = f", {blocks_words(advice['blocks'][value])} a frame" if option == "block-size" else ""
            rows.append(
                [
                    f"{OPTIONS[option]} {value}{frames}",
                    advice["now"][option],
                    *cells,
                    bounded(gain["concealed"], 1, percent=True, sign=True),
                    "better" if better(gain) else "",
                ]
            )
    return Table.of(["setting", "now", "mean PSNR, dB", "worst 5 %, dB", "base layer lost", ""], rows)


def _frames(sheet: np.ndarray) -> Embedded:
    data = io.BytesIO()
    Image.fromarray(sheet).save(data, "JPEG", quality=JPEG_QUALITY)
    text = "The first picture as it came: above a typical frame of each channel, below a bad one, 1 in 20 being worse."
    return Embedded.of("jpeg", data.getvalue(), text)


def _card(verdict: str, title: str, words: str, badges: dict[str, tuple[str, str]] = BADGES) -> Card:
    badge, kind = badges[verdict]
    return Card(kind, badge, title, words)


def _cards(result: dict) -> list[Card]:
    cards = []
    for name, found in result["differences"].items():
        words = f"Link minus emulation: {span(found['psnr'])} on the mean, {span(found['worst-5'])} in the worst 5 %"
        cards.append(_card(result["verdicts"][name], LABELS[name], f"{words}; {lost_bases(result, name)}."))
    verdict = result["verdicts"]["interleaving"]
    return [*cards, _card(verdict, "Interleaving over one frame", interleaving_answer(result), INTERLEAVING_BADGES)]


def _about(result: dict) -> str:
    shown = result["statistics"]
    low, high = shown["interval"]
    name = next(model["label"] for model in result["models"] if model["name"] == result["best-model"])
    return (
        f"{result['trace']['file']}: {shown['packets']} packets, {result['frames']:.0f} frames, "
        f"{shown['rate']:.2%} [{low:.2%}, {high:.2%}] lost. Mean burst: {mean_burst(shown)}. "
        f"Longest burst: {longest_burst(shown)}. Of the models, {name} fits the losses best by BIC."
    )


def render(result: dict, plots: list[Path], sheet: np.ndarray) -> str:
    """The page. ``plots`` are PNG files, embedded, none where matplotlib is not installed; ``sheet``
    shows frames, ``uint8[H, W, 3]``."""
    shown = {path.stem: Embedded.of("png", path.read_bytes(), PLOT_TEXT[path.stem]) for path in plots}
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
        ["draws that belong together", str(result["bootstrap-block"])],
        *([key, str(value)] for key, value in result["machine"].items()),
    ]
    return TEMPLATES.get_template(TEMPLATE).render(
        trace=trace["file"],
        advice_words=advice_words(result),
        advice=advice_table(result["advice"]),
        drifted=[model["words"] for model in result["models"] if model.get("changes")],
        headline=headline(result),
        about=" ".join(filter(None, [_about(result), looked_at(result)])),
        cards=_cards(result),
        plots=shown,
        frames=_frames(sheet),
        channels=Table.of(["channel", "loss", *QUALITY], channels),
        differences=Table.of(["emulation", *QUALITY], differences),
        interleaving_answer=interleaving_answer(result),
        interleaving=Table.of(["difference", *QUALITY], interleaving),
        statistics=Table.of(["", "of the trace"], statistics_rows(result["statistics"]), words=True),
        models=model_table(result["models"]),
        emulate=emulate_commands(result),
        command=result["command"],
        configuration=Table.of(["", ""], configuration, words=True),
    )
