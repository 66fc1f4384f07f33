# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of what pictures became on several channels, and differences between channels, with intervals.

Two kinds of interval, for two questions. How far may a figure be from what the link gives without end? That is said
by leaving out one part of the trace after the other (the jackknife, Tukey 1958), with Student's t for the few parts. Is
an emulation another link than this trace's? It was fitted to this very trace, so that both have the same luck, and
``together`` is narrower: a bootstrap of the replays in blocks (Politis and Romano 1992). What is rare is missing in
every replay of a trace that holds none of it, so of the worst 5 % of frames both are widened by what traces drawn anew
from models show. How often each is right is in docs/traces.md.
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
JOINT = 1 - (1 - CONFIDENCE) / len(JUDGED)
LEAST_ERROR, MOST_BENT = 1e-9, 50.0  # keep what is divided by, or raised by, finite
LIKEST = 0.25  # correlation of neighbouring parts, at most: so much where they are as short as a frame


@dataclass(frozen=True)
class Worlds:
    """By how much the logarithm of what losses cost is off in traces drawn anew, above 0 where one looks too good: by
    itself, and in the standard errors that it shows itself. A value each for every trace."""

    off: tuple[float, ...]
    errors: tuple[float, ...]

    def reach(self, level: float) -> tuple[float, float]:
        """How far the logarithm lies below and above that of the model in a share ``level`` of the traces."""
        low, high = np.quantile(self.off, [(1 - level) / 2, (1 + level) / 2])
        return float(high), -float(low)

    def widened(self, error: float, half: float) -> tuple[float, float]:
        """How far a 95 % interval reaches down and up, no less than the ``half`` that the trace itself gives it, whose
        standard error is ``error``."""
        low, high = np.quantile(self.errors, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        down, up = self.reach(CONFIDENCE)
        return max(half, error * float(high), down), max(half, -error * float(low), up)


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
        self._likest: Worlds | None = None
        self._floor = 0.0

    def allow_for(self, worlds: dict[str, np.ndarray], likest: str, floor: float) -> None:
        """Widen intervals of the worst 5 % of frames by ``worlds`` of models, their names to PSNR
        ``float[worlds, pictures, draws]`` in dB of replays of traces drawn anew. Those of the model ``likest`` the
        link widen that of the link, until it would hold what they are without end in 95 % of them; those of each model
        the one that a verdict on it is drawn from. ``floor`` is the least that a frame can have."""
        self.keep({name: known for name, some in worlds.items() if (known := self._known(some))}, likest, floor)

    def keep(self, worlds: dict[str, Worlds], likest: str, floor: float) -> None:
        """What ``allow_for`` found."""
        self.worlds, self._likest, self._floor = worlds, worlds.get(likest), floor

    def _known(self, worlds: np.ndarray) -> Worlds | None:
        """None where they lose nothing."""
        top = self._top["worst-5"]
        endless = top - _worst(worlds.reshape(1, -1))[0]
        found = []
        for psnr in worlds:
            cost = top - _worst(psnr.reshape(1, -1))[0]
            error = self._error(_without_each(psnr), True)
            if cost > 0 and endless > 0:
                off = math.log(endless / cost)
                found.append((off, off / max(error / cost, LEAST_ERROR)))
        return Worlds(*(tuple(one) for one in np.array(found).T.tolist())) if found else None

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

    def _error(self, without: np.ndarray, replayed: bool) -> float:
        """Standard error, from the figure without each part."""
        count = len(without)
        if np.isfinite(without).sum() < 2:
            return 0.0
        error = math.sqrt((count - 1) ** 2 / count * float(np.nanvar(without, ddof=1)))
        if replayed:
            # Frames that begin in one part end in the next: what two windows that overlap so much have in common.
            reach = count * self._share
            alike = min(reach / (6 - 2 * reach), LIKEST) if reach < 1 else LIKEST
            error *= math.sqrt((1 + 2 * alike) / (1 - 2 * alike / (count - 1))) if count > 2 else 1.0
        return error

    def _half(self, without: np.ndarray, replayed: bool, level: float = CONFIDENCE) -> float:
        """Half the width of an interval, before it is bent."""
        from scipy.stats import t

        return float(t.ppf((1 + level) / 2, len(without) - 1)) * self._error(without, replayed)

    def _ends(self, name: str, figure: str, level: float = CONFIDENCE) -> tuple[float, float]:
        """Interval of a figure, NaN where there is none."""
        low, high = self._by_parts(name, figure, level)
        if figure == "worst-5" and name not in self._replays:
            # Of few draws the worst 5 % are one or two frames, and leaving out one draw may change nothing.
            resampled = np.quantile(self._resamples(name, figure), [(1 - level) / 2, (1 + level) / 2])
            low, high = min(low, float(resampled[0])), max(high, float(resampled[1]))
        return low, high

    def _by_parts(self, name: str, figure: str, level: float) -> tuple[float, float]:
        """That of leaving out part after part, or draw after draw."""
        value, without, replayed = self._value(name, figure), self._without(name, figure), name in self._replays
        half = self._half(without, replayed, level)
        if figure == "concealed":
            if value in (0, 1):
                # What did not happen in so many frames may be rare.
                frames = self._frames(name, replayed)
                return wilson(round(value * frames), frames)
            return max(value - half, 0.0), min(value + half, 1.0)
        # What losses cost varies less where there are few, so the interval is one of its logarithm; there is no
        # PSNR nor MS-SSIM below 0.
        cost, floor = self._top[figure] - value, 0.0 if figure == "ms-ssim" else self._floor
        if not half > 0:
            # All frames alike: a worse one may be as rare as so many frames leave room for.
            rare = wilson(0, self._frames(name, replayed))[1] / (WORST_SHARE if figure == "worst-5" else 1)
            return value - min(rare, 1.0) * max(value - floor, 0.0), value
        if not cost > 0:
            return value - half, value + half
        down = up = half / cost
        if figure == "worst-5" and replayed and self._likest:
            down, up = self._likest.widened(self._error(without, replayed) / cost, half / cost)
        return self._bent(value, cost, down, up, floor)

    def _frames(self, name: str, replayed: bool) -> int:
        """How many were received; a short trace has fewer than were replayed."""
        frames = self._values[name][:, :, 2].size
        return min(int(1 / self._share), frames) if replayed else frames

    def _bent(self, value: float, cost: float, down: float, up: float, floor: float) -> tuple[float, float]:
        """An interval of a logarithm of ``cost`` as one of the ``value``, which is ``floor`` at the least."""
        bent = math.exp(min(down, MOST_BENT))
        return max(value - cost * (bent - 1), floor), value + cost * (1 - math.exp(-up))

    def _apart(self, one: str, ends: tuple, other: str, other_ends: tuple, figure: str) -> tuple[float, float]:
        """Interval of ``one`` minus ``other`` of two that need not be symmetric (Zou and Donner 2008)."""
        value, other_value = self._value(one, figure), self._value(other, figure)
        down = math.hypot(value - ends[0], other_ends[1] - other_value)
        up = math.hypot(ends[1] - value, other_value - other_ends[0])
        return value - other_value - down, value - other_value + up

    def _were_it(self, link: str, model: str) -> tuple[float, float]:
        """Interval of what ``link`` has over ``model`` in the worst 5 % of frames if it were that model, so that other
        traces would be as far from it as ``worlds`` of the model are."""
        value = self._value(link, "worst-5")
        cost = self._top["worst-5"] - value
        ends = self._bent(value, cost, *self.worlds[model].reach(JOINT), self._floor) if cost > 0 else (value, value)
        return self._apart(link, ends, model, self._ends(model, "worst-5", JOINT), "worst-5")

    def figure(self, name: str, figure: str) -> dict | None:
        """Value and interval of one of ``FIGURES``; None where there is none."""
        value = self._value(name, figure)
        return None if math.isnan(value) else _rounded(value, *self._ends(name, figure))

    def difference(self, one: str, other: str, figure: str) -> dict | None:
        """Value and interval of ``one`` minus ``other``, and ``together``, the interval that holds it with those of the
        other figures of ``JUDGED``, from which verdicts are drawn: by bootstrap, and by ``worlds`` where there are."""
        value = self._value(one, figure) - self._value(other, figure)
        if math.isnan(value):
            return None
        if one in self._replays and other in self._replays:
            half = self._half(self._without(one, figure) - self._without(other, figure), True)
            found = _rounded(value, value - half, value + half)
        else:
            ends, other_ends = self._ends(one, figure), self._ends(other, figure)
            found = _rounded(value, *self._apart(one, ends, other, other_ends, figure))
        resampled = self._resamples(one, figure) - self._resamples(other, figure)
        low, high = np.nanquantile(resampled, [(1 - JOINT) / 2, (1 + JOINT) / 2])
        if figure == "worst-5" and one in self._replays and other in self.worlds:
            wide = self._were_it(one, other)
            low, high = min(low, wide[0]), max(high, wide[1])
        return found | {"together": [round(float(low), 6), round(float(high), 6)]}


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
