# SPDX-License-Identifier: GPL-3.0-or-later
"""Semantic weighting: regions whose cells are quantized finer, at the same total rate."""

import numpy as np

from ds2c2.errors import FormatError
from ds2c2.stream.geometry import CELL

FAVOUR_UNIT = 128  # 1/256 octaves of the step: half an octave an entry
FAVOUR_VALUES = 9  # a quarter to four times as fine
MIDDLE = FAVOUR_VALUES // 2
MOST_GAIN = 2.0 ** (MIDDLE * FAVOUR_UNIT / 256)
LEAST_GAIN = 1 / MOST_GAIN
# Entries mostly equal their neighbours: frequencies fall 16 times for each half unit of
# distance from the neighbours' mean.
FAVOUR_COUNTS = np.array(
    [[max(1, (1 << 16) >> 4 * abs(2 * k - t)) for k in range(FAVOUR_VALUES)] for t in range(2 * FAVOUR_VALUES - 1)]
    + [[1 << 8 if k != MIDDLE else 1 << 11 for k in range(FAVOUR_VALUES)]],
    np.int32,
)


def cell_favour(favour: np.ndarray) -> np.ndarray:
    """Gains ``float[H, W]`` (2 = steps half as large) to map entries ``int64[H/16, W/16]``.

    A cell takes the largest gain of its pixels. Raises ``FormatError`` for gains out of range.
    """
    if not (np.isfinite(favour).all() and favour.min() >= LEAST_GAIN and favour.max() <= MOST_GAIN):
        raise FormatError(f"a favour must lie between {LEAST_GAIN:g} and {MOST_GAIN:g}; 2 halves the quantizer's step")
    height, width = favour.shape
    cells = favour.reshape(height // CELL, CELL, width // CELL, CELL).max(axis=(1, 3))
    return np.rint(np.log2(cells) * 256 / FAVOUR_UNIT).astype(np.int64) + MIDDLE
