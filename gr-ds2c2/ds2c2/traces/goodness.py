# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a model true for a link? Its own draws tell how far from it a trace of this length may be.

Four distances of a trace from a model: of the loss rate, of the distributions of bursts and of gaps (Kolmogorov
and Smirnov's), and of the losses' dispersion over windows of a tenth of the trace, which fades and drift make
large. The model is refuted where one of them is larger than in nearly all draws from the model (a Monte Carlo
test, Barnard 1963); the level is shared out among the four (Bonferroni). Parameters that were fitted to the very
trace are taken as if they were known, so a true model is refuted less often than the level says.
"""

import math
from dataclasses import dataclass

import numpy as np

from ds2c2.traces.lossmodels import Model
from ds2c2.traces.lossstatistics import run_lengths, run_survival

LEVEL = 0.05
DRAWS, FEWEST_DRAWS = 199, 99
DRAWN_PACKETS = 20_000_000  # in all, for one model and trace; longer traces get fewer draws
WINDOWS = 10
DISTANCES = ("loss", "bursts", "gaps", "dispersion")


@dataclass(frozen=True)
class Goodness:
    """``p``: share of the draws that are as far from the model as the trace, for each of ``DISTANCES``."""

    p: dict[str, float]

    @property
    def refuted_by(self) -> list[str]:
        """The distances that refute the model."""
        return [name for name, p in self.p.items() if p <= LEVEL / len(DISTANCES)]


def goodness(model: Model, lost: np.ndarray, seed: int = 1) -> Goodness:
    """How well losses ``bool[n]`` go with a model, by draws with this seed."""
    draws = int(min(max(DRAWN_PACKETS // len(lost), FEWEST_DRAWS), DRAWS))
    rng = np.random.default_rng(seed)
    meter = _Meter(model, len(lost))
    found = meter.distances(lost)
    drawn = np.array([meter.distances(model.draw(len(lost), rng)) for _ in range(draws)])
    # A hair's breadth: sums in another order are no difference.
    further = (drawn >= np.array(found) - 1e-12).sum(axis=0)
    return Goodness({name: (1 + int(count)) / (1 + draws) for name, count in zip(DISTANCES, further, strict=True)})


class _Meter:
    """Measures traces of one length by one model."""

    def __init__(self, model: Model, count: int):
        self.loss = model.loss
        # A packet beyond its longest run nothing of a trace is compared, and a whole run leaves room for two.
        self.survivals = {kind: model.run_survival(kind, count) for kind in (True, False)}
        edges = np.linspace(0, count, min(WINDOWS, count) + 1).astype(int)
        self.starts, self.sizes = edges[:-1], np.diff(edges)

    def distances(self, lost: np.ndarray) -> tuple[float, ...]:
        rate = float(lost.mean())
        shares = np.add.reduceat(lost.astype(float), self.starts) / self.sizes
        return (
            abs(rate - self.loss),
            self._runs(lost, True),
            self._runs(lost, False),
            float(shares.var()),
        )

    def _runs(self, lost: np.ndarray, kind: bool) -> float:
        runs = run_lengths(lost, kind)
        if not len(runs):
            return 0.0
        seen = run_survival(runs)
        # Weighed by their number: the fewer runs, the further a true model's may be off.
        return float(np.abs(seen - self.survivals[kind][: len(seen)]).max()) * math.sqrt(len(runs))
