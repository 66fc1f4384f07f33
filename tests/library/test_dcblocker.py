# SPDX-License-Identifier: GPL-3.0-or-later
"""A DC offset is taken out of samples, whatever the stream is cut into; what has none passes as it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.links.dcblocker import DcBlocker, DcWindow

WINDOW = DcWindow(block=64, least=2, most=4)


def noise(count, seed=1):
    rng = np.random.default_rng(seed)
    return ((rng.normal(size=count) + 1j * rng.normal(size=count)) / 2**0.5).astype(np.complex64)


def test_samples_without_an_offset_pass_bit_for_bit():
    samples = noise(20_000) + np.complex64(0.05)
    blocker = DcBlocker()
    np.testing.assert_array_equal(blocker.push(samples), samples)
    assert blocker.levels.offset_db is None and blocker.levels.samples == 20_000


@pytest.mark.parametrize("offset", [0.5, -3j, 100 + 100j])
def test_an_offset_is_gone_once_it_is_known(offset):
    samples = noise(20_000)
    out = DcBlocker().push(samples + np.complex64(offset))
    np.testing.assert_array_equal(out[:2048], (samples + np.complex64(offset))[:2048])
    assert abs(out[2048:].mean()) < 0.02
    np.testing.assert_allclose(np.abs(out[4096:] - samples[4096:]), 0, atol=0.05)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 300), max_size=20), st.floats(0, 2))
def test_it_does_not_matter_where_the_stream_is_cut(cuts, offset):
    samples = noise(2000) + np.complex64(offset)
    blocker = DcBlocker(WINDOW)
    pieces = [blocker.push(piece) for piece in np.split(samples, np.minimum(np.cumsum([0, *cuts]), 2000))]
    np.testing.assert_array_equal(np.concatenate(pieces), DcBlocker(WINDOW).push(samples))


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(0, np.complex64), "no samples came"),
        (np.zeros(5000, np.complex64), "all samples are zeros"),
        (0.1 * noise(50_000), "steady level of -1"),
        (0.1 * noise(50_000) + np.complex64(1), "of full scale, with a DC offset of -0.0 dB of it, taken away"),
        (np.concatenate([0.01 * noise(9000), noise(9000)]), "energy that comes and goes"),
        (np.full(5000, np.nan, np.complex64), "no samples that are numbers"),
    ],
)  # fmt: skip
def test_what_was_there_is_told_from_nothing(samples, said):
    blocker = DcBlocker()
    blocker.push(samples)
    assert said in blocker.levels.words()
