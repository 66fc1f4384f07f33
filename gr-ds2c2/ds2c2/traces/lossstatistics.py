# SPDX-License-Identifier: GPL-3.0-or-later
"""What a trace's losses show by themselves, without a model: rate, runs, autocorrelation."""

import math
from dataclasses import dataclass

import numpy as np

from ds2c2.errors import ExitCode, UserError

CONFIDENCE = 0.95
LAGS = 100  # packets
# Parts of a trace whose loss rates say how far its own may be off. Few, for they must be long beside its fades; fewer
# would make wider intervals (Ibragimov and Mueller 2010 take 8 and 16).
BATCHES = 8


class ModelError(UserError):
    """Losses to which nothing can be fitted."""

    exit_code = ExitCode.LOSSES


@dataclass(frozen=True)
class LossStatistics:
    """What a trace shows by itself. ``interval`` is the loss rate's 95 % interval by batch means where
    ``has_batches``, ``independent`` Wilson's, too narrow where losses hang together, which they do over about
    ``block`` packets;
    ``loss_runs`` and ``gap_runs`` count the runs of each length from 1 on, whole ones;
    ``autocorrelation`` at the lags 1 to ``LAGS``, as far as the trace goes; ``cut_loss_runs`` are the lengths of the
    runs of losses that the trace's ends cut, in packets: the link's own are that long or longer."""

    packets: int
    lost: int
    interval: tuple[float, float]
    independent: tuple[float, float]
    block: int
    loss_runs: list[int]
    gap_runs: list[int]
    autocorrelation: list[float]
    cut_loss_runs: list[int]

    @property
    def rate(self) -> float:
        return self.lost / self.packets


def statistics(lost: np.ndarray) -> LossStatistics:
    """Statistics of ``bool[n]``. Raises ``ModelError`` for none."""
    lost = np.asarray(lost, bool)
    if not len(lost):
        raise ModelError("0 packets have no statistics; record some")
    correlation = autocorrelation(lost)
    block = bootstrap_block(lost)
    runs = [np.bincount(run_lengths(lost, kind))[1:].tolist() for kind in (True, False)]
    hits, count = int(lost.sum()), len(lost)
    intervals, cut = (batch_interval(lost), wilson(hits, count)), cut_lengths(lost, True)
    return LossStatistics(count, hits, *intervals, block, *runs, correlation.tolist(), cut)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a probability (Wilson 1927) from ``hits`` in ``count`` independent trials."""
    from scipy.stats import binomtest

    if count == 0:
        return 0.0, 1.0
    low, high = binomtest(hits, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(low), float(high)


def autocorrelation(lost: np.ndarray, lags: int = LAGS) -> np.ndarray:
    """Sample autocorrelation of the losses at the lags 1 to ``lags`` or n - 1; 0 without variance."""
    lags = min(lags, len(lost) - 1)
    centred = lost - lost.mean()
    power = float(centred @ centred)
    if not power:
        return np.zeros(lags)
    return np.array([centred[lag:] @ centred[:-lag] / power for lag in range(1, lags + 1)])


def run_lengths(lost: np.ndarray, kind: bool) -> np.ndarray:
    """Lengths of the runs of losses (True) or arrivals (False), ``int[k]``, in their order; runs
    that the trace's ends cut are left out."""
    edges = np.flatnonzero(np.diff(lost)) + 1
    return np.diff(edges)[lost[edges[:-1]] == kind] if len(edges) else np.zeros(0, int)


def cut_lengths(lost: np.ndarray, kind: bool) -> list[int]:
    """Lengths of the runs of losses (True) or arrivals (False) of ``bool[n]``, n of 1 or more, that the trace's ends
    cut: none, one or two, a single one where the trace is one run."""
    edges = np.flatnonzero(np.diff(lost)) + 1
    ends = [(lost[0], edges[0]), (lost[-1], len(lost) - edges[-1])] if len(edges) else [(lost[0], len(lost))]
    return [int(length) for value, length in ends if value == kind]


def run_survival(runs: np.ndarray) -> np.ndarray:
    """Share of the runs ``int[k]``, k of 1 or more, that have n packets or more, ``float[m + 1]`` for n = 1 to one more
    than the longest, m, which none has."""
    counts = np.bincount(runs)[1:]
    return 1 - np.concatenate([[0], np.cumsum(counts)]) / len(runs)


def bootstrap_block(lost: np.ndarray) -> int:
    """Over how many packets losses hang together, as far as a mean is concerned: the block length of the circular block
    bootstrap (Politis and White 2004, with the correction of Patton, Politis and White 2009)."""
    count = len(lost)
    window = max(5, math.ceil(math.sqrt(math.log10(count)))) if count > 1 else 1
    most = min(count - 1, math.ceil(math.sqrt(count)) + window)
    if most < 1 or lost.all() or not lost.any():
        return 1
    found = autocorrelation(lost, most)
    small = np.abs(found) < 2 * math.sqrt(math.log10(count) / count)
    # The first lag after which so many in a row are not told from 0.
    quiet = [lag for lag in range(len(small)) if small[lag : lag + window].all()]
    reach = min(2 * max(quiet[0] if quiet else most, 1), most)
    lags = np.arange(1, reach + 1)
    taper = np.clip(2 * (1 - lags / reach), 0, 1)
    slope = 2 * float((taper * lags * found[:reach]).sum())
    density = 1 + 2 * float((taper * found[:reach]).sum())
    block = (2 * slope**2 / (4 / 3 * density**2)) ** (1 / 3) * count ** (1 / 3) if density else 1.0
    return int(min(max(1, math.ceil(block)), math.ceil(min(3 * math.sqrt(count), count / 3))))


def has_batches(hits: int, count: int) -> bool:
    """Whether ``count`` packets, ``hits`` of them lost, have an interval by batch means: not where nothing or all is
    lost, nor with fewer packets than two a part."""
    return 0 < hits < count and count >= 2 * BATCHES


def batch_interval(lost: np.ndarray) -> tuple[float, float]:
    """95 % interval of the loss rate of ``bool[n]``: Student's t from the rates of ``BATCHES`` equal parts (Ibragimov
    and Mueller 2010), on the logit, since a trace that happens to lose little varies little too. Parts need not be
    alike, nor losses independent over less than a part. Wilson's where it has none by ``has_batches``."""
    from scipy.special import expit, logit
    from scipy.stats import t

    hits, count = int(lost.sum()), len(lost)
    if not has_batches(hits, count):
        return wilson(hits, count)
    rate = hits / count
    edges = np.linspace(0, count, BATCHES + 1).astype(int)
    rates = np.add.reduceat(lost, edges[:-1], dtype=float) / np.diff(edges)
    error = float(rates.std(ddof=1)) / math.sqrt(BATCHES)
    half = float(t.ppf((1 + CONFIDENCE) / 2, BATCHES - 1)) * error / (rate * (1 - rate))
    low, high = expit(logit(rate) + half * np.array([-1, 1]))
    return float(low), float(high)
