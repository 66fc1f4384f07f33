# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of the base layer: exact, small where neighbours agree, never a crash on noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ds2c2.codec.favour import FAVOUR_COUNTS, FAVOUR_VALUES, MIDDLE, cell_favour
from ds2c2.codec.mapcoder import MapError, decode_map, encode_map, fit_counts, neighbour_sums
from ds2c2.errors import FormatError

COUNTS = fit_counts([np.tile(np.arange(9), (9, 1))], 9)


@settings(max_examples=60, deadline=None)
@given(arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 8)))
def test_a_map_comes_back(values):
    data = encode_map(values, COUNTS)
    assert np.array_equal(decode_map(data, *values.shape, COUNTS), values)
    # Bytes after it, and zeros that were left out, change nothing.
    assert np.array_equal(decode_map(data + b"\0\0\0", *values.shape, COUNTS), values)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_noise_is_a_map_or_an_error(data):
    try:
        values = decode_map(data, 5, 7, COUNTS)
    except MapError:
        return
    assert values.shape == (5, 7)
    assert ((values >= 0) & (values < 9)).all()


def test_tables_follow_the_neighbours():
    values = np.array([[3, 4, 0], [1, 2, 8]])
    assert neighbour_sums(values, 9).tolist() == [[17, 6, 8], [6, 5, 2]]


def test_counts_sum_alike_and_leave_nothing_out():
    assert COUNTS.shape == (18, 9)
    assert COUNTS.dtype == np.int32
    assert (COUNTS > 0).all()
    assert (np.abs(COUNTS.sum(axis=1) - 65536) <= 9).all()


def test_a_map_like_those_counted_takes_less():
    rng = np.random.default_rng(1)
    smooth = np.clip(np.cumsum(rng.integers(-1, 2, (24, 16)), axis=1) + 4, 0, 8)
    counts = fit_counts([smooth], 9)
    flat = np.full((18, 9), 7282, np.int32)
    assert len(encode_map(smooth, counts)) < 0.75 * len(encode_map(smooth, flat))


def test_a_favour_that_is_nowhere_takes_next_to_nothing():
    middle = np.full((32, 48), MIDDLE)
    assert len(encode_map(middle, FAVOUR_COUNTS)) < 60
    assert FAVOUR_COUNTS.shape == (2 * FAVOUR_VALUES, FAVOUR_VALUES)


def test_gains_become_half_octaves_of_their_cells():
    favour = np.ones((32, 48))
    favour[3, 5] = 2.0
    favour[20:, 40:] = 0.5
    favour[16:, :16] = 1.5
    cells = cell_favour(favour)
    assert cells.tolist() == [[MIDDLE + 2, MIDDLE, MIDDLE], [MIDDLE + 1, MIDDLE, MIDDLE]]
    favour[16:, 32:] = 0.5
    assert cell_favour(favour)[1, 2] == MIDDLE - 2


@pytest.mark.parametrize("gain", [0.0, 0.2, 4.1, np.nan, np.inf])
def test_a_gain_out_of_range_is_named(gain):
    favour = np.ones((16, 16))
    favour[0, 0] = gain
    with pytest.raises(FormatError, match="between 0.25 and 4"):
        cell_favour(favour)
