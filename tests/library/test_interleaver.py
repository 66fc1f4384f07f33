# SPDX-License-Identifier: GPL-3.0-or-later
"""The interleaver: a permutation that both ends know, pinned for ever."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.softbits import to_hard, to_soft
from ds2c2.stream.streamformat import StreamFormat

SIZE = {"width": 96, "height": 64, "bpp": 1.0, "block_size": 40}


def random_frames(stream: StreamFormat, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, stream.blocks, stream.block_size), np.uint8)


def soft_of(frames: np.ndarray, arrived: np.ndarray | None = None) -> np.ndarray:
    flat = frames.reshape(-1, frames.shape[2])
    arrived = np.ones(len(flat), bool) if arrived is None else arrived.reshape(-1)
    return to_soft(flat, arrived).reshape(*frames.shape[:2], -1)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([("bit", 1), ("none", 1), ("block", 1), ("block", 4), ("block", 8)]),
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
)
def test_deinterleaving_undoes_interleaving_for_whole_and_partial_groups(unit, count, seed):
    interleave, depth = unit
    stream = StreamFormat(**SIZE, interleave=interleave, depth=depth, seed=seed)
    frames = random_frames(stream, min(count, depth), seed)
    before = frames.copy()
    mixed = Interleaver(stream).interleave(frames)
    assert np.array_equal(frames, before)
    assert np.array_equal(Interleaver(stream).deinterleave(soft_of(mixed)), soft_of(frames))
    base = stream.base_blocks
    assert np.array_equal(mixed[:, :base], frames[:, :base])
    # Nothing appears and nothing goes: a bijection.
    if interleave == "bit":
        assert np.unpackbits(mixed[0, base:]).sum() == np.unpackbits(frames[0, base:]).sum()
    else:
        enhancement = frames[:, base:].reshape(-1, stream.block_size)
        assert sorted(map(bytes, mixed[:, base:].reshape(-1, stream.block_size))) == sorted(map(bytes, enhancement))


def test_one_object_serves_both_directions_again_and_again():
    stream = StreamFormat(**SIZE, interleave="bit")
    interleaver = Interleaver(stream)
    frames = random_frames(stream, 1)
    mixed = interleaver.interleave(frames)
    for _ in range(2):
        assert np.array_equal(interleaver.deinterleave(soft_of(mixed)), soft_of(frames))
        assert np.array_equal(interleaver.interleave(frames), mixed)


@pytest.mark.parametrize(("interleave", "depth"), [("bit", 1), ("block", 4)])
def test_every_symbol_moves_to_a_place_of_its_own(interleave, depth):
    """Each bit (block) set alone lights exactly one place, and no place twice."""
    stream = StreamFormat(64, 64, bpp=1.0, block_size=32, interleave=interleave, depth=depth, base_redundancy=1)
    interleaver = Interleaver(stream)
    base, count = stream.base_blocks, stream.enhancement_blocks
    if interleave == "block":
        frames = np.zeros((depth, stream.blocks, 32), np.uint8)
        frames[:, base:, 0] = np.arange(depth * count).reshape(depth, count)
        places = interleaver.interleave(frames)[:, base:, 0].reshape(-1)
        assert sorted(places.tolist()) == list(range(depth * count))
        # A burst within one frame on the link comes from several frames.
        assert len({int(place) // count for place in places[:count]}) > 1
        return
    taken = set()
    for bit in range(stream.enhancement_bits):
        frames = np.zeros((1, stream.blocks, 32), np.uint8)
        frames[0, base + bit // 256, bit % 256 // 8] = 0x80 >> bit % 8
        (place,) = np.flatnonzero(np.unpackbits(interleaver.interleave(frames)))
        taken.add(int(place))
    assert taken == set(range(base * 256, stream.blocks * 256))


def test_a_lost_block_is_spread_evenly_over_the_frame():
    """Of 320 erased bits each quarter of the frame gets 80, within 5 sigma (about 39)."""
    stream = StreamFormat(512, 512, bpp=0.3, block_size=40, interleave="bit", base_redundancy=1)
    interleaver = Interleaver(stream)
    mixed = interleaver.interleave(random_frames(stream, 1))
    for lost in range(stream.base_blocks, stream.blocks, 23):
        arrived = np.arange(stream.blocks) != lost
        soft = interleaver.deinterleave(soft_of(mixed, arrived))[0, stream.base_blocks :].reshape(-1)
        erased = np.flatnonzero(soft == 0)
        assert len(erased) == 8 * stream.block_size
        quarters = np.histogram(erased, bins=4, range=(0, len(soft)))[0]
        assert quarters.min() >= 41
        assert quarters.max() <= 119


def test_without_interleaving_a_lost_block_stays_where_it_is():
    stream = StreamFormat(**SIZE, interleave="none")
    frames = random_frames(stream, 1)
    arrived = np.arange(stream.blocks) != stream.blocks - 1
    _, whole = to_hard(Interleaver(stream).deinterleave(soft_of(frames, arrived))[0])
    assert whole.tolist() == arrived.tolist()


def test_a_burst_over_blocks_is_shared_by_the_frames_of_a_group():
    stream = StreamFormat(256, 256, bpp=0.5, block_size=40, interleave="block", depth=4, base_redundancy=1)
    arrived = np.ones((4, stream.blocks), bool)
    arrived[1, stream.base_blocks :] = False  # a whole frame's enhancement
    soft = Interleaver(stream).deinterleave(soft_of(random_frames(stream, 4), arrived))
    lost = (soft[:, stream.base_blocks :] == 0).all(axis=2).sum(axis=1)
    assert lost.sum() == stream.enhancement_blocks
    assert lost.max() < stream.enhancement_blocks / 2


def ranks(seed: int, size: int) -> np.ndarray:
    """The permutation as docs/wire-format.md words it."""
    raw = np.random.PCG64(seed).random_raw(size)
    return np.array(sorted(range(size), key=lambda place: (int(raw[place]), place)))


@pytest.mark.parametrize(
    ("seed", "first", "digest"),
    [
        (
            1,
            [1329, 2530, 458, 1337, 323, 622, 2098, 1355],
            "4571c02056fac82246fd08f07eab30d2b16925a1672350ad22d1ddd24006a511",
        ),
        (
            2**32 - 1,
            [976, 1119, 765, 1104, 2392, 1924, 1203, 810],
            "ee90c4d835809c4f0bd788d27c99f16351ab9a50ada34cd428c0cd9841a9d65d",
        ),
    ],
)
def test_the_permutation_is_pinned(seed, first, digest):
    """Read off the interleaver: where bit k of the sent enhancement comes from."""
    stream = StreamFormat(64, 64, bpp=1.0, block_size=32, interleave="bit", seed=seed, base_redundancy=1)
    base, size = stream.base_blocks, stream.enhancement_bits
    interleaver = Interleaver(stream)
    source = np.zeros(size, np.int64)
    # Each source bit's number is sent digit by digit.
    for digit in range(size.bit_length()):
        bits = (np.arange(size) >> digit & 1).astype(np.uint8)
        frames = np.zeros((1, stream.blocks, 32), np.uint8)
        frames[0, base:] = np.packbits(bits).reshape(-1, 32)
        source |= np.unpackbits(interleaver.interleave(frames)[0, base:]).astype(np.int64) << digit
    assert np.array_equal(source, ranks(seed, size))
    assert source[:8].tolist() == first
    assert hashlib.sha256(source.astype(">u4").tobytes()).hexdigest() == digest
