# SPDX-License-Identifier: GPL-3.0-or-later
"""The likelihood of a two-state hidden Markov chain and Baum-Welch's step, in numpy.

A recursion over n packets is n small steps, each dear in numpy. Here the packets stand in rows of
about sqrt(n): products of the rows' matrices come first, all rows at once, then a recursion over
the rows, then one inside all rows at once: 3 sqrt(n) steps, and the figures are the same.
"""

import numpy as np

UNSEEN = 2  # fills the last row; any state may have given it
SCALED = 16  # packets after which probabilities are scaled, each of them 1e-6 at least


class Chain:
    """Losses ``bool[n]`` made ready. Parameters are (p, r, good, bad) as in ``lossmodels``."""

    def __init__(self, lost: np.ndarray):
        self.count = len(lost)
        # A recursion over rows is cheaper a step than one over columns.
        columns = int(np.ceil(np.sqrt(self.count) / 3))
        rows = -(-self.count // columns)
        seen = np.full(rows * columns, UNSEEN, np.uint8)
        seen[: self.count] = lost
        self.seen = seen.reshape(rows, columns)
        # By column and row, as the recursions go: packets, those that another follows, and losses.
        self.known = self.seen.T != UNSEEN
        self.leads = np.where(np.arange(seen.size) < self.count - 1, 1.0, 0.0).reshape(rows, columns).T
        self.hits = (self.seen.T == 1).astype(float)

    def _prepare(self, values: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
        """Stationary start [2], transitions [2, 2], P(seen | state) [columns, 2, rows], and the
        rows' matrices [rows, 2, 2], scaled, with the logarithm of all scales."""
        p, r, good, bad = values
        step = np.array([[1 - p, p], [r, 1 - r]])
        given = np.array([[1 - good, good, 1.0], [1 - bad, bad, 1.0]])[:, self.seen.T].transpose(1, 0, 2).copy()
        products = np.repeat(np.eye(2)[:, :, None], len(self.seen), axis=2)
        logs = 0.0
        for place, column in enumerate(given):
            products = _moved(products * column, step)
            if place % SCALED == 0 or place == len(given) - 1:
                scale = products.sum(axis=(0, 1))
                products /= scale
                logs += float(np.log(scale).sum())
        return np.array([r, p]) / (p + r), step, given, products.transpose(2, 0, 1).copy(), logs

    def _forward(self, start: np.ndarray, products: np.ndarray, logs: float) -> tuple[np.ndarray, float]:
        """States before each row [2, rows] and the log-likelihood."""
        before, scales = [], []
        good, bad = start.tolist()
        for (from_good, good_to_bad), (bad_to_good, from_bad) in products.tolist():
            before.append((good, bad))
            good, bad = good * from_good + bad * bad_to_good, good * good_to_bad + bad * from_bad
            scale = good + bad
            scales.append(scale)
            good, bad = good / scale, bad / scale
        return np.array(before).T, logs + float(np.log(scales).sum())

    def log_likelihood(self, values: tuple) -> float:
        """Natural logarithm of P(losses), begun in the stationary state."""
        start, _, _, products, logs = self._prepare(values)
        return self._forward(start, products, logs)[1]

    def expected(self, values: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Given all losses: expected moves between the states ``float[2, 2]``, packets in each state by what was
        seen ``float[2, 2]`` (arrived, lost), P(state) of the first packet ``float[2]``; and the log-likelihood."""
        start, step, given, products, logs = self._prepare(values)
        states, total = self._forward(start, products, logs)
        ahead = np.ones((2, len(products)))
        good, bad = 1.0, 1.0
        for row, ((from_good, good_to_bad), (bad_to_good, from_bad)) in zip(
            range(len(products) - 1, 0, -1), products[:0:-1].tolist(), strict=True
        ):
            good, bad = from_good * good + good_to_bad * bad, bad_to_good * good + from_bad * bad
            scale = good + bad
            good, bad = good / scale, bad / scale
            ahead[:, row - 1] = good, bad
        forward, after = np.empty_like(given), np.empty_like(given)
        for place, column in enumerate(given):
            forward[place] = states * column
            if place % SCALED == 0:
                forward[place] /= forward[place].sum(axis=0)
            states = _moved(forward[place], step)
        for place in range(len(given) - 1, -1, -1):
            after[place] = ahead
            ahead = given[place] * _moved(ahead, step.T)
            if place % SCALED == 0:
                ahead /= ahead.sum(axis=0)
        # What is beyond the last packet is no packet, and leads nowhere.
        known = self.known.astype(float)
        moves = forward[:, :, None] * step[:, :, None] * after[:, None, :]
        moves *= (self.leads / moves.sum(axis=(1, 2)))[:, None, None]
        states = forward * _moved(after, step.T)
        states *= (known / states.sum(axis=1))[:, None]
        hit = np.einsum("ckr,cr->k", states, self.hits)
        seen = np.stack([states.sum(axis=(0, 2)) - hit, hit], axis=1)
        return moves.sum(axis=(0, 3)), seen, states[0, :, 0], total

    def baum_welch(self, values: tuple) -> tuple[tuple, float]:
        """Parameters no worse from the same start (Baum et al. 1970), and the log-likelihood of the old ones."""
        moves, seen, _, total = self.expected(values)
        p, r = moves[0, 1] / moves[0].sum(), moves[1, 0] / moves[1].sum()
        # At 0 or 1 a parameter could never leave again.
        return tuple(np.clip([p, r, *(seen[:, 1] / seen.sum(axis=1))], 1e-6, 1 - 1e-6).tolist()), total

    def slope(self, values: tuple) -> tuple[np.ndarray, float]:
        """The log-likelihood's slope by the parameters' logits, ``float[4]`` (Fisher's identity: that of the
        expectations), and the log-likelihood."""
        moves, seen, first, total = self.expected(values)
        p, r, *loss = values
        # The first packet's state is that of the stationary chain, P(bad) = p / (p + r).
        by_p = moves[0, 1] - moves[0].sum() * p + (1 - p) * (first[1] - p / (p + r))
        by_r = moves[1, 0] - moves[1].sum() * r + (1 - r) * (first[0] - r / (p + r))
        return np.array([by_p, by_r, *(seen[:, 1] - seen.sum(axis=1) * loss)]), total


def _moved(states: np.ndarray, step: np.ndarray) -> np.ndarray:
    """``states [..., 2, n]`` times ``step [2, 2]``; matmul is slow for so small matrices."""
    return states[..., :1, :] * step[0][:, None] + states[..., 1:, :] * step[1][:, None]
