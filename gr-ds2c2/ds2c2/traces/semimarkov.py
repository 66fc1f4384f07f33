# SPDX-License-Identifier: GPL-3.0-or-later
"""A semi-Markov model: bursts and gaps take turns, each with lengths of a heavy tail.

P(n packets or more) = (1 + (n - 1) / scale) ** -tail, a discrete Lomax distribution (Lomax 1954): a power law far
out, and geometric, which is Gilbert's chain, as tail grows with scale. Lengths are independent of each other. No
run is longer than the trace, for longer ones were never seen: so means are finite where tail is 1 or less.

Of most runs the short ones say what is likeliest, and where the long ones do not go on as those begin, the likeliest
lengths may have quite another mean than those seen. A rate that the trace itself refutes is none: then the likeliest
of those lengths are taken that have the means seen.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ds2c2.traces.criteria import Criteria
from ds2c2.traces.hiddenmarkov import first_of
from ds2c2.traces.lossstatistics import batch_interval

NAME = "semi-markov"
LARGEST, SMALLEST = 1e5, 1e-2  # of scale and tail
LARGEST_LOGARITHM = 700.0  # of a number that a float can hold, 709
SIMULATED = 200_000  # packets, for the autocorrelation, which has no closed form


@dataclass(frozen=True)
class Lengths:
    """Lengths of the runs of one kind, up to ``longest`` packets."""

    scale: float
    tail: float
    longest: int

    def survival(self, lengths: np.ndarray) -> np.ndarray:
        """P(n packets or more) of ``float[n]``, 0 beyond ``longest``."""
        return np.where(lengths <= self.longest, (1 + (lengths - 1) / self.scale) ** -self.tail, 0.0)

    @cached_property
    def mean(self) -> float:
        """Packets."""
        return float(self.survival(np.arange(1, self.longest + 1)).sum())

    def draw(self, rng: np.random.Generator) -> int:
        """One length: by the inverse of the survival."""
        rest = max(rng.random(), 1e-300)
        if -math.log(rest) > LARGEST_LOGARITHM * self.tail:
            return self.longest
        return int(min(1 + self.scale * (rest ** (-1 / self.tail) - 1), self.longest))

    def cost(self, whole: np.ndarray, cut: np.ndarray) -> float:
        """Minus the log-likelihood of whole runs and of those that the trace's ends cut, ``int[n]``."""
        chance = self.survival(whole) - self.survival(whole + 1)
        found = np.log(np.maximum(chance, 1e-300)).sum() + np.log(np.maximum(self.survival(cut), 1e-300)).sum()
        return -float(found)


@dataclass(frozen=True, eq=False)
class SemiMarkov(Criteria):
    """The fitted model; figures and draws are those of ``lossmodels.LossModel``."""

    bursts: Lengths
    gaps: Lengths
    packets: int
    log_likelihood: float
    name: str = NAME
    label: str = "semi-Markov, heavy tails"
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    parameters: int = 4

    @property
    def values(self) -> dict[str, float]:
        """None with an interval."""
        return {}

    @property
    def loss(self) -> float:
        """Share of the packets that are lost."""
        return self.bursts.mean / (self.bursts.mean + self.gaps.mean)

    @property
    def mean_burst(self) -> float:
        """Mean run of losses, packets."""
        return self.bursts.mean

    def autocorrelation(self, lags: int = 100) -> np.ndarray:
        """Of the losses at the lags 1 to ``lags``, ``float[lags]``: that of a long draw."""
        drawn = self.draw(SIMULATED, np.random.default_rng(1)).astype(float)
        drawn -= drawn.mean()
        power = float(drawn @ drawn)
        return np.array([drawn[lag:] @ drawn[:-lag] / power if power else 0.0 for lag in range(1, lags + 1)])

    def run_survival(self, lost: bool, longest: int) -> np.ndarray:
        """P(a run of losses, or of arrivals, has n packets or more) for n = 1 to ``longest``."""
        return (self.bursts if lost else self.gaps).survival(np.arange(1, longest + 1))

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Losses without end, ``bool[n]`` of a run at a time. It begins within a run, as the trace is met."""
        lost = bool(rng.random() < self.loss)
        # A packet met at random lies in a long run more often than in a short one.
        lengths = self.bursts if lost else self.gaps
        chances = np.cumsum(lengths.survival(np.arange(1, lengths.longest + 1)))
        left = 1 + int(np.searchsorted(chances, rng.random() * chances[-1]))
        while True:
            yield np.full(left, lost)
            lost = not lost
            left = (self.bursts if lost else self.gaps).draw(rng)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Losses of ``count`` packets, ``bool[count]``."""
        return first_of(self.pieces(rng), count)

    def described(self) -> dict:
        """What the figures of all models do not say, ready for JSON."""
        return {
            kind: {"scale": one.scale, "tail": one.tail, "longest": one.longest}
            for kind, one in (("bursts", self.bursts), ("gaps", self.gaps))
        }

    def words(self) -> list[str]:
        """The same in sentences."""
        kinds = (("bursts", self.bursts), ("gaps", self.gaps))
        parts = [f"{kind} of n packets or more: (1 + (n - 1) / {one.scale:.3g})^-{one.tail:.3g}" for kind, one in kinds]
        return [f"{self.label}: {'; '.join(parts)}"]


def fit_semi(lost: np.ndarray) -> SemiMarkov:
    """By maximum likelihood, of losses ``bool[n]`` that begin and end; runs cut by the trace's ends count as at
    least that long. The search leaves the means' part in the first packet's likelihood out. Where what it finds loses
    at a rate outside the 95 % interval of the trace's, only lengths of the means seen are looked at."""
    lost = np.asarray(lost, bool)
    edges = np.flatnonzero(np.diff(lost)) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [len(lost)]]))
    kinds, inner = lost[starts], np.ones(len(starts), bool)
    inner[[0, -1]] = False
    runs = [(lengths[inner & (kinds == kind)], lengths[~inner & (kinds == kind)]) for kind in (True, False)]
    bursts, gaps = (_likeliest(*seen, len(lost)) for seen in runs)
    low, high = batch_interval(lost)
    if not low <= bursts.mean / (bursts.mean + gaps.mean) <= high:
        bursts, gaps = (_of_mean(*seen, len(lost)) for seen in runs)
    cost = sum(one.cost(*seen) for one, seen in zip((bursts, gaps), runs, strict=True))
    # The first run was met at random: P(state) times P(so much of it was left), S(n) / mean, whichever kind it is.
    return SemiMarkov(bursts, gaps, len(lost), -cost - math.log(bursts.mean + gaps.mean))


def _likeliest(whole: np.ndarray, cut: np.ndarray, longest: int) -> Lengths:
    """Of whole runs and of those that the trace's ends cut, ``int[n]``."""
    from scipy.optimize import minimize

    mean = float(np.concatenate([whole, cut]).mean())
    bounds = [(math.log(SMALLEST), math.log(LARGEST))] * 2
    tried = [
        minimize(
            lambda point: Lengths(*np.exp(point).tolist(), longest).cost(whole, cut),
            np.log([scale, tail]), method="L-BFGS-B", bounds=bounds,
        )
        for scale, tail in ((mean, 2.0), (50 * mean, 50.0))
    ]  # fmt: skip
    return Lengths(*np.exp(min(tried, key=lambda one: one.fun).x).tolist(), longest)


def _of_mean(whole: np.ndarray, cut: np.ndarray, longest: int) -> Lengths:
    """The likeliest whose mean is that of all these runs."""
    from scipy.optimize import brentq, minimize_scalar

    mean = float(np.concatenate([whole, cut]).mean())
    ends = math.log(SMALLEST), math.log(LARGEST)

    def of(tail: float) -> Lengths:
        """With the scale that makes the mean, the nearest where none does."""

        def off(scale: float) -> float:
            return Lengths(math.exp(scale), math.exp(tail), longest).mean - mean

        scale = ends[0] if off(ends[0]) >= 0 else ends[1] if off(ends[1]) <= 0 else brentq(off, *ends, xtol=1e-6)
        return Lengths(math.exp(scale), math.exp(tail), longest)

    found = minimize_scalar(lambda tail: of(tail).cost(whole, cut), bounds=ends, method="bounded")
    return of(found.x)
