# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets on the wire: bytes that must never change, and whatever else may arrive."""

import binascii

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.stream.packets import (
    END_COPIES,
    HEADER_BYTES,
    TYPE_BLOCK,
    TYPE_END,
    Packetizer,
    build_headers,
    crc16,
    parse_packets,
)
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(64, 64, bpp=1.0, block_size=32, model="binary@0123abcd", base_redundancy=1)
WIDTH = HEADER_BYTES + STREAM.block_size


def header(kind: int, stream: int, frame: int, index: int, digest: int = STREAM.digest) -> np.ndarray:
    return build_headers(kind, stream, np.array([frame]), np.array([index]), digest)


def packet(
    kind: int = TYPE_BLOCK, stream: int = 0, frame: int = 0, index: int = 0, digest: int = STREAM.digest
) -> np.ndarray:
    return np.concatenate(
        [header(kind, stream, frame, index, digest), np.zeros((1, STREAM.block_size), np.uint8)], axis=1
    )


def test_crc_gives_the_published_check_value():
    """CRC-16/IBM-3740 of "123456789" in the catalogue of parametrised CRCs."""
    assert crc16(np.frombuffer(b"123456789", np.uint8)[None]).tolist() == [0x29B1]


def test_crc_of_rows_is_that_of_each_row():
    rows = np.random.default_rng(1).integers(0, 256, (5, 6), np.uint8)
    assert crc16(rows).tolist() == [binascii.crc_hqx(row.tobytes(), 0xFFFF) for row in rows]
    assert crc16(rows[:0]).tolist() == []


@pytest.mark.parametrize(
    ("kind", "stream", "frame", "index", "digest", "expected"),
    [
        (TYPE_BLOCK, 0, 0, 0, 0x0000, "1000000000001494"),
        (TYPE_BLOCK, 0, 0, 0, 0xB6FA, "100000000000a26e"),
        (TYPE_BLOCK, 255, 0x1234, 0x00FF, 0xB6FA, "10ff123400ff099b"),
        (TYPE_END, 7, 0x0001, 0x0002, 0xB6FA, "1107000100029768"),
    ],
)
def test_headers_are_pinned(kind, stream, frame, index, digest, expected):
    assert header(kind, stream, frame, index, digest).tobytes().hex() == expected


def test_the_packetizer_numbers_blocks_in_order():
    packetizer = Packetizer(STREAM, stream_number=3)
    blocks = np.random.default_rng(2).integers(0, 256, (3 * STREAM.blocks, STREAM.block_size), np.uint8)
    packets = np.concatenate([packetizer.pack(blocks[:5]), packetizer.pack(blocks[5:5]), packetizer.pack(blocks[5:])])
    parsed = parse_packets(packets, STREAM, 3)
    assert parsed.frames.tolist() == [frame for frame in range(3) for _ in range(STREAM.blocks)]
    assert parsed.indices.tolist() == 3 * list(range(STREAM.blocks))
    assert np.array_equal(parsed.blocks, blocks)
    assert (parsed.ends, parsed.malformed, parsed.foreign, parsed.other_format) == ([], 0, 0, 0)


def test_frame_numbers_wrap_at_16_bits():
    packetizer = Packetizer(STREAM)
    packetizer.sent = 65535 * STREAM.blocks
    parsed = parse_packets(packetizer.pack(np.zeros((2 * STREAM.blocks, STREAM.block_size), np.uint8)), STREAM)
    assert sorted(set(parsed.frames.tolist())) == [0, 65535]


@pytest.mark.parametrize(
    ("blocks", "frames"), [(0, 0), (1, 1), (STREAM.blocks, 1), (STREAM.blocks + 1, 2), (70_000 * STREAM.blocks, 70_000)]
)
def test_end_packets_carry_the_number_of_frames(blocks, frames):
    packetizer = Packetizer(STREAM)
    packetizer.sent = blocks
    packets = packetizer.end()
    assert packets.shape == (END_COPIES, WIDTH)
    assert not packets[:, HEADER_BYTES:].any()
    parsed = parse_packets(packets, STREAM)
    assert parsed.ends == [frames] * END_COPIES
    assert len(parsed.blocks) == 0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 65535), st.integers(0, STREAM.blocks - 1)), min_size=1, max_size=20),
    st.integers(0, 255),
    st.randoms(use_true_random=False),
)
def test_what_is_built_parses_to_the_same(places, stream, random):
    frames, indices = np.array(places).T
    blocks = np.frombuffer(random.randbytes(len(places) * STREAM.block_size), np.uint8).reshape(len(places), -1)
    packets = np.concatenate([build_headers(TYPE_BLOCK, stream, frames, indices, STREAM.digest), blocks], axis=1)
    parsed = parse_packets(packets, STREAM, stream)
    assert parsed.frames.tolist() == frames.tolist()
    assert parsed.indices.tolist() == indices.tolist()
    assert np.array_equal(parsed.blocks, blocks)


@pytest.mark.parametrize("kind", [TYPE_BLOCK, TYPE_END])
@pytest.mark.parametrize(("frame", "index"), [(0, 0), (0x1234, 9), (65535, STREAM.blocks - 1)])
def test_a_flipped_bit_in_the_header_is_never_accepted(kind, frame, index):
    sound = packet(kind, 5, frame, index)
    for bit in range(8 * HEADER_BYTES):
        changed = sound.copy()
        changed[0, bit // 8] ^= 0x80 >> bit % 8
        parsed = parse_packets(changed, STREAM, 5)
        assert len(parsed.frames) == len(parsed.ends) == 0, f"bit {bit}"
        assert parsed.malformed + parsed.foreign + parsed.other_format == 1, f"bit {bit}"


def test_each_reason_to_drop_a_packet_is_counted_as_such():
    other = StreamFormat(64, 64, bpp=1.0, block_size=32, seed=2, model="binary@0123abcd", base_redundancy=1)
    assert other.digest != STREAM.digest
    wrong_version = packet()
    wrong_version[0, 0] = 0x20
    wrong_type = packet()
    wrong_type[0, 0] = 0x12
    parsed = parse_packets(
        np.concatenate(
            [
                packet(frame=4, index=1),
                wrong_version,
                wrong_type,
                packet(index=STREAM.blocks),  # a frame has no such block
                packet(stream=1),
                packet(stream=1, digest=other.digest),
                packet(digest=other.digest),
                packet(TYPE_END, digest=other.digest),
                packet(TYPE_END, frame=1, index=5),
            ]
        ),
        STREAM,
    )
    assert (parsed.malformed, parsed.foreign, parsed.other_format) == (3, 2, 2)
    assert (parsed.frames.tolist(), parsed.indices.tolist(), parsed.ends) == ([4], [1], [65541])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=10 * WIDTH))
def test_any_bytes_are_sorted_without_a_word(noise):
    rows = np.frombuffer(noise[: len(noise) // WIDTH * WIDTH], np.uint8).reshape(-1, WIDTH)
    parsed = parse_packets(rows, STREAM)
    known = len(parsed.frames) + len(parsed.ends) + parsed.malformed + parsed.foreign + parsed.other_format
    assert known == len(rows)


def test_noise_is_not_taken_for_packets():
    """A header of noise passes with probability 2^-8 (first byte) x 2^-8 x 2^-16 about."""
    rows = np.random.default_rng(7).integers(0, 256, (20_000, WIDTH), np.uint8)
    parsed = parse_packets(rows, STREAM)
    assert len(parsed.frames) + len(parsed.ends) == 0
