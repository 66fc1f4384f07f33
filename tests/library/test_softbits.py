# SPDX-License-Identifier: GPL-3.0-or-later
"""Soft bits: +1, -1, and 0 for what did not arrive."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ds2c2.stream.softbits import to_hard, to_soft


def test_most_significant_bit_first():
    soft = to_soft(np.array([[0b10110000, 0x01]], np.uint8), np.array([True]))
    assert soft.dtype == np.int8
    assert soft.tolist() == [[1, -1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1]]


def test_a_lost_block_is_erased_whatever_its_bytes():
    soft = to_soft(np.array([[0xA5], [0xA5]], np.uint8), np.array([False, True]))
    assert soft.tolist() == [[0] * 8, [1, -1, 1, -1, -1, 1, -1, 1]]


def test_one_erased_bit_loses_the_block():
    soft = to_soft(np.full((2, 2), 0xFF, np.uint8), np.ones(2, bool))
    soft[1, 9] = 0
    assert to_hard(soft)[1].tolist() == [True, False]


@given(st.lists(st.tuples(st.binary(min_size=5, max_size=5), st.booleans()), max_size=8))
def test_bytes_come_back(rows):
    blocks = np.array([list(data) for data, _ in rows], np.uint8).reshape(-1, 5)
    arrived = np.array([here for _, here in rows], bool)
    hard, whole = to_hard(to_soft(blocks, arrived))
    assert whole.tolist() == arrived.tolist()
    assert np.array_equal(hard[arrived], blocks[arrived])
    assert not hard[~arrived].any()
