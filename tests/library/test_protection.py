# SPDX-License-Identifier: GPL-3.0-or-later
"""How many blocks arrive in 99 of 100 frames: pinned values, and the exact binomial beside them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from ds2c2.stream.protection import OUTAGE, arriving, needed
from ds2c2.stream.streamformat import StreamFormat

losses = st.integers(0, 800_000).map(lambda n: Fraction(n, 1_000_000))


@pytest.mark.parametrize(
    ("blocks", "loss", "expected"),
    [
        (127, "0.5", 50),
        (127, "0.08", 110),
        (127, "0", 127),
        (265, "0.5", 114),
        (6, "0.8", 1),
        (1, "0.5", 1),
        (20971, "0.3", 14525),
        (65536, "0.8", 12869),
    ],
)
def test_the_numbers_are_pinned(blocks, loss, expected):
    """They are part of the wire format."""
    assert arriving(blocks, Fraction(loss)) == expected


@given(st.integers(20, 65536), losses)
def test_about_one_frame_of_a_hundred_has_fewer(blocks, loss):
    k = arriving(blocks, loss)
    assert 1 <= k <= blocks
    if 1 < k < blocks:
        # The quantile of the exact distribution is at most one block away.
        exact = int(binom.ppf(OUTAGE, blocks, 1 - float(loss)))
        assert abs(k - exact) <= 1 + blocks // 20_000


@given(st.integers(1, 65536), losses)
def test_more_loss_never_leaves_more(blocks, loss):
    assert arriving(blocks, loss) >= arriving(blocks, min(Fraction(4, 5), loss + Fraction(1, 100)))
    assert arriving(blocks, Fraction(0)) == blocks


@given(st.integers(1, 3000), losses)
def test_the_fewest_blocks_that_are_enough(sources, loss):
    found = needed(sources, loss, 65536)
    assert sources <= found <= 65536
    assert arriving(found, loss, least=0) >= sources
    assert found == sources or arriving(found - 1, loss, least=0) < sources


@given(losses)
def test_a_base_layer_of_one_symbol_is_protected_too(loss):
    """All its copies are lost in 1 of 100 frames, give or take a copy."""
    found = needed(1, loss, 65536)
    assert float(loss) ** (found + 1) <= OUTAGE
    assert needed(1, Fraction(1, 2), 100) == 8


def test_where_no_number_of_blocks_is_enough():
    assert needed(100, Fraction(1, 2), 120) == 121


def test_a_frame_of_one_block_survives_what_one_block_does():
    """Of few blocks all may be lost: 1 in 100 frames when each block is lost with 1 %."""
    assert StreamFormat(64, 64, survive=0.5).survivable == 0.01
    assert StreamFormat(768, 512, survive=0.5).survivable == 0.5
