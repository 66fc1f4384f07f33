# SPDX-License-Identifier: GPL-3.0-or-later
"""Check sum and scrambling of packets on a modem link."""

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ds2c2.links.linkframes import LinkFrames, ModemCounts, scrambler_bytes


def test_scrambler_sequence():
    """The first bytes of GNU Radio's additive_scrambler_bb(0x8A, 0x7F, 7, 0, 8) over zeros."""
    assert scrambler_bytes(8).tolist() == [127, 16, 70, 121, 113, 210, 110, 86]


@given(st.integers(1, 60), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_frames_give_packets_back(size, count, seed):
    packets = np.random.default_rng(seed).integers(0, 256, (count, size), np.uint8)
    frames = LinkFrames(size).pack(packets)
    assert frames.shape == (count, size + 4)
    back, intact = LinkFrames(size).check(frames)
    assert intact.all()
    np.testing.assert_array_equal(back, packets)


@given(st.integers(0, 10 * 8 - 1), st.integers(0, 10 * 8 - 1))
def test_changed_bits_are_noticed(first, second):
    frames = LinkFrames(6).pack(np.arange(12, dtype=np.uint8).reshape(2, 6))
    bits = np.unpackbits(frames, axis=1)
    bits[0, [first, second]] ^= 1
    _, intact = LinkFrames(6).check(np.packbits(bits, axis=1))
    assert intact.tolist() == [False, True]


def test_the_sum_is_that_of_ethernet():
    packet = np.frombuffer(b"123456789", np.uint8)[None]
    frame = LinkFrames(9).pack(packet)[0] ^ scrambler_bytes(13)
    assert frame[9:].tobytes() == (0xCBF43926).to_bytes(4, "little") == zlib.crc32(b"123456789").to_bytes(4, "little")


def test_counts_say_where_packets_went():
    counts = ModemCounts(sent=10, detected=9, header_failed=1, crc_failed=2, passed=5)
    assert counts.line() == "10 packets sent, 5 passed, 2 missed, 1 header failures, 2 CRC failures"
    assert ModemCounts(detected=3, passed=3).missed is None
    # False alarms are no packets.
    assert ModemCounts(sent=1, detected=3, header_failed=2, passed=1).missed == 0
