# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots of a benchmark: quality over loss and quality over rate."""

import warnings
from pathlib import Path

with warnings.catch_warnings():
    # A system's matplotlib beside the venv's: only 3-D plots would suffer.
    warnings.filterwarnings("ignore", message="Unable to import Axes3D")
    import matplotlib
    from matplotlib.figure import Figure

from ds2c2.evaluation.outcomes import BOTH, OURS, UNPROTECTED
from ds2c2.evaluation.rivals.rivals import LAYERED, RIVALS, label
from ds2c2.evaluation.summary import is_fixed, value
from ds2c2.files import whole

HEADLINE_RATE = 0.26  # bits per pixel
RATE_PLOT_LOSSES = (0.0, 0.16)
# Okabe and Ito's colours, which all kinds of colour vision tell apart; markers say it again.
OUR_COLOUR = "#D55E00"
STYLES = {name: (rival.colour, rival.marker) for name, rival in RIVALS.items()} | {LAYERED: ("#000000", "X")}
DOTS_PER_INCH = 120
INCHES = (10, 6)


def headline_rate(results: dict) -> float:
    """The rate that tables and plots show first: 0.26 bpp where it was measured."""
    rates = results["settings"]["rates"]
    return HEADLINE_RATE if HEADLINE_RATE in rates else rates[0]


def _figure(title: str, across: str):
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=across, ylabel="PSNR, dB, mean of pictures and draws")
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_figure(figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all. Raises ``FileError``."""
    with whole(path) as part:
        figure.savefig(part, format="png", dpi=DOTS_PER_INCH)
    return path


def _over_loss(results: dict, rules: str, path: Path) -> Path:
    rate = headline_rate(results)
    losses = sorted(results["settings"]["losses"])
    # Evenly spaced, else what matters is crowded at the left.
    across = list(range(len(losses)))
    whom = "never lost, no redundancy" if rules == "paper" else "lost like the rest, redundancy counted"
    figure, axes = _figure(
        f"{results['name']}, {rate:g} bpp, independent losses\nours under {rules} rules: base layer {whom}",
        "blocks lost, %",
    )
    axes.set_xticks(across, [f"{100 * loss:g}" for loss in losses])
    bands = []
    for curve in results["curves"]:
        values = [value(curve, rate, loss) for loss in losses]
        codec, design = curve["codec"], curve["design"]
        if codec == OURS and curve["rules"] == rules:
            low = [value(curve, rate, loss, key="psnr-rgb-low") for loss in losses]
            high = [value(curve, rate, loss, key="psnr-rgb-high") for loss in losses]
            bands.append((low, high))
            axes.plot(across, values, color=OUR_COLOUR, marker="o", linewidth=3, label=curve["name"], zorder=5)
        elif codec != OURS:
            colour, marker = STYLES[codec]
            if is_fixed(results, curve, rate):
                axes.plot(across, values, color=colour, marker=marker, linewidth=1.8, label=curve["name"], zorder=4)
            elif design != UNPROTECTED:
                axes.plot(across, values, color=colour, alpha=0.2, linewidth=1, zorder=2)
    # Few seeds make wide bands; the curves decide what is shown.
    axes.autoscale_view()
    axes.autoscale(False)
    for low, high in bands:
        axes.fill_between(across, low, high, color=OUR_COLOUR, alpha=0.25, linewidth=0)
    axes.plot([], [], color="0.6", alpha=0.5, linewidth=1, label="the same codecs, codes for other losses")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return save_figure(figure, path)


def _over_rate(results: dict, loss: float, path: Path) -> Path:
    rates = sorted(results["settings"]["rates"])
    figure, axes = _figure(
        f"{results['name']}, {100 * loss:g} % of the blocks lost, independently",
        "bits per pixel, all code blocks counted",
    )
    for curve in results["curves"]:
        values = [value(curve, rate, loss) for rate in rates]
        codec = curve["codec"]
        if codec == OURS:
            line = "-" if curve["rules"] == "air" else "--"
            named = f"{curve['name']}, {curve['rules']} rules"
            axes.plot(rates, values, line, color=OUR_COLOUR, marker="o", linewidth=3, label=named, zorder=5)
    for codec in results["settings"]["rivals"]:
        colour, marker = STYLES[codec]
        theirs = [c for c in results["curves"] if c["codec"] == codec and c["rules"] == BOTH]
        fixed = [next(curve for curve in theirs if is_fixed(results, curve, rate)) for rate in rates]
        values = [value(curve, rate, loss) for curve, rate in zip(fixed, rates, strict=True)]
        named = label(codec) + (", best fixed code" if codec in results["best-fixed"] else "")
        axes.plot(rates, values, color=colour, marker=marker, linewidth=1.8, label=named)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return save_figure(figure, path)


def draw(results: dict, folder: Path) -> list[Path]:
    """All plots of a benchmark as PNG in ``folder``; their paths. Losses are in per cent there."""
    matplotlib.use("Agg")
    written = []
    if "iid" not in results["settings"]["channels"]:
        return written
    for rules in results["settings"]["rules"]:
        written.append(_over_loss(results, rules, folder / f"psnr-over-loss-{rules}.png"))
    for loss in RATE_PLOT_LOSSES:
        if loss in results["settings"]["losses"]:
            written.append(_over_rate(results, loss, folder / f"psnr-over-rate-{loss * 100:g}.png"))
    return written
