# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded permutations that both ends of a link compute alike, for ever."""

import numpy as np

LARGE = 1 << 20  # from here on numbers are sorted in parts, by
LEADING_BITS = 4  # of 64


def seeded_order(seed: int, size: int, dtype: type[np.integer] = np.intp) -> np.ndarray:
    """A permutation ``dtype[size]`` that is part of the format.

    Ranks of raw PCG64 output: numpy keeps a bit generator's stream for ever, which it does not
    promise for Generator.permutation.
    """
    raw = np.random.PCG64(seed).random_raw(size)
    if size < LARGE:
        return np.argsort(raw, kind="stable").astype(dtype, copy=False)
    # The same in parts, which takes half the memory.
    part = np.empty(size, np.uint8)
    np.right_shift(raw, np.uint64(64 - LEADING_BITS), out=part, casting="unsafe")
    order, end = np.empty(size, dtype), 0
    for number in range(1 << LEADING_BITS):
        here = np.flatnonzero(part == number)
        order[end : end + len(here)] = here[np.argsort(raw[here], kind="stable")]
        end += len(here)
    return order
