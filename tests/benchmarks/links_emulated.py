#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""PSNR over many real links minus PSNR over their emulations, all frames of all links together.

    links_emulated.py LINKS CURVE [--also semi-markov --also drift] [--worlds 20 [--of iid]]

LINKS: a file of any format with several links, such as orbit-80211.csv. CURVE: the curve.json of calibration.py,
which stands for pictures and codec. Each link is replayed from 40 places, circularly, and emulated with every model
fitted to it by itself, 100 frames each. ``best`` is each link's model of lowest BIC. Intervals are 95 %,
by bootstrap over the links.

A frame is a large part of a short link, so replays differ less than draws even where the model is the link. What that
makes is seen in --worlds: every link is drawn anew from its model, as long as it was, and the model fitted to that, and
all goes the same way; the difference then is one of a true model, and its spread that of chance. --of says of which
models.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
from measuredcurve import STREAM, Curve

from ds2c2.evaluation.summary import WORST_SHARE
from ds2c2.traces.lossmodels import BASIC, CONFIDENCE, NAMES, Model, ModelError, best, fit
from ds2c2.traces.losstrace import read_links

PLACES, DRAWS = 40, 100
RESAMPLES = 300
POOLED = "all links, gilbert-elliott-general"


def frames_of(lost: np.ndarray) -> np.ndarray:
    """Replays ``bool[40, N]``."""
    starts = (np.arange(PLACES) + 0.5) / PLACES * len(lost)
    return lost[(starts.astype(int)[:, None] + np.arange(STREAM.blocks)) % len(lost)]


class Pooled:
    """PSNR of the frames of all links, ``float[links, frames]``."""

    def __init__(self, values: np.ndarray):
        order = np.argsort(values, axis=None)
        self.sorted, self.link = values.ravel()[order], order // values.shape[1]
        self.means = values.mean(axis=1)

    def figures(self, weights: np.ndarray) -> np.ndarray:
        """The mean, and that of the worst 5 %, of links that count so often, ``float[2]``."""
        each = weights[self.link]
        total = each.sum()
        before = np.cumsum(each) - each
        # The frame at the border counts with the part that lies within.
        taken = np.clip(WORST_SHARE * total - before, 0, each)
        return np.array([self.means @ weights / weights.sum(), self.sorted @ taken / taken.sum()])


def models_of(lost: np.ndarray, names: list[str]) -> dict[str, Model]:
    """By their names, the one of lowest BIC where one of them cannot be fitted."""
    try:
        found = fit(lost, names)
    except ModelError:
        found = fit(lost, ("iid",))
    chosen = best(found)
    return dict.fromkeys(names, chosen) | {model.name: model for model in found} | {"best": chosen}


def worlds(
    links: dict[str, np.ndarray], names: list[str], count: int, psnr: Callable, rng: np.random.Generator
) -> None:
    """What would be seen if a model were the link, on all links."""
    print("| if every link were | link minus emulation, mean, dB | in the worst 5 % of frames, dB |\n|---|---|---|")
    once = np.ones(len(links))
    for name in names:
        models = [models_of(lost, [name])[name] for lost in links.values()]
        found = []
        for _ in range(count):
            pairs = []
            for model, lost in zip(models, links.values(), strict=True):
                drawn = model.draw(len(lost), rng)
                again = models_of(drawn, [name])[name]
                frames = again.draw(DRAWS * STREAM.blocks, rng).reshape(DRAWS, -1)
                pairs.append((psnr(frames_of(drawn)), psnr(frames)))
            real, emulated = (Pooled(np.array(values)).figures(once) for values in zip(*pairs, strict=True))
            found.append(real - emulated)
        ends = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
        cells = [f"{d:+.2f} [{low:+.2f}, {high:+.2f}]" for d, low, high in zip(np.mean(found, 0), *ends, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("links")
    parser.add_argument("curve", type=Path)
    parser.add_argument("--also", action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worlds", type=int, default=0)
    parser.add_argument("--of", action="append", choices=NAMES)
    asked = parser.parse_args()
    curve = Curve(asked.curve)
    links = {name: trace.lost() for name, trace in read_links(asked.links).traces.items()}
    names = [*BASIC, *asked.also]
    together = fit(np.concatenate(list(links.values())), ("gilbert-elliott-general",))[0]
    rng = np.random.default_rng(asked.seed)

    def psnr(frames: np.ndarray) -> np.ndarray:
        return curve.receive(frames)[0].ravel()

    if asked.worlds:
        return worlds(links, asked.of or names, asked.worlds, psnr, rng)
    real, emulated = [], {name: [] for name in ("best", *names, POOLED)}
    for number, lost in enumerate(links.values(), 1):
        real.append(psnr(frames_of(lost)))
        for name, model in (models_of(lost, names) | {POOLED: together}).items():
            emulated[name].append(psnr(model.draw(DRAWS * STREAM.blocks, rng).reshape(DRAWS, -1)))
        print(f"\r{number} of {len(links)} links", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    link = Pooled(np.array(real))
    once = np.ones(len(links))
    resamples = [np.bincount(rng.integers(len(links), size=len(links)), minlength=len(links)) for _ in range(RESAMPLES)]
    shown = link.figures(once)
    print(
        f"{len(links)} links, {sum(map(len, links.values()))} packets: {shown[0]:.2f} dB, worst 5 % {shown[1]:.2f} dB"
    )
    print("| emulated by | link minus emulation, mean, dB | in the worst 5 % of frames, dB |\n|---|---|---|")
    of_link = np.array([link.figures(weights) for weights in resamples])
    for name, values in emulated.items():
        pooled = Pooled(np.array(values))
        difference = shown - pooled.figures(once)
        ends = np.quantile(
            of_link - [pooled.figures(weights) for weights in resamples],
            [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2],
            axis=0,
        )
        cells = [f"{d:+.2f} [{low:+.2f}, {high:+.2f}]" for d, low, high in zip(difference, *ends, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
