# SPDX-License-Identifier: GPL-3.0-or-later
"""The grid of pe_train over pe_test as a plot: a line a model, a channel a picture."""

from itertools import cycle
from pathlib import Path

from ds2c2.evaluation.plots import OUR_COLOUR, STYLES, Figure, save_figure
from ds2c2.paper.models import pe_train_text
from ds2c2.paper.run import Measured
from ds2c2.paper.tables import EFFECT_NAMES, Asked, own

INCHES = (12, 6.5)
LINES = ("-", "--", ":", "-.")


def draw_grid(asked: Asked, found: Measured, path: Path) -> Path:
    """Write PSNR over pe_test as PNG. Colours are pe_train, lines rate and way of training."""
    figure = Figure(figsize=INCHES, layout="constrained")
    both = figure.subplots(1, len(EFFECT_NAMES), sharey=True)
    looks = cycle([(OUR_COLOUR, "o"), *STYLES.values()])
    by_share = {share: next(looks) for share in dict.fromkeys(m.pe_train for m in asked.family)}
    lines = cycle(LINES)
    by_rate = {rate: next(lines) for rate in dict.fromkeys((m.r_bpp, m.training) for m in asked.family)}
    for axes, (effect, words) in zip(both, EFFECT_NAMES.items(), strict=True):
        for model in asked.family:
            colour, marker = by_share[model.pe_train]
            values = [found.mean(model, own(model, effect, loss)) for loss in asked.losses]
            label = f"{model.name}: pe_train {pe_train_text(model)}, r {model.r_bpp:g} bpp, {model.training}"
            axes.plot(
                [100 * loss for loss in asked.losses], values, color=colour, marker=marker,
                linestyle=by_rate[model.r_bpp, model.training], label=label,
            )  # fmt: skip
        axes.set_title(words, loc="left", fontsize=10)
        axes.set(xlabel="pe_test, % of the blocks hit")
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
    both[0].set_ylabel("PSNR, dB, mean of pictures and draws")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower left", fontsize=8, ncols=2)
    count, name = len(found.run.digests), found.run.samples.name
    figure.suptitle(f"{name}, {count} pictures", x=0.01, ha="left", fontsize=11)
    return save_figure(figure, path)
