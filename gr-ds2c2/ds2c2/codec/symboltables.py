# SPDX-License-Identifier: GPL-3.0-or-later
"""Probability tables of the symbols: one a scale, measured in training, whole numbers.

A table's row holds the frequency of |k| = 0 .. 15, that of all larger ones together, and the
ratio by which those fall off. Rows become entropy models of constriction's range coder
(Martin 1979; Bamler, "Understanding entropy coding with asymmetric numeral systems", 2022).
"""

from functools import cache

import constriction
import numpy as np

from ds2c2.errors import WeightsError
from ds2c2.networks.scales import DIRECT, LEAST_LOG_SCALE, ROW, TABLES, TABLES_PER_OCTAVE

TOTAL = 1 << 20  # sum of a row's frequencies
RATIO_ONE = 1 << 16
MOST_MAGNITUDE = 1023  # larger symbols are clipped
# Price of a bit in squared steps where a symbol could be rounded either way: at high rate
# D = step^2 / 12 falls by 2 ln 2 D = 0.116 step^2 a bit.
ROUNDING_PRICE = 0.1
# Masses of a row's tail are multiples of 1 / GRAIN.
GRAIN = 1024
LENGTH_GRAIN = 64  # expected lengths are whole numbers of 1/64 bit
LOG_GRAIN = 256  # of the logarithms that they come from
SPREAD = 16.0  # a table reaches this many scales, which covers all but 1e-7


def laplace_rows() -> np.ndarray:
    """Rows ``int32[TABLES, ROW]`` of Laplacians: what training starts from."""
    rows = np.zeros((TABLES, ROW), np.int64)
    for index in range(TABLES):
        scale = 2.0 ** (LEAST_LOG_SCALE + (index + 0.5) / TABLES_PER_OCTAVE)
        edge = np.exp(-(np.arange(DIRECT) + 0.5) / scale)
        mass = np.concatenate([[1 - edge[0]], edge[:-1] - edge[1:], edge[-1:]])
        rows[index] = row_of(mass, np.exp(-1 / scale))
    return rows.astype(np.int32)


def row_of(mass: np.ndarray, ratio: float) -> np.ndarray:
    """Masses of |k| = 0 .. 15 and of the rest, any sum, to one row that sums to TOTAL."""
    frequencies = np.maximum(1, np.rint(mass / mass.sum() * TOTAL)).astype(np.int64)
    frequencies[0] += TOTAL - frequencies.sum()
    return np.append(frequencies, int(np.clip(np.rint(ratio * RATIO_ONE), 1, RATIO_ONE - 1)))


def most_magnitude(index: int) -> int:
    """The largest |k| that table ``index`` holds."""
    scale = 2.0 ** (LEAST_LOG_SCALE + (index + 1) / TABLES_PER_OCTAVE)
    return int(min(MOST_MAGNITUDE, max(2, np.ceil(SPREAD * scale))))


def rounding_offsets(rows: np.ndarray) -> np.ndarray:
    """``float64[2, TABLES]``: what is added to |k| < 1, and to larger ones, before rounding down.

    Less than a half: towards zero where the bits saved are worth the error.
    """
    frequencies = np.maximum(rows[:, : DIRECT + 1].astype(np.float64), 0.5)
    first = np.log2(frequencies[:, 0] / (frequencies[:, 1] / 2))
    ratio = np.clip(frequencies[:, 1] / np.maximum(frequencies[:, 2], 0.5), 1, 64)
    extra = np.stack([np.maximum(first, 0), np.log2(ratio)])
    return np.clip(0.5 - 0.5 * ROUNDING_PRICE * extra, 0.0, 0.5)


@cache
def _log(number: int) -> int:
    """floor(256 log2 number), exact: doubles may fall on either side of a whole number, by machine."""
    return (number**LOG_GRAIN).bit_length() - 1


def expected_length(masses: np.ndarray) -> int:
    """Expected length of a symbol, sign included, in 1/64 bit, at least 1: whole numbers throughout.

    Args:
        masses: ``float64[M + 1]`` of the magnitudes, multiples of 1 / GRAIN
    """
    weights = [int(mass) for mass in masses * GRAIN]
    total = sum(weights)
    spent = sum(weight * (_log(total) - _log(weight)) for weight in weights) + LOG_GRAIN * sum(weights[1:])
    return max(1, (2 * LENGTH_GRAIN * spent + LOG_GRAIN * total) // (2 * LOG_GRAIN * total))


class SymbolTables:
    """Entropy models and code lengths of all tables. Raises ``WeightsError`` for numbers that no training counts."""

    def __init__(self, rows: np.ndarray):
        if rows.min() < 0 or rows[:, -1].max() >= RATIO_ONE:
            raise WeightsError("the weights' tables of probabilities are none; fetch them again")
        self.most = np.array([most_magnitude(i) for i in range(TABLES)])
        self.models = []
        width = int(self.most.max()) + 1
        # bits[index, |k|]; beyond a table's end the last entry
        self.bits = np.zeros((TABLES, width))
        # Expected length of a table's symbol in 1/64 bit, at least 1: where blocks begin follows from it.
        self.expected = np.zeros(TABLES, np.int64)
        for index, row in enumerate(rows.astype(np.int64)):
            most = int(self.most[index])
            half = self._magnitudes(row, most)
            self.expected[index] = expected_length(half)
            half[1:] /= 2  # the sign is a fair coin
            full = np.concatenate([half[:0:-1], half])
            full /= full.sum()
            self.models.append(constriction.stream.model.Categorical(full, perfect=False))
            self.bits[index, : most + 1] = -np.log2(half / (half[0] + 2 * half[1:].sum()))
            self.bits[index, most + 1 :] = self.bits[index, most]

    @staticmethod
    def _magnitudes(row: np.ndarray, most: int) -> np.ndarray:
        """Masses of |k| = 0 .. most, multiples of 1 / (2 GRAIN), so that their sum is exact in any
        order of addition; the products before come in one order. The same on every machine."""
        masses = row[: min(DIRECT, most + 1)].astype(np.float64)
        if most >= DIRECT:
            ratio = float(row[DIRECT + 1]) / RATIO_ONE
            tail, value, total = [], 1.0, 0.0
            for _ in range(most - DIRECT + 1):
                tail.append(value)
                total += value  # not sum(), which adds more exactly from Python 3.12 on
                value *= ratio
            tail = np.rint(np.array(tail) * (float(row[DIRECT]) / total) * GRAIN) / GRAIN
            masses = np.concatenate([masses, tail])
        else:
            masses[-1] += row[most + 1 : DIRECT + 1].sum()
        return np.maximum(masses, 8 / GRAIN)
