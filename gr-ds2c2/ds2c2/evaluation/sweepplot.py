# SPDX-License-Identifier: GPL-3.0-or-later
"""The plot of a sweep: packet error rate and its parts above, picture quality below."""

import warnings
from collections.abc import Sequence
from pathlib import Path

with warnings.catch_warnings():
    # A system's matplotlib beside the venv's: only 3-D plots would suffer.
    warnings.filterwarnings("ignore", message="Unable to import Axes3D")
    import matplotlib
    from matplotlib.figure import Figure

from ds2c2.evaluation.plots import OUR_COLOUR, save_figure
from ds2c2.evaluation.sweep import SweepPoint

# Okabe and Ito's colours, as in the other plots.
REASONS = {
    "missed": ("#0072B2", "s", "missed: no preamble found"),
    "header": ("#E69F00", "^", "header failed"),
    "crc": ("#009E73", "D", "check sum failed"),
    "host": ("#CC79A7", "v", "dropped by the host"),
}
INCHES = (8, 8)


def draw_sweep(points: Sequence[SweepPoint], title: str, path: Path) -> Path:
    """Write the plot of points, in order of their SNR, as PNG; its path."""
    snrs = [point.snr for point in points]
    matplotlib.use("Agg")
    figure = Figure(figsize=INCHES, layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    for axes in (above, below):
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
    # Where nothing is lost there is nothing to see on a logarithmic axis but the interval's end.
    rates = [point.per or None for point in points]
    above.fill_between(
        snrs, [max(point.per_low, 1e-9) for point in points], [point.per_high for point in points],
        color=OUR_COLOUR, alpha=0.2, linewidth=0,
    )  # fmt: skip
    above.plot(snrs, rates, color=OUR_COLOUR, marker="o", linewidth=2.5, label="lost, all reasons", zorder=5)
    for name, (colour, marker, label) in REASONS.items():
        shares = [getattr(point, name) / point.packets or None for point in points]
        if any(shares):
            above.plot(snrs, shares, color=colour, marker=marker, linewidth=1.3, label=label)
    above.set(yscale="log", ylabel="share of the packets", ylim=(0.5 / max(point.packets for point in points), 1.5))
    above.set_title(title, loc="left", fontsize=11)
    above.legend(fontsize=8, frameon=False)
    below.fill_between(
        snrs, [point.psnr_low for point in points], [point.psnr for point in points],
        color=OUR_COLOUR, alpha=0.2, linewidth=0, label="down to the worst picture",
    )  # fmt: skip
    below.plot(snrs, [point.psnr for point in points], color=OUR_COLOUR, marker="o", linewidth=2.5, label="mean")
    bare = [point for point in points if point.concealed]
    below.plot(
        [point.snr for point in bare], [point.psnr for point in bare],
        "x", color="black", markersize=9, label="base layer lost in some", zorder=6,
    )  # fmt: skip
    below.set(xlabel="SNR at the whole sample rate, dB", ylabel="PSNR of received pictures, dB")
    below.legend(fontsize=8, frameon=False)
    return save_figure(figure, path)
