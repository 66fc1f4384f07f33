# SPDX-License-Identifier: GPL-3.0-or-later
"""Hidden Markov chains of several states, each with a loss of its own: links with more than good and bad times.

Baum-Welch (Baum et al. 1970), with the likelihood exact: a recursion over n packets is cut into about sqrt(n) rows,
whose matrices are multiplied all at once (as in ``losschain``, here for any number of states). The number of
states is chosen by BIC.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ds2c2.traces.criteria import Criteria

NAME = "hidden-markov"
STATES = (2, 3, 4, 5)
ROUNDS = 12  # of Baum-Welch from each start
EVALUATIONS = 150  # of the likelihood by the search from there
BOUND = 16.0  # of logarithms and logits: probabilities stay 1e-7 from 0 and 1
EDGE = 1e-6  # probabilities stay this far from 0 and 1, or they could never leave again
UNSEEN = 2  # fills the last row; any state may have given it
SHORT_STAY, STAY, LONG_STAY = 3.0, 20.0, 200.0  # packets: mean stays in the states from which the climb begins


@dataclass(frozen=True, eq=False)
class HiddenMarkov(Criteria):
    """A fitted chain: ``steps`` P(state to state) ``float[k, k]`` and ``state_loss`` ``float[k]``, states in the
    order of their loss; ``log_likelihood`` natural logarithm, of ``packets`` losses. It begins in its
    stationary state. Figures and draws are those of ``lossmodels.LossModel``."""

    steps: np.ndarray
    state_loss: np.ndarray
    packets: int = 0
    log_likelihood: float = 0.0
    name: str = NAME
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def states(self) -> int:
        return len(self.state_loss)

    @property
    def label(self) -> str:
        return f"hidden Markov chain of {self.states} states"

    @property
    def values(self) -> dict[str, float]:
        """None with an interval; ``steps`` and ``state_loss`` say all."""
        return {}

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        return self.states**2

    @cached_property
    def share(self) -> np.ndarray:
        """Of the packets that meet each state, ``float[k]``."""
        return stationary(self.steps)

    @property
    def loss(self) -> float:
        """Share of the packets that are lost."""
        return float(self.share @ self.state_loss)

    @property
    def mean_burst(self) -> float:
        """Mean run of losses, packets."""
        starts = float(((self.share * (1 - self.state_loss)) @ self.steps) @ self.state_loss)
        return self.loss / starts if starts else math.inf

    def autocorrelation(self, lags: int = 100) -> np.ndarray:
        """Of the losses at the lags 1 to ``lags``, ``float[lags]``."""
        variance = self.loss * (1 - self.loss)
        found, ahead = np.empty(lags), self.state_loss
        for lag in range(lags):
            ahead = self.steps @ ahead
            found[lag] = float((self.share * self.state_loss) @ ahead) - self.loss**2
        return found / variance if variance else np.zeros(lags)

    def run_survival(self, lost: bool, longest: int) -> np.ndarray:
        """P(a run of losses, or of arrivals, has n packets or more) for n = 1 to ``longest``."""
        inside = self.state_loss if lost else 1 - self.state_loss
        states = ((self.share * (1 - inside)) @ self.steps) * inside
        states = states / max(states.sum(), 1e-300)
        survival = np.empty(longest)
        for place in range(longest):
            survival[place] = states.sum()
            states = (states @ self.steps) * inside
        return survival

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Losses without end, ``bool[n]`` of a stay in a state at a time."""
        leave = np.clip(1 - np.diag(self.steps), 1e-12, 1)
        to = np.cumsum((self.steps - np.diag(np.diag(self.steps))) / leave[:, None], axis=1)
        state = int(np.searchsorted(np.cumsum(self.share), rng.random()).clip(0, self.states - 1))
        while True:
            stay = min(int(rng.geometric(leave[state])), 1 << 20)
            yield rng.random(stay) < self.state_loss[state]
            # A stay that was cut short above goes on, which is what staying means.
            if stay < 1 << 20:
                state = int(np.searchsorted(to[state], rng.random()).clip(0, self.states - 1))

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Losses of ``count`` packets, ``bool[count]``."""
        return first_of(self.pieces(rng), count)

    def described(self) -> dict:
        """What the figures of all models do not say, ready for JSON."""
        return {
            "steps": self.steps.tolist(),
            "state-loss": self.state_loss.tolist(),
            "state-share": self.share.tolist(),
        }

    def words(self) -> list[str]:
        """The same in sentences."""
        stays = 1 / np.clip(1 - np.diag(self.steps), 1e-12, 1)
        states = [
            f"{share:.1%} of the packets meet one that loses {loss:.1%} and lasts {stay:.1f} packets"
            for share, loss, stay in zip(self.share, self.state_loss, stays, strict=True)
        ]
        return [f"{self.label}: {'; '.join(states)}"]


def first_of(pieces: Iterator[np.ndarray], count: int) -> np.ndarray:
    """The first ``count`` losses of pieces without end."""
    found = np.empty(count, bool)
    place = 0
    while place < count:
        piece = next(pieces)[: count - place]
        found[place : place + len(piece)] = piece
        place += len(piece)
    return found


def stationary(steps: np.ndarray) -> np.ndarray:
    """Stationary distribution ``float[k]`` of a chain."""
    count = len(steps)
    equations = np.vstack([steps.T - np.eye(count), np.ones(count)])
    found = np.linalg.lstsq(equations, np.append(np.zeros(count), 1.0), rcond=None)[0]
    found = np.clip(found, 0, None)
    return found / found.sum()


def fit_hidden(lost: np.ndarray, states: tuple[int, ...] = STATES) -> HiddenMarkov:
    """The chain of lowest BIC of losses ``bool[n]`` (Schwarz 1978). More states are tried for as long as they
    lower it."""
    chosen = None
    for count in states:
        found = _climb(np.asarray(lost, bool), count)
        if chosen is not None and found.bic >= chosen.bic:
            break
        chosen = found
    return chosen


def _climb(lost: np.ndarray, states: int) -> HiddenMarkov:
    """The best of some rounds of Baum-Welch from three starts: states that differ in loss alone, such that the
    lossy ones are short, and long ones with losses not far from the mean. A quasi-Newton search with the same
    expectations goes on from there."""
    from scipy.optimize import minimize

    rate = float(lost.mean())
    far, near = np.linspace(0.02, 0.98, states), np.linspace(0.3 * rate, 0.3 + 0.6 * rate, states)
    starts = (
        (np.full(states, STAY), far),
        (np.geomspace(LONG_STAY, SHORT_STAY, states), far),
        (np.full(states, LONG_STAY), near),
    )
    rows = _rows(lost)
    tried = []
    for stays, losses in starts:
        steps = np.repeat((1 / stays / max(states - 1, 1))[:, None], states, axis=1)
        np.fill_diagonal(steps, 1 - 1 / stays)
        tried.append(_baum_welch(rows, len(lost), steps, losses))
    _, steps, losses = max(tried, key=lambda one: one[0])

    def cost(point: np.ndarray) -> tuple[float, np.ndarray]:
        steps, losses = _chain(point, states)
        moves, seen, likelihood = _expected(rows, len(lost), steps, losses)
        # Fisher's identity; the first packet's state, one of n, is left out of the slope.
        slope = np.hstack(
            [moves - moves.sum(axis=1, keepdims=True) * steps, (seen[:, 1] - seen.sum(1) * losses)[:, None]]
        )
        return -likelihood, -slope.ravel()

    start = np.hstack([np.log(steps), np.log(losses / (1 - losses))[:, None]]).ravel()
    bounds = [(-BOUND, BOUND)] * start.size
    found = minimize(
        cost, np.clip(start, -BOUND, BOUND), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxfun": EVALUATIONS, "ftol": 1e-9},
    )  # fmt: skip
    steps, losses = _chain(found.x, states)
    order = np.argsort(losses, kind="stable")
    return HiddenMarkov(steps[np.ix_(order, order)], losses[order], len(lost), -float(found.fun))


def _chain(point: np.ndarray, states: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and losses of their logarithms (up to a factor a row) and logits."""
    point = point.reshape(states, states + 1)
    steps = np.exp(point[:, :states] - point[:, :states].max(axis=1, keepdims=True))
    return steps / steps.sum(axis=1, keepdims=True), 1 / (1 + np.exp(-point[:, states]))


def _baum_welch(
    rows: np.ndarray, count: int, steps: np.ndarray, losses: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, steps and losses after ``ROUNDS``."""
    for _ in range(ROUNDS):
        moves, seen, likelihood = _expected(rows, count, steps, losses)
        steps = np.clip(moves / moves.sum(axis=1, keepdims=True), EDGE, 1)
        steps /= steps.sum(axis=1, keepdims=True)
        losses = np.clip(seen[:, 1] / seen.sum(axis=1), EDGE, 1 - EDGE)
    return likelihood, steps, losses


def _rows(lost: np.ndarray) -> np.ndarray:
    """The packets in rows of about sqrt(n), ``uint8[rows, columns]``, 0, 1 and at the end ``UNSEEN``."""
    columns = max(1, int(np.sqrt(len(lost))))
    rows = -(-len(lost) // columns)
    seen = np.full(rows * columns, UNSEEN, np.uint8)
    seen[: len(lost)] = lost
    return seen.reshape(rows, columns)


def _expected(
    rows: np.ndarray, count: int, steps: np.ndarray, losses: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Expected moves ``float[k, k]`` and packets in each state by what was seen ``float[k, 2]``, given all of
    the losses, and their log-likelihood."""
    states = len(losses)
    # P(seen | state) of every packet, [columns, rows, k].
    given = np.stack([1 - losses, losses, np.ones(states)])[rows.T]
    products = np.broadcast_to(np.eye(states), (len(rows), states, states)).copy()
    logs = 0.0
    for column in given:
        products = (products * column[:, None, :]).reshape(-1, states) @ steps
        products = products.reshape(-1, states, states)
        scale = products.sum(axis=(1, 2), keepdims=True)
        products /= scale
        logs += float(np.log(scale).sum())
    here = stationary(steps)
    before, after = np.empty((len(rows), states)), np.empty((len(rows), states))
    for row, product in enumerate(products):
        before[row] = here
        here = here @ product
        scale = here.sum()
        logs += math.log(scale)
        here /= scale
    ahead = np.ones(states)
    for row in range(len(rows) - 1, -1, -1):
        after[row] = ahead
        ahead = products[row] @ ahead
        ahead /= ahead.sum()
    forward, behind = np.empty_like(given), np.empty_like(given)
    here = before
    for place, column in enumerate(given):
        forward[place] = here
        here = (here * column) @ steps
        here /= here.sum(axis=1, keepdims=True)
    ahead = after
    for place in range(len(given) - 1, -1, -1):
        behind[place] = ahead
        ahead = given[place] * (ahead @ steps.T)
        ahead /= ahead.sum(axis=1, keepdims=True)
    moves, seen = np.zeros((states, states)), np.zeros((states, UNSEEN))
    for kind, emitted in enumerate((1 - losses, losses)):
        chosen = rows.T == kind
        here, ahead = forward[chosen] * emitted, behind[chosen]
        here /= np.einsum("nk,nk->n", here @ steps, ahead)[:, None]
        of_kind = (here.T @ ahead) * steps
        moves += of_kind
        seen[:, kind] = of_kind.sum(axis=1)
    return moves, seen, logs
