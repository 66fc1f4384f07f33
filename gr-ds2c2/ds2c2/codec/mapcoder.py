# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of the base layer (energy level, orientation, labels) to few bytes, and back.

Every entry is range-coded with a table chosen by its left and upper neighbours. Entries are
few (one a cell, or one for four), so that they are coded one by one.
"""

import constriction
import numpy as np

from ds2c2.codec.codeblocks import WORD, shortest
from ds2c2.errors import UserError

COUNT_TOTAL = 1 << 16


class MapError(UserError):
    """Bytes that are not a map."""


def neighbour_sums(values: np.ndarray, symbols: int) -> np.ndarray:
    """Table of each entry of ``int[h, w]``: left plus upper neighbour, 2 * symbols - 1 where
    there is neither; at an edge the one there is counts twice."""
    tables = np.full(values.shape, 2 * symbols - 1)
    tables[1:, 1:] = values[1:, :-1] + values[:-1, 1:]
    tables[0, 1:] = 2 * values[0, :-1]
    tables[1:, 0] = 2 * values[:-1, 0]
    return tables


def fit_counts(maps: list[np.ndarray], symbols: int) -> np.ndarray:
    """Frequencies ``int32[2 * symbols, symbols]`` of entries 0 .. symbols - 1 by table."""
    counts = np.full((2 * symbols, symbols), 0.3)
    for table in range(2 * symbols - 1):
        # Rare tables borrow from what their sum suggests.
        counts[table] += np.exp2(-2.0 * np.abs(np.arange(symbols) - table / 2))
    for values in maps:
        np.add.at(counts, (neighbour_sums(values, symbols), values), 1)
    return np.maximum(1, np.rint(counts / counts.sum(1, keepdims=True) * COUNT_TOTAL)).astype(np.int32)


def _models(counts: np.ndarray) -> list:
    rows = counts.astype(np.float64)
    return [constriction.stream.model.Categorical(row / row.sum(), perfect=False) for row in rows]


def encode_map(values: np.ndarray, counts: np.ndarray) -> bytes:
    """``int[h, w]`` of 0 .. symbols - 1 to bytes, zeros at their end left out."""
    models = _models(counts)
    tables = neighbour_sums(values, counts.shape[1])
    coder = constriction.stream.queue.RangeEncoder()
    for table, value in zip(tables.flat, values.flat, strict=True):
        coder.encode(int(value), models[table])
    return shortest(coder)


def decode_map(data: bytes, height: int, width: int, counts: np.ndarray) -> np.ndarray:
    """Bytes back to ``int64[height, width]``. Raises ``MapError``."""
    models = _models(counts)
    symbols = counts.shape[1]
    words = np.frombuffer(data.ljust(-(-len(data) // 4) * 4, b"\0"), WORD).astype(np.uint32)
    values = np.zeros((height, width), np.int64)
    try:
        coder = constriction.stream.queue.RangeDecoder(words)
        for y in range(height):
            for x in range(width):
                up = int(values[y - 1, x]) if y else None
                left = int(values[y, x - 1]) if x else up
                up = left if up is None else up
                table = 2 * symbols - 1 if left is None else left + up
                values[y, x] = int(coder.decode(models[table]))
    except AssertionError:
        raise MapError("a map of the base layer is damaged") from None
    return values
