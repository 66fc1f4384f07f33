# SPDX-License-Identifier: GPL-3.0-or-later
"""The ideal erasure codes that rivals get: their k, and how layers share a packet."""

import math

import numpy as np
import pytest

from ds2c2.evaluation.erasurecode import allocate, arrival_probability, compositions, design_k


def outage(n: int, k: int, loss: float) -> float:
    """P(more than n - k of n blocks are lost), term by term."""
    return sum(math.comb(n, i) * loss**i * (1 - loss) ** (n - i) for i in range(n - k + 1, n + 1))


@pytest.mark.parametrize("n", [1, 2, 10, 68, 127])
@pytest.mark.parametrize("loss", [0.04, 0.16, 0.5])
def test_k_is_the_largest_that_keeps_the_outage(n, loss):
    k = design_k(n, loss)
    assert k == max((k for k in range(n + 1) if outage(n, k, loss) <= 0.01), default=0)


def test_k_by_hand():
    # Two blocks at 4 %: both are lost in 0.16 %, one or both in 7.84 %.
    assert design_k(2, 0.04) == 1
    # One block at 50 % cannot be protected at all.
    assert design_k(1, 0.5) == 0
    assert design_k(10, 0.0) == 10


def test_arrival_probability_by_hand():
    assert arrival_probability(2, 1, 0.5) == pytest.approx(0.75)
    assert arrival_probability(2, 2, 0.5) == pytest.approx(0.25)


def test_compositions_are_all_and_each_once():
    found = compositions(4, 3)
    assert len(found) == math.comb(6, 2) == len({tuple(row) for row in found})
    assert (found.sum(axis=1) == 4).all() and (found >= 0).all()


def test_allocation_fills_each_packet_and_counts_the_bytes():
    plan = allocate(127, 100, [(300, 20.0), (3000, 26.0), (12700, 32.0)], 13.0)
    assert sum(plan.shares) == 100
    assert list(plan.capacity) == list(np.cumsum(np.multiply(plan.shares, plan.needs)))
    assert list(plan.needs) == sorted(plan.needs)


def test_a_file_with_one_quality_gets_one_strong_code():
    """Where more bytes give nothing more, all protection is for the heaviest loss."""
    plan = allocate(127, 100, [(1000, 30.0), (100000, 30.0)], 10.0)
    assert plan.capacity[0] >= 1000
