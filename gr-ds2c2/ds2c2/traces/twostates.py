# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hidden states, good and bad, each with a probability of loss: p leads from good to bad, r back (Gilbert 1960,
Elliott 1963); and one state alone, independent losses. All by maximum likelihood.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np

from ds2c2.traces.hiddenmarkov import HiddenMarkov
from ds2c2.traces.losschain import Chain
from ds2c2.traces.lossstatistics import CONFIDENCE, LAGS, wilson

LABELS = {
    "iid": "i.i.d.",
    "gilbert-elliott": "Gilbert–Elliott, loss 0 and 1",
    "gilbert-elliott-general": "Gilbert–Elliott, loss in both states",
}
# Rounds of Baum-Welch from each start, on so many packets; a quasi-Newton search goes on from the best, on all.
ROUNDS = 20
PART = 20_000
STRETCH = 1024  # packets of one state that are drawn together
EVALUATIONS = 300  # of the likelihood by that search
# Parameters are searched as logits within this; there probabilities are 1e-6 from 0 and 1.
BOUND = 13.8
STEP = 0.02  # of the logits, for the likelihood's curvature
FLAT = 1e-9  # of the largest curvature; less is none
# A logit beyond NEAR whose interval is wider than WIDEST to a side lies at the edge.
NEAR, WIDEST = 7.0, 2.0


@dataclass(frozen=True)
class LossModel:
    """A fitted model. ``p``, ``r``: probabilities a packet to turn bad and good; ``good``, ``bad``:
    loss in the two states; ``intervals``: 95 % interval of each fitted parameter, by its name;
    ``log_likelihood`` natural logarithm, of ``packets`` losses."""

    name: str
    p: float
    r: float
    good: float
    bad: float
    packets: int
    log_likelihood: float
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return LABELS[self.name]

    @property
    def values(self) -> dict[str, float]:
        """The fitted parameters."""
        return {name: self.loss if name == "loss" else getattr(self, name) for name in self.intervals}

    @property
    def aic(self) -> float:
        """Akaike's criterion: the lower the better."""
        return 2 * len(self.intervals) - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion: the lower the better."""
        return len(self.intervals) * math.log(self.packets) - 2 * self.log_likelihood

    @property
    def in_bad(self) -> float:
        """Share of the packets that meet the bad state."""
        return self.p / (self.p + self.r)

    @property
    def loss(self) -> float:
        """Share of the packets that are lost."""
        return self.good + self.in_bad * (self.bad - self.good)

    def autocorrelation(self, lags: int = LAGS) -> np.ndarray:
        """Of the losses at the lags 1 to ``lags``, ``float[lags]``."""
        between = self.in_bad * (1 - self.in_bad) * (self.bad - self.good) ** 2
        variance = self.loss * (1 - self.loss)
        return (between / variance if variance else 0.0) * (1 - self.p - self.r) ** np.arange(1, lags + 1)

    def run_survival(self, lost: bool, longest: int) -> np.ndarray:
        """P(a run of losses, or of arrivals, has n packets or more) for n = 1 to ``longest``."""
        step = np.array([[1 - self.p, self.p], [self.r, 1 - self.r]])
        inside = np.array([self.good, self.bad]) if lost else 1 - np.array([self.good, self.bad])
        states = ((np.array([1 - self.in_bad, self.in_bad]) * (1 - inside)) @ step) * inside
        states = states / max(states.sum(), 1e-300)
        survival = np.empty(longest)
        for place in range(longest):
            survival[place] = states.sum()
            states = (states @ step) * inside
        return survival

    @property
    def mean_burst(self) -> float:
        """Mean run of losses, packets."""
        starts = self.loss * (1 - self.autocorrelation(1)[0]) * (1 - self.loss)
        return self.loss / starts if starts else math.inf

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Losses without end, ``bool[n]`` of a stay in a state at a time, or of some where there is one state."""
        while self.good == self.bad:
            yield rng.random(STRETCH) < self.good
        step = np.array([[1 - self.p, self.p], [self.r, 1 - self.r]])
        yield from HiddenMarkov(step, np.array([self.good, self.bad])).pieces(rng)

    def described(self) -> dict:
        """What the figures of all models do not say: nothing."""
        return {}

    def words(self) -> list[str]:
        """The same in sentences."""
        return []

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Losses of ``count`` packets, ``bool[count]``, begun in the stationary state."""
        if self.good == self.bad:
            return rng.random(count) < self.good
        first = bool(rng.random() < self.in_bad)
        leave = [max(self.r if state else self.p, 1e-12) for state in (first, not first)]
        states = np.empty(0, bool)
        while len(states) < count:
            # As many pairs of stays as are likely needed, no longer than what is left.
            left = count - len(states)
            pairs = int(left / (1 / leave[0] + 1 / leave[1])) + 8
            stays = np.minimum(rng.geometric(leave, size=(pairs, 2)), left)
            states = np.concatenate([states, np.repeat(np.tile([first, not first], pairs), stays.ravel())])
        bad = states[:count]
        return rng.random(count) < np.where(bad, self.bad, self.good)


def fit_iid(lost: np.ndarray) -> LossModel:
    hits, count = int(lost.sum()), len(lost)
    rate = hits / count
    likelihood = _times_log(hits, rate) + _times_log(count - hits, 1 - rate)
    return LossModel("iid", 0.5, 0.5, rate, rate, count, likelihood, {"loss": wilson(hits, count)})


def fit_markov(lost: np.ndarray) -> LossModel:
    """Counts of the transitions give the maximum of the likelihood; given the states before, each
    is an independent trial, so that Wilson's interval holds for p and r."""
    before, after = lost[:-1], lost[1:]
    turns_bad, stays_good = int((~before & after).sum()), int((~before & ~after).sum())
    turns_good, stays_bad = int((before & ~after).sum()), int((before & after).sum())
    p, r = turns_bad / (turns_bad + stays_good), turns_good / (turns_good + stays_bad)
    first = p / (p + r) if lost[0] else r / (p + r)
    likelihood = math.log(first)
    likelihood += _times_log(turns_bad, p) + _times_log(stays_good, 1 - p)
    likelihood += _times_log(turns_good, r) + _times_log(stays_bad, 1 - r)
    intervals = {"p": wilson(turns_bad, turns_bad + stays_good), "r": wilson(turns_good, turns_good + stays_bad)}
    return LossModel("gilbert-elliott", p, r, 0.0, 1.0, len(lost), likelihood, intervals)


def _times_log(count: int, probability: float) -> float:
    return count * math.log(probability) if count else 0.0


def fit_general(lost: np.ndarray, markov: LossModel) -> LossModel:
    from scipy.optimize import minimize

    chain = Chain(lost)
    rate = markov.loss
    # From the chain on the losses itself, and from states that last longer than the bursts.
    starts = [(markov.p, markov.r, 0.3 * rate, 0.9)]
    starts += [(0.2 / stay, 0.5 / stay, 0.3 * rate, 0.3 + 0.6 * rate) for stay in (4, 10, 100)]
    # Where they lead is seen on parts of a long trace, and gone on from on all of it.
    ends = []
    for part in map(Chain, _parts(lost)):
        tried = []
        for start in starts:
            values = start
            for _ in range(ROUNDS):
                values, likelihood = part.baum_welch(values)
            tried.append((likelihood, values))
        ends.append(max(tried)[1])

    def cost(logits: np.ndarray) -> float:
        return -chain.log_likelihood(_probabilities(logits))

    def both(logits: np.ndarray) -> tuple[float, np.ndarray]:
        slope, likelihood = chain.slope(_probabilities(logits))
        return -likelihood, -slope

    def climb(values: tuple[float, ...]) -> tuple[float, np.ndarray]:
        logits = _logits(values)
        found = minimize(
            both, logits, jac=True, method="L-BFGS-B", bounds=[(-BOUND, BOUND)] * 4, options={"maxfun": EVALUATIONS}
        )
        return min([(cost(place), place) for place in (logits, found.x)], key=itemgetter(0))

    reached = [climb(values) for values in ends]
    # It is no less likely than the models that it holds: the chain on the losses, and one state.
    for nested in ((markov.p, markov.r, 0.0, 1.0), (markov.p, markov.r, rate, rate)):
        if cost(_logits(nested)) < min(reached, key=itemgetter(0))[0]:
            reached.append(climb(nested))
    logits = min(reached, key=itemgetter(0))[1]
    if logits[2] > logits[3]:
        logits = logits[[1, 0, 3, 2]]
    intervals = _intervals(cost, both, logits)
    names = ("p", "r", "good", "bad")
    return LossModel(
        "gilbert-elliott-general",
        *map(float, _probabilities(logits)),
        len(lost),
        -float(cost(logits)),
        dict(zip(names, intervals, strict=True)),
    )


def _parts(lost: np.ndarray) -> list[np.ndarray]:
    """Of the stretches of ``PART`` packets the one that loses most like all of them, and the one that loses most,
    which has the longest fade; of these where losses begin and end. All of a short trace."""
    whole = lost[: len(lost) // PART * PART].reshape(-1, PART)
    if len(whole) < 2:
        return [lost]
    rates = whole.mean(axis=1)
    places = dict.fromkeys([int(np.argmin(np.abs(rates - lost.mean()))), int(np.argmax(rates))])
    turns = np.diff(whole[list(places)].astype(np.int8), axis=1)
    found = [whole[place] for place, some in zip(places, turns, strict=True) if some.min() < 0 < some.max()]
    return found or [lost]


def _logits(probabilities: tuple[float, ...]) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.clip(np.log(probabilities) - np.log1p(-np.array(probabilities)), -BOUND, BOUND)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -BOUND, BOUND)))


def _intervals(cost, both, logits: np.ndarray) -> list[tuple[float, float]]:
    """95 % intervals from the observed Fisher information of the logits; a parameter at the edge of
    its range has none and gets the values at which the likelihood alone does not refuse it."""
    from scipy.stats import chi2, norm

    inner = np.flatnonzero(np.abs(logits) < BOUND - 1)
    slopes = [(both(logits + one)[1] - both(logits - one)[1])[inner] for one in STEP * np.eye(4)[inner]]
    curvature = np.array(slopes) / (2 * STEP)
    curvature = (curvature + curvature.T) / 2
    values, directions = np.linalg.eigh(curvature) if len(inner) else (np.zeros(0), np.zeros((0, 0)))
    # Where the likelihood is flat in a direction, as between two states that lose alike, it tells nothing of the
    # parameters that this moves.
    flat = values <= FLAT * np.abs(values).max(initial=0.0)
    untold = (directions[:, flat] ** 2).sum(axis=1) > FLAT
    variances = np.where(untold, 0.0, directions[:, ~flat] ** 2 @ (1 / values[~flat]))
    z, drop, lowest = float(norm.ppf((1 + CONFIDENCE) / 2)), float(chi2.ppf(CONFIDENCE, 1)) / 2, cost(logits)
    ends = []
    for place in range(4):
        found = np.flatnonzero(inner == place)
        variance = float(variances[found[0]]) if len(found) else 0.0
        half = z * math.sqrt(max(variance, 0.0))
        # Near the edge the likelihood is no parabola.
        if 0 < half < WIDEST or half and abs(logits[place]) < NEAR:
            sides = [logits[place] - half, logits[place] + half]
        else:
            sides = [_edge(cost, logits, place, lowest + drop, end) for end in (-BOUND, BOUND)]
        ends.append(tuple(map(float, _probabilities(np.array(sides)))))
    return ends


def _edge(cost, logits: np.ndarray, place: int, limit: float, end: float) -> float:
    """How far a parameter may go towards ``end``, the others staying, by bisection."""
    inside, outside = float(logits[place]), end
    moved = logits.copy()
    for _ in range(30):
        moved[place] = (inside + outside) / 2
        inside, outside = (moved[place], outside) if cost(moved) <= limit else (inside, moved[place])
    return inside
