# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces as they might have been: drawn anew from a model, replayed as the link's is.

Frames that are rare decide the worst 5 %, so a trace that happens to hold none of them looks good and also shows little
spread: an interval from this trace alone is too short at its lower end just where it is most wrong. How much too short
is seen where the truth is known (the double bootstrap, Hall 1986): in draws from a model of the same length.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ds2c2.evaluation.outcomes import Reception
from ds2c2.traces.lossmodels import Model

WORLDS = 100
FEWEST = 40  # the ends are the outermost then
PACKETS = 20_000_000  # of all worlds of a model together, 2 s for the slowest model to draw


class Known:
    """PSNR of frames that nobody received: that of a frame of the same picture which lost as many packets, or as nearly
    as there was one; of several any.

    Args:
        losses: channel to picture to draw to ``bool[N]``
        found: the same, what became of the picture
    """

    def __init__(self, losses: dict[str, list[list[np.ndarray]]], found: dict[str, list[list[Reception]]]):
        self._rng = np.random.default_rng(1)
        self._pictures = []
        for place in range(len(next(iter(losses.values())))):
            counts = np.array([lost.sum() for drawn in losses.values() for lost in drawn[place]])
            psnr = np.array([one.psnr for name in losses for one in found[name][place]])
            order = np.argsort(counts, kind="stable")
            self._pictures.append((*np.unique(counts[order], return_index=True, return_counts=True), psnr[order]))

    def __call__(self, place: int, frames: np.ndarray) -> np.ndarray:
        """PSNR ``float[F]`` of picture ``place`` in dB, for the losses ``bool[F, N]``."""
        counts, firsts, sizes, psnr = self._pictures[place]
        wanted = frames.sum(axis=1)
        above = np.searchsorted(counts, wanted).clip(max=len(counts) - 1)
        below = (above - 1).clip(min=0)
        nearest = np.where(wanted - counts[below] < np.abs(counts[above] - wanted), below, above)
        return psnr[firsts[nearest] + (self._rng.random(len(wanted)) * sizes[nearest]).astype(int)]


def redrawn(
    model: Model,
    packets: int,
    places: Sequence[Sequence[int]],
    windows: Sequence[int],
    psnr: Callable[[int, np.ndarray], np.ndarray],
    seed: int,
) -> np.ndarray:
    """PSNR of all pictures over replays of traces of ``packets`` drawn from ``model``, ``float[worlds, pictures,
    draws]``; a picture's replays begin at its ``places`` and take its window of packets."""
    rng = np.random.default_rng([seed, 2])
    found = []
    for _ in range(int(np.clip(PACKETS // packets, FEWEST, WORLDS))):
        lost = model.draw(packets, rng)
        each = [
            psnr(place, lost[(np.asarray(starts)[:, None] + np.arange(window)) % packets])
            for place, (starts, window) in enumerate(zip(places, windows, strict=True))
        ]
        found.append(each)
    return np.array(found)
