# SPDX-License-Identifier: GPL-3.0-or-later
"""Soft bits: what a receiver knows of each bit. +1 is a 1, -1 is a 0, 0 is erased."""

import numpy as np


def to_soft(blocks: np.ndarray, arrived: np.ndarray) -> np.ndarray:
    """``uint8[n, b]`` and ``bool[n]`` to ``int8[n, 8 b]``, most significant bit first."""
    bits = np.unpackbits(blocks, axis=1).view(np.int8)
    soft = bits + bits
    soft -= 1
    soft[~arrived] = 0
    return soft


def to_hard(soft: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``int8[n, 8 b]`` to ``uint8[n, b]`` and ``bool[n]``: a block with any erased bit is lost."""
    return np.packbits(soft > 0, axis=1), (soft != 0).all(axis=1)
