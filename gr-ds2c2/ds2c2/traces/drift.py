# SPDX-License-Identifier: GPL-3.0-or-later
"""A link that drifts: the trace in pieces, each with a model of its own, where they change found by likelihood.

The pieces are those of highest likelihood, less a penalty for each (Schwarz 1978; optimal partitioning, Jackson et
al. 2005): exact over a grid of places, by the likelihood of a first-order Markov chain on the losses, whose counts
are known of every stretch at once; then each change is moved to the best packet between its neighbours on the grid.
Of each piece the model of ``twostates`` with the lowest BIC is kept, which is no chain where losses never begin or
never end; so the changes are moved once more, to where the kept models are likeliest.

Bursts that last very long look like pieces too. Whether changes or a chain that comes and goes says more is a
question of BIC, which counts every piece's parameters and where it begins.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ds2c2.traces.criteria import Criteria
from ds2c2.traces.lossstatistics import LAGS
from ds2c2.traces.twostates import LossModel, fit_general, fit_iid, fit_markov

NAME = "drift"
GRID = 400  # places among which changes are looked for
SHORTEST, PIECES = 100, 20  # packets of a piece, and how many pieces at most
ROUNDS, GAIN = 5, 0.1  # of moving the changes by the fitted models, and the log-likelihood for which they are moved
OF_A_PIECE = 3  # numbers: p and r of its chain, and where it begins


@dataclass(frozen=True, eq=False)
class Drift(Criteria):
    """The fitted model: ``parts`` of the trace in their order, and their ``lengths`` in packets. Figures and draws
    are those of ``lossmodels.LossModel``: of all parts, met at random."""

    parts: list[LossModel]
    lengths: list[int]
    name: str = NAME
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def changes(self) -> list[int]:
        """Places in the trace, counted from 0, at which a new part begins."""
        return np.cumsum(self.lengths)[:-1].tolist()

    @property
    def label(self) -> str:
        count = len(self.changes)
        return f"piecewise, {count or 'no'} change{'s' if count > 1 else ''}"

    @property
    def packets(self) -> int:
        return sum(self.lengths)

    @property
    def values(self) -> dict[str, float]:
        """None with an interval of its own; ``parts`` say all."""
        return {}

    @property
    def log_likelihood(self) -> float:
        """Natural logarithm, each part begun in its stationary state."""
        return sum(part.log_likelihood for part in self.parts)

    @property
    def parameters(self) -> int:
        """How many numbers were fitted, the places of the changes too."""
        return sum(len(part.intervals) for part in self.parts) + len(self.changes)

    @property
    def _shares(self) -> np.ndarray:
        return np.array(self.lengths) / self.packets

    @property
    def _starts(self) -> np.ndarray:
        """Bursts that begin, and so gaps too, a packet of the whole trace: of each part."""
        return self._shares * [part.loss / part.mean_burst if part.loss else 0.0 for part in self.parts]

    @property
    def loss(self) -> float:
        """Share of the packets that are lost."""
        return float(self._shares @ [part.loss for part in self.parts])

    @property
    def mean_burst(self) -> float:
        """Mean run of losses, packets."""
        starts = float(self._starts.sum())
        return self.loss / starts if starts else math.inf

    def autocorrelation(self, lags: int = LAGS) -> np.ndarray:
        """Of the losses at the lags 1 to ``lags``, ``float[lags]``: within the parts and between them."""
        rates = np.array([part.loss for part in self.parts])
        variance = self.loss * (1 - self.loss)
        if not variance:
            return np.zeros(lags)
        within = np.array([part.autocorrelation(lags) for part in self.parts]) * (rates * (1 - rates))[:, None]
        return (self._shares @ (within + (rates**2)[:, None]) - self.loss**2) / variance

    def run_survival(self, lost: bool, longest: int) -> np.ndarray:
        """P(a run of losses, or of arrivals, has n packets or more) for n = 1 to ``longest``."""
        found = np.array([part.run_survival(lost, longest) for part in self.parts])
        total = self._starts.sum()
        return self._starts @ found / total if total else np.zeros(longest)

    def pieces(self, rng: np.random.Generator, start: int = 0) -> Iterator[np.ndarray]:
        """Losses without end, ``bool[n]`` of a stay in a state at a time: part by part as the trace went, from its
        packet ``start`` on, and again from its first when it ends."""
        place = int(np.searchsorted(self.changes, start, side="right"))
        left = int(np.cumsum(self.lengths)[place]) - start
        while True:
            for piece in self.parts[place].pieces(rng):
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    break
            place = (place + 1) % len(self.parts)
            left = self.lengths[place]

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Losses of ``count`` packets, ``bool[count]``, begun anywhere in the trace."""
        ends = np.cumsum(self.lengths)
        start = int(rng.integers(self.packets))
        place = int(np.searchsorted(ends, start, side="right"))
        left = int(ends[place]) - start
        # A part at a time: `pieces` goes by stays in a state, each dear.
        drawn = [self.parts[place].draw(min(left, count), rng)]
        while (missing := count - sum(map(len, drawn))) > 0:
            place = (place + 1) % len(self.parts)
            drawn.append(self.parts[place].draw(min(self.lengths[place], missing), rng))
        return np.concatenate(drawn)

    def described(self) -> dict:
        """What the figures of all models do not say, ready for JSON."""
        return {
            "changes": self.changes,
            "parts": [
                {"packets": length, "model": part.name, "loss": part.loss, **part.values}
                for part, length in zip(self.parts, self.lengths, strict=True)
            ],
        }

    def words(self) -> list[str]:
        """The same in sentences."""
        if not self.changes:
            return ["The link did not change: no place is seen at which one model ends and another begins."]
        ends = np.cumsum(self.lengths).tolist()
        parts = [
            f"packets {end - length} to {end - 1} lose {part.loss:.1%}"
            + (f" in bursts of {part.mean_burst:.1f}" if part.loss and part.name != "iid" else "")
            for part, length, end in zip(self.parts, self.lengths, ends, strict=True)
        ]
        return [f"The link changed at packet {' and '.join(map(str, self.changes))}: {'; '.join(parts)}."]


def fit_drift(lost: np.ndarray) -> Drift:
    """The pieces of losses ``bool[n]``, n of 2 or more; one piece where no change pays."""
    lost = np.asarray(lost, bool)
    ends = [0, *change_points(lost), len(lost)]
    parts = [_fit_part(lost[start:end]) for start, end in pairwise(ends)]
    _settle(lost, ends, parts)
    return Drift(parts, np.diff(ends).tolist())


def _settle(lost: np.ndarray, ends: list[int], parts: list[LossModel]) -> None:
    """Moves the ends of the pieces, all but the first and last, to where the fitted models are likeliest, and fits
    those anew, as long as the sum of their BICs falls."""
    nearest = _shortest(len(lost)) // 2
    moved = set(range(1, len(parts)))
    for _ in range(ROUNDS):
        near, moved = moved, set()
        for number in sorted(near):
            left, place, right = ends[number - 1 : number + 2]
            ahead = _prefixes(parts[number - 1], lost[left:right])
            # By time's reversal, under which a stationary chain of two states is the same.
            both = ahead + _prefixes(parts[number], lost[left:right][::-1])[::-1]
            both[:nearest] = both[len(both) - nearest :] = -math.inf
            better = int(both.argmax()) + left
            if not both[better - left] > both[place - left] + GAIN:
                continue
            tried = [_fit_part(lost[left:better]), _fit_part(lost[better:right])]
            if _score(tried, len(lost)) < _score(parts[number - 1 : number + 1], len(lost)):
                ends[number], parts[number - 1 : number + 1] = better, tried
                moved |= {number - 1, number, number + 1} & set(range(1, len(parts)))
        if not moved:
            break


def _score(parts: list[LossModel], count: int) -> float:
    """What these pieces add to the BIC of a trace of ``count`` packets, their places left out."""
    return sum(len(part.intervals) * math.log(count) - 2 * part.log_likelihood for part in parts)


def _prefixes(model: LossModel, lost: np.ndarray) -> np.ndarray:
    """Log-likelihood of the first n losses of ``bool[m]`` for n = 0 to m, ``float[m + 1]``, -inf where impossible."""
    found = np.full(len(lost) + 1, -math.inf)
    found[0] = 0.0
    if model.good == model.bad:
        with np.errstate(divide="ignore"):
            np.cumsum(np.log(np.where(lost, model.good, 1 - model.good)), out=found[1:])
        return found
    good, bad = 1 - model.in_bad, model.in_bad
    given = ((1 - model.good, 1 - model.bad), (model.good, model.bad))
    stays_good, turns_bad, turns_good, stays_bad = 1 - model.p, model.p, model.r, 1 - model.r
    scales = []
    for hit in lost.tolist():
        in_good, in_bad = given[hit]
        good, bad = good * in_good, bad * in_bad
        scale = good + bad
        if not scale:
            break
        scales.append(scale)
        good, bad = (good * stays_good + bad * turns_good) / scale, (good * turns_bad + bad * stays_bad) / scale
    found[1 : len(scales) + 1] = np.cumsum(np.log(scales))
    return found


def _shortest(count: int) -> int:
    """Packets of a piece of a trace of ``count`` at the least."""
    return max(SHORTEST, -(-count // PIECES))


def change_points(lost: np.ndarray) -> list[int]:
    """Where pieces begin, the first one left out."""
    count = len(lost)
    shortest = _shortest(count)
    if count < 2 * shortest:
        return []
    # How often each of the four steps, arrived or lost to arrived or lost, was taken before a packet.
    steps = 2 * lost[:-1].astype(np.int8) + lost[1:]
    taken = np.zeros((4, count + 1))
    for kind in range(4):
        # The step that leads to a packet counts with it.
        np.cumsum(steps == kind, out=taken[kind, 2:])
    grid = np.unique(np.linspace(0, count, min(GRID, count) + 1).astype(int))
    penalty = OF_A_PIECE / 2 * math.log(count)
    reached, before = np.full(len(grid), -math.inf), np.zeros(len(grid), int)
    reached[0] = penalty  # the first piece's place is none
    for end in range(1, len(grid)):
        starts = np.flatnonzero(grid[end] - grid[:end] >= shortest)
        if len(starts):
            found = reached[starts] + _likelihood(taken, grid[starts], grid[end]) - penalty
            reached[end], before[end] = found.max(), starts[found.argmax()]
    places, at = [], before[-1]
    while at:
        places.insert(0, int(grid[at]))
        at = before[at]
    step = -(-count // min(GRID, count))
    for number, place in enumerate(places):
        left = places[number - 1] if number else 0
        right = places[number + 1] if number + 1 < len(places) else count
        near = np.arange(max(place - step, left + shortest // 2), min(place + step, right - shortest // 2) + 1)
        near = near if len(near) else np.array([place])
        both = _likelihood(taken, np.full(len(near), left), near) + _likelihood(taken, near, right)
        places[number] = int(near[both.argmax()])
    return places


def _likelihood(taken: np.ndarray, starts: np.ndarray, ends: np.ndarray | int) -> np.ndarray:
    """Highest log-likelihood of a chain on the losses in stretches from ``starts`` to before ``ends``, ``float[m]``,
    given the packet before."""
    from scipy.special import xlogy

    arrived_arrived, arrived_lost, lost_arrived, lost_lost = taken[:, ends].reshape(4, -1) - taken[:, starts]
    found = 0.0
    for one, other in ((arrived_arrived, arrived_lost), (lost_arrived, lost_lost)):
        total = one + other
        found = found + xlogy(one, one) + xlogy(other, other) - xlogy(total, total)
    return found


def _fit_part(lost: np.ndarray) -> LossModel:
    models = [fit_iid(lost)]
    if (lost[1:] & ~lost[:-1]).any() and (~lost[1:] & lost[:-1]).any():
        markov = fit_markov(lost)
        models += [markov, fit_general(lost, markov)]
    return min(models, key=lambda model: model.bic)
