# SPDX-License-Identifier: GPL-3.0-or-later
"""When a picture was there, and who sends it: in packets of their own, which nothing else heeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2c2.errors import FormatError
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.packetcheck import signed_with
from ds2c2.stream.packets import Packetizer
from ds2c2.stream.stamps import Stamp, pack_stamp, read_stamp
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(96, 64, bpp=0.9, block_size=48)
APART = StreamFormat(96, 64, bpp=0.9, block_size=48, interleave="bit", model="binary", layout="apart")
WHEN = 1_795_000_000.25


@given(st.floats(0, 2**40), st.text(st.characters(categories=["L", "N"]), max_size=4), st.integers(32, 200))
def test_a_stamp_comes_back_to_the_microsecond(seconds, call, block_size):
    stamp = read_stamp(pack_stamp(Stamp(seconds, call), block_size))
    assert stamp.call == call and abs(stamp.seconds - seconds) <= 1e-6 + seconds * 2**-52


@given(st.binary(min_size=32, max_size=64), st.integers(0, 255))
def test_any_bytes_may_come(block, place):
    assert read_stamp(np.frombuffer(block, np.uint8)) is None
    stamped = pack_stamp(Stamp(WHEN, "DL1ABC"), len(block)).copy()
    stamped[place % len(stamped)] ^= 1
    assert read_stamp(stamped) is None


@pytest.mark.parametrize("stream", [STREAM, APART])
def test_a_receiver_knows_when_a_picture_was_there(stream):
    packetizer, blocks = Packetizer(stream, 3), np.zeros((2 * stream.blocks, stream.block_size), np.uint8)
    packets = [packetizer.pack(blocks)]
    packets += [packetizer.stamp([WHEN, WHEN + 1], "DL1ABC"), packetizer.pack(blocks), packetizer.end()]
    assembler = FrameAssembler(stream, 3)
    frames = assembler.push(np.concatenate(packets))
    assert [frame.number for frame in frames] == [0, 1, 2, 3] and all(frame.arrived.all() for frame in frames)
    assert [assembler.stamp(frame) for frame in range(4)] == [
        None,
        None,
        Stamp(WHEN, "DL1ABC"),
        Stamp(WHEN + 1, "DL1ABC"),
    ]
    assert assembler.stamp(3).delay(WHEN + 1.5) == 0.5
    counts = assembler.counts
    assert (counts.stamps, counts.used, counts.end, counts.malformed) == (2, 4 * stream.blocks, 8, 0)
    assert counts.received == counts.stamps + counts.used + counts.end


def test_a_damaged_stamp_is_none():
    packets = Packetizer(APART).stamp([WHEN])
    packets[0, -20] ^= 1
    assembler = FrameAssembler(APART)
    assembler.push(packets)
    assert assembler.stamp(0) is None and assembler.counts.damaged == 1


def test_a_signed_stream_takes_stamps_of_its_newest_sender_only():
    key, other = bytes(range(32)), bytes(32)
    signed = signed_with(STREAM, key)
    assembler = FrameAssembler(signed, key=key)
    blocks = np.zeros((signed.blocks, signed.block_size), np.uint8)
    packetizer = Packetizer(signed, key=key, session=100)
    assembler.push(np.concatenate([packetizer.stamp([WHEN]), packetizer.pack(blocks)]))
    assert assembler.stamp(0) == Stamp(WHEN)
    assembler.push(Packetizer(signed, key=key, session=99).stamp([WHEN + 1]))
    assembler.push(Packetizer(signed_with(STREAM, other), key=other, session=100).stamp([WHEN + 2]))
    assert assembler.stamp(0) == Stamp(WHEN)
    assert assembler.counts.forged + assembler.counts.other_format == 1


def test_version_1_and_long_call_signs_are_refused():
    old = StreamFormat(96, 64, bpp=0.9, block_size=48, base_redundancy=1)
    with pytest.raises(FormatError, match="version 2"):
        Packetizer(old).stamp([WHEN])
    with pytest.raises(FormatError, match="16 bytes at most"):
        Packetizer(STREAM).stamp([WHEN], "DL1ABC/portable/maritime")
