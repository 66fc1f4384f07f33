# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded permutations that both ends of a link compute alike, for ever."""

import numpy as np


def seeded_order(seed: int, size: int) -> np.ndarray:
    """A permutation ``intp[size]`` that is part of the format.

    Ranks of raw PCG64 output: numpy keeps a bit generator's stream for ever, which it does not
    promise for Generator.permutation.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(size), kind="stable")
