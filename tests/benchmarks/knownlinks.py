# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that are known, from which ``calibration.py`` draws its traces."""

import numpy as np

from ds2c2.traces.hiddenmarkov import HiddenMarkov
from ds2c2.traces.lossmodels import BASIC, LossModel
from ds2c2.traces.semimarkov import Lengths, SemiMarkov


class Drifting:
    """40 % of the packets at 3 % by itself, 30 % at 17 % in bursts, 30 % at 8 % by itself."""

    name = "drift"
    loss = 0.4 * 0.03 + 0.3 * 0.03 / 0.18 + 0.3 * 0.08

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        first, second = 2 * count // 5, 3 * count // 10
        bursts = LossModel("gilbert-elliott", 0.03, 0.15, 0.0, 1.0, 1, 0.0).draw(second, rng)
        return np.concatenate([rng.random(first) < 0.03, bursts, rng.random(count - first - second) < 0.08])


TRUTHS = {
    "iid": LossModel("iid", 0.5, 0.5, 0.1, 0.1, 1, 0.0),
    "gilbert-elliott": LossModel("gilbert-elliott", 0.02, 0.2, 0.0, 1.0, 1, 0.0),
    "gilbert-elliott-general": LossModel("gilbert-elliott-general", 0.01, 0.05, 0.02, 0.6, 1, 0.0),
    "hidden-markov": HiddenMarkov(
        np.array([[0.995, 0.004, 0.001], [0.02, 0.96, 0.02], [0.02, 0.08, 0.9]]), np.array([0.01, 0.2, 0.9])
    ),
    "semi-markov": SemiMarkov(Lengths(2.0, 1.8, 20_000), Lengths(25.0, 1.5, 20_000), 1, 0.0),
    "drift": Drifting(),
}
PARAMETERS = {
    "iid": {"loss": 0.1},
    "gilbert-elliott": {"p": 0.02, "r": 0.2},
    "gilbert-elliott-general": {"p": 0.01, "r": 0.05, "good": 0.02, "bad": 0.6},
}
# Which fitted models are the link, given enough packets.
HOLDS = {
    "iid": set(BASIC),
    "gilbert-elliott": {"gilbert-elliott", "gilbert-elliott-general"},
    "gilbert-elliott-general": {"gilbert-elliott-general"},
    "hidden-markov": {"hidden-markov"},
    "semi-markov": {"semi-markov"},
    "drift": {"drift"},
}


def drawn(truth: str, packets: int, seed: int) -> tuple[np.ndarray, np.random.Generator]:
    """A trace, and the generator as it left it."""
    rng = np.random.default_rng([seed, packets, list(TRUTHS).index(truth)])
    return TRUTHS[truth].draw(packets, rng), rng
