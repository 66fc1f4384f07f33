# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of what pictures became on several channels, and differences between channels, with intervals.

Two kinds of interval, for two questions. How far may a figure be from what the link gives without end? That is said
by leaving out one part of the trace after the other (the jackknife, Tukey 1958), with Student's t for the few parts. Is
an emulation another link than this trace's? It was fitted to this very trace, so that both have the same luck, and
``together`` is narrower: a bootstrap of the replays in blocks (Politis and Romano 1992). How often each is right is in
docs/traces.md.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np

from ds2c2.evaluation.outcomes import Reception
from ds2c2.evaluation.summary import WORST_SHARE
from ds2c2.traces.lossstatistics import BATCHES, CONFIDENCE, wilson

# Each figure and its unit; psnr-received is the mean over the frames that were not concealed.
FIGURES = {"psnr": "dB", "psnr-received": "dB", "worst-5": "dB", "ms-ssim": "", "concealed": ""}
# Those that refute an emulation; their intervals hold ``together`` (Bonferroni).
JUDGED = ("psnr", "worst-5", "concealed")
RESAMPLES = 2000
LIKEST = 0.25  # correlation of neighbouring parts, at most: so much where they are as short as a frame


@dataclass(frozen=True)
class Worlds:
    """By how much the logarithm of what losses cost is off, downwards and upwards, where a trace is drawn anew: by
    itself, and in halves of the interval from that trace."""

    off: tuple[float, float]
    halves: tuple[float, float]

    def widened(self, half: float) -> tuple[float, float]:
        return tuple(max(half, half * halves, off) for off, halves in zip(self.off, self.halves, strict=True))


class ChannelFigures:
    """Figures of the channels and differences between them, with intervals.

    Draws of a channel in ``replays`` stand in the order of their places in the trace; all of these channels share
    their places. Neighbours share losses: a replay spans ``share`` of the trace, and ``block`` draws belong
    together. Draws of the others are independent. The pictures stay.

    Args:
        found: channel to picture to draw
    """

    def __init__(self, found: dict[str, list[list[Reception]]], replays: set[str], block: int, share: float, seed: int):
        self._values = {
            name: np.array(
                [[(one.psnr, one.ms_ssim, one.concealed) for one in draws] for draws in pictures], object
            ).astype(float)
            for name, pictures in found.items()
        }
        draws = next(iter(self._values.values())).shape[1]
        rng = np.random.default_rng([seed, 1])
        self.block = min(max(block, 1), draws)
        firsts = rng.integers(draws, size=(RESAMPLES, -(-draws // self.block), 1))
        replayed = (firsts + np.arange(self.block)).reshape(RESAMPLES, -1)[:, :draws] % draws
        self._replays, self._share = replays, share
        self._orders = {
            name: replayed if name in replays else rng.integers(draws, size=(RESAMPLES, draws)) for name in found
        }
        self._once = np.arange(draws)[None]
        self._resampled: dict[tuple[str, str], np.ndarray] = {}
        self._left_out: dict[tuple[str, str], np.ndarray] = {}
        # The best that was seen of each picture, which losses only lower.
        best = np.max([values[:, :, 0].max(axis=1) for values in self._values.values()], axis=0)
        self._top = {"psnr": best.mean(), "psnr-received": best.mean(), "worst-5": best.mean(), "ms-ssim": 1.0}
        self.worlds: dict[str, Worlds] = {}
        self._floor = 0.0

    def allow_for(self, name: str, worlds: np.ndarray, floor: float) -> None:
        """Widen the interval of the worst 5 % of frames of ``name`` until it would hold what they are without end in
        95 % of ``worlds``, PSNR ``float[worlds, pictures, draws]`` in dB of replays of traces drawn anew; ``floor`` is
        the least that a frame can have."""
        top = self._top["worst-5"]
        endless = top - _worst(worlds.reshape(1, -1))[0]
        found = []
        for psnr in worlds:
            cost = top - _worst(psnr.reshape(1, -1))[0]
            half = self._half(_without_each(psnr), True)
            if cost > 0 and endless > 0:
                off = math.log(endless / cost)
                found.append((off, off / max(half / cost, 1e-9)))
        if found:
            low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
            self.keep(name, Worlds((float(high[0]), float(-low[0])), (float(high[1]), float(-low[1]))), floor)

    def keep(self, name: str, worlds: Worlds, floor: float) -> None:
        """What ``allow_for`` found."""
        self.worlds[name], self._floor = worlds, floor

    def has(self, name: str) -> bool:
        """Whether there is a channel of this name."""
        return name in self._values

    def _figure(self, name: str, figure: str, orders: np.ndarray) -> np.ndarray:
        """``float[r]``, one for each row of draws ``int[r, draws]``."""

        def column(place: int) -> np.ndarray:
            chosen = np.ascontiguousarray(self._values[name][:, :, place])[:, orders]
            return chosen.transpose(1, 0, 2).reshape(len(orders), -1)

        if figure == "worst-5":
            return _worst(column(0))
        if figure == "psnr-received":
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Mean of empty slice")
                return np.nanmean(np.where(column(2) == 1, np.nan, column(0)), axis=1)
        return column({"psnr": 0, "ms-ssim": 1, "concealed": 2}[figure]).mean(axis=1)

    def _resamples(self, name: str, figure: str) -> np.ndarray:
        if (name, figure) not in self._resampled:
            self._resampled[name, figure] = self._figure(name, figure, self._orders[name])
        return self._resampled[name, figure]

    def _value(self, name: str, figure: str) -> float:
        return float(self._figure(name, figure, self._once)[0])

    def _without(self, name: str, figure: str) -> np.ndarray:
        """The figure without each part of the draws in turn, ``float[parts]``: of the trace, or single draws."""
        if (name, figure) not in self._left_out:
            draws = self._once[0]
            parts = np.array_split(draws, min(BATCHES, len(draws)) if name in self._replays else len(draws))
            kept = [np.delete(draws, part)[None] for part in parts]
            self._left_out[name, figure] = np.array([self._figure(name, figure, one)[0] for one in kept])
        return self._left_out[name, figure]

    def _half(self, without: np.ndarray, replayed: bool) -> float:
        """Half the width of a 95 % interval, before it is bent."""
        from scipy.stats import t

        count = len(without)
        error = math.sqrt((count - 1) ** 2 / count * float(np.nanvar(without, ddof=1)))
        if replayed:
            # Frames that begin in one part end in the next: what two windows that overlap so much have in common.
            reach = count * self._share
            alike = min(reach / (6 - 2 * reach), LIKEST) if reach < 1 else LIKEST
            error *= math.sqrt((1 + 2 * alike) / (1 - 2 * alike / (count - 1))) if count > 2 else 1.0
        return float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error

    def _ends(self, name: str, figure: str) -> tuple[float, float]:
        """95 % interval of a figure, NaN where there is none."""
        value, half = self._value(name, figure), self._half(self._without(name, figure), name in self._replays)
        if figure == "concealed":
            if value in (0, 1):
                # What did not happen in so many frames may be rare.
                frames = int(1 / self._share) if name in self._replays else self._values[name][:, :, 2].size
                return wilson(round(value * frames), frames)
            return max(value - half, 0.0), min(value + half, 1.0)
        # What losses cost varies less where there are few, so the interval is one of its logarithm; there is no
        # PSNR nor MS-SSIM below 0.
        cost = self._top[figure] - value
        if not cost > 0 or not half > 0:
            return value - half, value + half
        down = up = half / cost
        if figure == "worst-5" and name in self.worlds:
            down, up = self.worlds[name].widened(down)
        bent = math.exp(min(down, 50.0))
        return max(value - cost * (bent - 1), self._floor), value + cost * (1 - math.exp(-up))

    def figure(self, name: str, figure: str) -> dict | None:
        """Value and interval of one of ``FIGURES``; None where there is none."""
        value = self._value(name, figure)
        return None if math.isnan(value) else _rounded(value, *self._ends(name, figure))

    def difference(self, one: str, other: str, figure: str) -> dict | None:
        """Value and interval of ``one`` minus ``other``, and ``together``, the interval by bootstrap that holds it with
        those of the other figures of ``JUDGED``."""
        values = [self._value(name, figure) for name in (one, other)]
        value = values[0] - values[1]
        if math.isnan(value):
            return None
        if one in self._replays and other in self._replays:
            half = self._half(self._without(one, figure) - self._without(other, figure), True)
            found = _rounded(value, value - half, value + half)
        else:
            # Of two intervals that need not be symmetric (Zou and Donner 2008).
            (low, high), (other_low, other_high) = self._ends(one, figure), self._ends(other, figure)
            down = math.hypot(values[0] - low, other_high - values[1])
            found = _rounded(value, value - down, value + math.hypot(high - values[0], values[1] - other_low))
        resampled = self._resamples(one, figure) - self._resamples(other, figure)
        level = 1 - (1 - CONFIDENCE) / len(JUDGED)
        ends = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
        return found | {"together": [round(float(end), 6) for end in ends]}


def _worst(psnr: np.ndarray) -> np.ndarray:
    """Mean of the worst 5 % of each row, ``float[r]``."""
    worst = max(1, math.ceil(WORST_SHARE * psnr.shape[1]))
    return np.partition(psnr, worst - 1, axis=1)[:, :worst].mean(axis=1)


def _without_each(psnr: np.ndarray) -> np.ndarray:
    """Mean of the worst 5 % without each part of the draws ``float[pictures, draws]`` in turn, ``float[parts]``."""
    draws = psnr.shape[1]
    parts = np.array_split(np.arange(draws), min(BATCHES, draws))
    return np.array([_worst(np.delete(psnr, part, axis=1).reshape(1, -1))[0] for part in parts])


def _rounded(value: float, low: float, high: float) -> dict:
    return {"value": round(value, 6), "low": round(low, 6), "high": round(high, 6)}
