# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots of a loss trace and of a comparison between a link and its emulations."""

import warnings
from pathlib import Path

import numpy as np

with warnings.catch_warnings():
    # A system's matplotlib beside the venv's: only 3-D plots would suffer.
    warnings.filterwarnings("ignore", message="Unable to import Axes3D")
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from ds2c2.evaluation.compare.compare import CHANNEL_LABELS, DEEP, REPLAYED, SHUFFLED
from ds2c2.evaluation.plots import save_figure
from ds2c2.traces.lossmodels import LABELS, LossStatistics, Model

# Okabe and Ito's colours; line styles and markers say it again.
STYLES = {
    REPLAYED: ("#D55E00", "-", "o"),
    "gilbert-elliott-general": ("#0072B2", "--", "s"),
    "gilbert-elliott": ("#009E73", "-.", "^"),
    "iid": ("#000000", ":", "v"),
    "hidden-markov": ("#56B4E9", "--", "X"),
    "semi-markov": ("#999999", "-.", "*"),
    "drift": ("#882255", "--", "p"),
    SHUFFLED: ("#CC79A7", "-", "D"),
    DEEP: ("#E69F00", "--", "P"),
}
WINDOWS = 200  # points of the loss over time


def _dress(axes, title: str, across: str, up: str):
    axes.set(xlabel=across, ylabel=up)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def draw_trace(lost: np.ndarray, shown: LossStatistics, models: list[Model], path: Path) -> Path:
    """Loss over time, run lengths and autocorrelation of ``bool[n]``, models beside them, as PNG."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(10, 11), layout="constrained")
    axes = figure.subplot_mosaic([["time", "time"], ["bursts", "gaps"], ["lags", "lags"]])
    _over_time(_dress(axes["time"], "Loss over time", "packet", "packets lost"), lost, shown, models)
    for place, kind, title in (
        ("bursts", True, "Bursts: packets lost in a row"),
        ("gaps", False, "Gaps between losses"),
    ):
        _runs(_dress(axes[place], title, "packets in a row, n", "share of n or more"), shown, models, kind)
    _correlation(_dress(axes["lags"], "Autocorrelation of the losses", "lag, packets", "correlation"), shown, models)
    return save_figure(figure, path)


def _correlation(axes, shown: LossStatistics, models: list[Model]) -> None:
    lags = np.arange(1, len(shown.autocorrelation) + 1)
    noise = 1.96 / np.sqrt(shown.packets)
    axes.axhspan(-noise, noise, color="0.85", linewidth=0, label="95 % of independent losses lie here")
    for model in models:
        colour, line, _ = STYLES[model.name]
        axes.plot(lags, model.autocorrelation(len(lags)), line, color=colour, linewidth=1.8, label=model.label)
    axes.plot(lags, shown.autocorrelation, color=STYLES[REPLAYED][0], linewidth=1.5, label="the trace")
    axes.legend(fontsize=9, frameon=False)


def _over_time(axes, lost: np.ndarray, shown: LossStatistics, models: list[Model]) -> None:
    size = max(1, len(lost) // WINDOWS)
    whole = len(lost) // size * size
    rates = lost[:whole].reshape(-1, size).mean(axis=1)
    places = np.arange(len(rates)) * size
    axes.fill_between(places, rates, step="post", color=STYLES[REPLAYED][0], alpha=0.35, linewidth=0)
    axes.axhline(shown.rate, color="black", linewidth=1, linestyle=":", label=f"mean {shown.rate:.2%}")
    for place in next((model.changes for model in models if model.name == "drift"), ()):
        axes.axvline(place, color=STYLES["drift"][0], linewidth=1.2, linestyle="--")
    axes.set(xlim=(0, len(lost)), ylim=(0, None))
    axes.set_ylabel(f"packets lost, of {size} each" if size > 1 else "packets lost")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.legend(fontsize=9, frameon=False, loc="upper right")


def _runs(axes, shown: LossStatistics, models: list[Model], kind: bool) -> None:
    counts = shown.loss_runs if kind else shown.gap_runs
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if not counts:
        axes.set_title("no whole run", loc="right", fontsize=9)
        return
    total, lengths = sum(counts), np.arange(1, len(counts) + 1)
    survival = 1 - np.concatenate([[0], np.cumsum(counts)[:-1]]) / total
    for model in models:
        colour, line, _ = STYLES[model.name]
        axes.plot(lengths, model.run_survival(kind, len(counts)), line, color=colour, linewidth=1.8, label=model.label)
    axes.plot(lengths, survival, ".", color=STYLES[REPLAYED][0], markersize=4, label="the trace")
    # Below one run in all nothing was seen.
    axes.set_ylim(0.4 / total, 1.5)
    axes.legend(fontsize=8, frameon=False, loc="lower left")


def _channels(result: dict) -> list[str]:
    return [name for name in STYLES if name in result["channels"]]


def draw_quality(result: dict, path: Path) -> Path:
    """Mean and worst PSNR of each channel with intervals, and the share of concealed frames."""
    names = _channels(result)
    figure = Figure(figsize=(10, 0.8 + 0.6 * len(names)), layout="constrained")
    rows = -np.arange(len(names))
    panels = (
        ("psnr", "Mean PSNR", "dB"),
        ("worst-5", "Worst 5 % of frames", "dB"),
        ("concealed", "Base layer lost", "of the frames"),
    )
    for axes, (key, title, unit) in zip(figure.subplots(1, 3), panels, strict=True):
        _dress(axes, title, unit, "")
        for row, name in zip(rows, names, strict=True):
            _interval(axes, row, result["channels"][name][key], name)
        axes.set_yticks(rows, [CHANNEL_LABELS[name] for name in names] if key == "psnr" else [])
        axes.set_ylim(rows[-1] - 0.6, 0.6)
        if key == "concealed":
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
            axes.set_xlim(-0.01, max(0.05, axes.get_xlim()[1]))
    return save_figure(figure, path)


def _interval(axes, row: float, found: dict, name: str) -> None:
    colour, _, marker = STYLES[name]
    axes.plot([found["low"], found["high"]], [row, row], color=colour, linewidth=2.5, alpha=0.6)
    axes.plot(found["value"], row, marker, color=colour, markersize=8)


def draw_differences(result: dict, path: Path) -> Path:
    """PSNR on the link minus that on each emulation, with intervals."""
    names = [name for name in _channels(result) if name in result["differences"]]
    figure = Figure(figsize=(10, 1.1 + 0.55 * len(names)), layout="constrained")
    axes = _dress(figure.subplots(), "Link minus emulation, mean PSNR", "dB", "")
    margin = result["settings"]["margin"]
    axes.axvspan(-margin, margin, color="0.88", linewidth=0)
    axes.axvline(0, color="black", linewidth=1)
    for row, name in enumerate(names):
        found = result["differences"][name]["psnr"]
        _interval(axes, -row, found, name)
        axes.annotate(
            f"{found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]",
            (found["value"], -row), xytext=(0, 9), textcoords="offset points", ha="center", fontsize=9,
        )  # fmt: skip
    axes.set_yticks([-row for row in range(len(names))], [LABELS[name] for name in names])
    axes.set_ylim(-len(names) + 0.4, 0.75)
    # Room for both words, whichever side the intervals lie on.
    reach = 1.15 * max(2 * margin, *(abs(end) for end in axes.get_xlim()))
    axes.set_xlim(-reach, reach)
    axes.set_title("\u2190 emulation too optimistic · too pessimistic \u2192", loc="right", fontsize=9, color="0.35")
    return save_figure(figure, path)


def draw_distribution(result: dict, path: Path) -> Path:
    """How often a frame is worse than a PSNR, for each channel."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = _dress(figure.subplots(), "How often a picture is worse", "PSNR, dB", "frames below")
    for name in _channels(result):
        if name in (SHUFFLED, DEEP):
            continue
        values = np.sort(np.array(result["channels"][name]["draws"]["psnr"]), axis=None)
        colour, line, _ = STYLES[name]
        share = np.arange(1, len(values) + 1) / len(values)
        wide = 3 if name == REPLAYED else 1.8
        axes.step(values, share, line, where="post", color=colour, linewidth=wide, label=CHANNEL_LABELS[name])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, 1)
    axes.legend(fontsize=9, frameon=False, loc="upper left")
    return save_figure(figure, path)


def draw(result: dict, lost: np.ndarray, shown: LossStatistics, models: list[Model], folder: Path) -> list[Path]:
    """All plots of a comparison as PNG in ``folder``; their paths."""
    return [
        draw_trace(lost, shown, models, folder / "trace.png"),
        draw_differences(result, folder / "differences.png"),
        draw_quality(result, folder / "quality.png"),
        draw_distribution(result, folder / "distribution.png"),
    ]
