# SPDX-License-Identifier: GPL-3.0-or-later
"""The search of the quantizer's step finds what trying every step would, and looks at few."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.codec.baselayer import BaseLayerError, pack_base, unpack_base, with_side_info
from ds2c2.codec.quantizer import COARSEST, FINEST, finest_within, refine
from ds2c2.stream import permutation
from ds2c2.stream.permutation import seeded_order


def falling(bits, slope):
    """A cost that falls with the step, and the steps that were asked for."""
    asked = []

    def cost(step):
        asked.append(step)
        return bits * np.exp(-slope / 256 * (step - FINEST))

    return cost, asked


@settings(max_examples=60, deadline=None)
@given(st.floats(1e4, 1e8), st.floats(0.3, 2.0), st.floats(1e3, 1e7))
def test_the_finest_step_that_fits_is_found(bits, slope, wanted):
    cost, asked = falling(bits, slope)
    found, _ = finest_within(cost, wanted)
    every = [step for step in range(FINEST, COARSEST + 1) if bits * np.exp(-slope / 256 * (step - FINEST)) <= wanted]
    assert found == (every[0] if every else COARSEST)
    assert len(asked) <= 20


@settings(max_examples=60, deadline=None)
@given(st.floats(1e5, 1e7), st.floats(0.5, 1.0), st.integers(FINEST, COARSEST))
def test_refining_gives_a_step_that_fits_where_one_was_tried(bits, slope, start):
    cost, asked = falling(bits, slope)
    found = refine(start, 5e4, cost, 0.7 / 256)
    fitting = [step for step in asked if bits * np.exp(-slope / 256 * (step - FINEST)) <= 5e4]
    assert len(asked) <= 14  # five guesses, and halving what is left of seven octaves
    assert found == min(fitting, default=max(asked))


def test_a_guess_far_beyond_is_taken_back():
    """A cost that falls off a cliff, as that of a picture whose noise is all in one corner."""
    found = refine(1500, 1000.0, lambda step: 1e5 * np.exp(-(step - FINEST) / 2e4) if step < 1700 else 500.0, 0.7 / 256)
    assert 1700 <= found <= 1708


def test_a_cost_beyond_measure_is_left_behind():
    found, _ = finest_within(lambda step: float("inf") if step < 900 else 10.0, 100.0)
    assert found == 900


def test_side_information_comes_into_a_container_without_its_picture_being_coded_again():
    small = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    side = bytes(range(40))
    container = with_side_info(pack_base(small, bytes(40), 600), side)
    assert container == pack_base(small, side, 600)
    assert unpack_base(container, 8, 12).side_info == side
    with pytest.raises(BaseLayerError, match="39 bytes where 40 are kept"):
        with_side_info(container, side[:-1])


def test_a_large_permutation_is_the_one_that_it_always_was(monkeypatch):
    """Sorted in parts or at once."""
    whole = seeded_order(7, 5000)
    assert (
        hashlib.sha256(whole.astype("<i8").tobytes()).hexdigest()
        == "d16a81e3daa57070be489a49474fd5cb36f178375276a093f92fe302d044525a"
    )
    monkeypatch.setattr(permutation, "LARGE", 1)
    assert np.array_equal(seeded_order(7, 5000, np.int32), whole)
