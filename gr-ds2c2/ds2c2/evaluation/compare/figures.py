# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of what pictures became on several channels, and differences between channels, with intervals."""

import math
import warnings
from dataclasses import astuple

import numpy as np

from ds2c2.evaluation.outcomes import Reception
from ds2c2.evaluation.summary import WORST_SHARE
from ds2c2.traces.lossmodels import CONFIDENCE

RESAMPLES = 2000

# Each figure and its unit; psnr-received is the mean over the frames that were not concealed.
FIGURES = {"psnr": "dB", "psnr-received": "dB", "worst-5": "dB", "ms-ssim": "", "concealed": ""}
# Those that refute an emulation; their intervals hold ``together`` (Bonferroni).
JUDGED = ("psnr", "worst-5", "concealed")


class ChannelFigures:
    """Figures of the channels and differences between them, with bootstrap intervals.

    Draws of a channel in ``replays`` stand in the order of their places in the trace and are
    resampled in circular blocks of ``block``, as long as neighbours share losses (Politis and Romano
    1992); all of these channels share their places and so their resamples. Draws of the others are
    independent. The pictures stay.

    Args:
        found: channel to picture to draw
    """

    def __init__(self, found: dict[str, list[list[Reception]]], replays: set[str], block: int, seed: int):
        self._values = {
            name: np.array([[astuple(one) for one in draws] for draws in pictures], object).astype(float)
            for name, pictures in found.items()
        }
        draws = next(iter(self._values.values())).shape[1]
        rng = np.random.default_rng([seed, 1])
        self.block = min(max(block, 1), draws)
        firsts = rng.integers(draws, size=(RESAMPLES, -(-draws // self.block), 1))
        replayed = (firsts + np.arange(self.block)).reshape(RESAMPLES, -1)[:, :draws] % draws
        self._orders = {
            name: replayed if name in replays else rng.integers(draws, size=(RESAMPLES, draws)) for name in found
        }
        self._once = np.arange(draws)[None]
        self._resampled: dict[tuple[str, str], np.ndarray] = {}

    def has(self, name: str) -> bool:
        """Whether there is a channel of this name."""
        return name in self._values

    def _figure(self, name: str, figure: str, orders: np.ndarray) -> np.ndarray:
        """``float[r]``, one for each row of draws ``int[r, draws]``."""

        def column(place: int) -> np.ndarray:
            chosen = np.ascontiguousarray(self._values[name][:, :, place])[:, orders]
            return chosen.transpose(1, 0, 2).reshape(len(orders), -1)

        if figure == "worst-5":
            psnr = column(0)
            worst = max(1, math.ceil(WORST_SHARE * psnr.shape[1]))
            return np.partition(psnr, worst - 1, axis=1)[:, :worst].mean(axis=1)
        if figure == "psnr-received":
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Mean of empty slice")
                return np.nanmean(np.where(column(2) == 1, np.nan, column(0)), axis=1)
        return column({"psnr": 0, "ms-ssim": 1, "concealed": 2}[figure]).mean(axis=1)

    def _resamples(self, name: str, figure: str) -> np.ndarray:
        if (name, figure) not in self._resampled:
            self._resampled[name, figure] = self._figure(name, figure, self._orders[name])
        return self._resampled[name, figure]

    def figure(self, name: str, figure: str) -> dict | None:
        """Value and interval of one of ``FIGURES``; None where there is none."""
        return _bounds(float(self._figure(name, figure, self._once)[0]), self._resamples(name, figure))

    def difference(self, one: str, other: str, figure: str) -> dict | None:
        """Value and interval of ``one`` minus ``other``, and ``together``, the interval that holds it with those of the
        other figures of ``JUDGED``."""
        values = [float(self._figure(name, figure, self._once)[0]) for name in (one, other)]
        resampled = self._resamples(one, figure) - self._resamples(other, figure)
        found = _bounds(values[0] - values[1], resampled)
        return found and found | {"together": _ends(resampled, 1 - (1 - CONFIDENCE) / len(JUDGED))}


def _bounds(value: float, resampled: np.ndarray) -> dict | None:
    if math.isnan(value):
        return None
    ends = _ends(resampled, CONFIDENCE)
    return {"value": round(value, 6), "low": ends[0], "high": ends[1]}


def _ends(resampled: np.ndarray, confidence: float) -> list[float]:
    return [round(float(v), 6) for v in np.nanquantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])]
