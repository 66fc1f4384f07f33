# SPDX-License-Identifier: GPL-3.0-or-later
"""Bursts are kept whole however they come, and nothing is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.links import bursts
from ds2c2.links.bursts import GAP, BurstCutter, bursts_in


def stream(lengths, gap=2 * GAP) -> np.ndarray:
    """Bursts of these lengths, zeros behind each; single zeros within."""
    pieces = []
    for number, length in enumerate(lengths):
        burst = np.full(length, number + 1 + 1j, np.complex64)
        burst[5::17] = 0
        pieces += [burst, np.zeros(gap, np.complex64)]
    return np.concatenate(pieces)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), st.lists(st.integers(1, 500), min_size=1, max_size=9))
def test_bursts_come_out_whole_and_in_order(lengths, cuts):
    samples = stream(lengths)
    cutter, out, place, gone = BurstCutter(), [], 0, 0
    while place < len(samples):
        cut = cuts[len(out) % len(cuts)]
        out.append(cutter.push(samples[place : place + cut]))
        place += cut
        gone += len(out[-1])
        # Never in the middle of a burst.
        assert not (np.any(samples[max(0, gone - GAP) : gone]) and np.any(samples[gone : gone + GAP]))
    np.testing.assert_array_equal(np.concatenate([*out, cutter.flush()]), samples)
    assert cutter.torn == 0


def test_a_burst_waits_for_its_end():
    samples = stream([300, 300])
    cutter = BurstCutter()
    assert len(cutter.push(samples[:200])) == 0
    assert len(cutter.push(samples[200 : 300 + GAP // 2])) == 0
    assert len(cutter.push(samples[300 + GAP // 2 : 500])) == 300 + 2 * GAP
    assert len(cutter.flush()) == 500 - 300 - 2 * GAP
    assert len(cutter.flush()) == 0


def test_a_burst_without_an_end_is_let_go(monkeypatch):
    monkeypatch.setattr(bursts, "LONGEST_BURST", 1000)
    cutter = BurstCutter()
    assert len(cutter.push(np.ones(900, np.complex64))) == 0
    assert len(cutter.push(np.ones(900, np.complex64))) == 1800
    assert cutter.torn == 1


@pytest.mark.parametrize("lengths", [[], [1], [300, 1, 20]])
def test_bursts_without_the_zeros(lengths):
    samples = np.concatenate([np.zeros(100, np.complex64), *([stream(lengths)] if lengths else [])])
    found = bursts_in(samples)
    assert [len(burst) for burst in found] == lengths
    assert all(np.all(burst[:1] == number + 1 + 1j) for number, burst in enumerate(found))
