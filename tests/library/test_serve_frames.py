# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of soft bits from messages cut anywhere, and what becomes of those that are not whole."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2c2.errors import FormatError, LinkError
from ds2c2.serve.frames import FrameReader, frame_messages
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.stream.streamtags import END, FORMAT, FRAME, HEADER, Tag, pack_message, unpack_message

STREAM = StreamFormat(96, 64, bpp=0.9, block_size=40, interleave="bit", seed=7, model="binary")
N, SIZE = STREAM.blocks, 8 * STREAM.block_size


def soft_frames(count, seed=1):
    return np.random.default_rng(seed).integers(-1, 2, (count, N, SIZE)).astype(np.int8)


def tags_of(numbers, stream=STREAM, ended=True):
    """As the Depacketizer tags frames with these numbers, from offset 0."""
    tags = []
    for place, number in enumerate(numbers):
        tags += [Tag(place * N, FRAME, (number, stream.base_blocks)), Tag(place * N, FORMAT, stream.text)]
    return tags + ([Tag(len(numbers) * N - 1, END, True)] if ended else [])


def message(rows, tags, offset):
    """As a ZMQ PUSH Sink writes rows that begin at an offset: with it, and the tags among them."""
    among = [tag for tag in tags if offset <= tag.offset < offset + len(rows)]
    packed = pack_message(among, rows.tobytes(), SIZE)
    return HEADER.pack(0x5FF0, 1, offset, len(among)) + packed[HEADER.size :]


def messages(frames, numbers, cuts=(), **arguments):
    rows, tags = frames.reshape(-1, SIZE), tags_of(numbers, **arguments)
    edges = [0, *sorted(set(cuts) - {0, len(rows)}), len(rows)]
    return [message(rows[a:b], tags, a) for a, b in zip(edges, edges[1:], strict=False)]


def read(reader, parts):
    return [frame for part in parts for frame in reader.push(part)]


@given(st.sets(st.integers(1, 4 * N - 1), max_size=12), st.booleans())
def test_frames_come_whole_however_they_are_cut(cuts, told):
    frames = soft_frames(4)
    reader = FrameReader(STREAM if told else None)
    got = read(reader, messages(frames, [8, 9, 10, 11], cuts))
    assert [number for number, _ in got] == [8, 9, 10, 11]
    np.testing.assert_array_equal(np.stack([soft for _, soft in got]), frames)
    assert reader.ended and reader.stream == STREAM
    assert (reader.counts.frames, reader.counts.torn, reader.counts.skipped, reader.counts.lost) == (4, 0, 0, 0)


@given(st.integers(0, 9), st.integers(1, 10))
def test_a_gap_tears_the_frames_it_touches(first, length):
    """Messages that are missing: the frames around are whole or not there, and what is not is counted."""
    frames, third = soft_frames(4), N // 3
    cuts = [frame * N + part * third for frame in range(4) for part in range(3)]
    parts = messages(frames, range(4), cuts)
    assert len(parts) == 12
    kept = [part for place, part in enumerate(parts) if not first < place <= first + length]
    reader = FrameReader(STREAM)
    got = read(reader, kept)
    reader.close()
    touched = {place // 3 for place in range(first + 1, min(first + length, 11) + 1)}
    assert [number for number, _ in got] == [number for number in range(4) if number not in touched]
    for number, soft in got:
        np.testing.assert_array_equal(soft, frames[number])
    # The frame that the gap begins in was begun; others in it never showed.
    assert reader.counts.torn == (1 if (first + 1) % 3 else 0)
    missing = [part for part in parts if part not in kept]
    if parts[-1] in kept:
        assert reader.counts.lost == sum(len(unpack_message(part)[2]) // SIZE for part in missing)


def test_joined_inside_a_frame():
    """What belongs to a frame that began before is skipped, and counted."""
    frames = soft_frames(3)
    parts = messages(frames, [4, 5, 6], cuts=[5, N + 5])
    reader = FrameReader(STREAM)
    assert [number for number, _ in read(reader, parts[1:])] == [5, 6]
    assert (reader.counts.skipped, reader.counts.lost) == (N - 5, 0)


def test_a_flowgraph_that_starts_over():
    """Killed in the middle of a frame; the next one counts from nought again."""
    first, second = soft_frames(2, seed=2), soft_frames(2, seed=3)
    reader = FrameReader(STREAM)
    got = read(reader, messages(first, [0, 1], cuts=[N + 5], ended=False)[:1])
    got += read(reader, messages(second, [0, 1]))
    assert [number for number, _ in got] == [0, 0, 1]
    np.testing.assert_array_equal(got[1][1], second[0])
    assert (reader.counts.torn, reader.counts.restarts) == (1, 1)
    assert "1 torn frames" in reader.counts.line() and "1 restarts" in reader.counts.line()


@pytest.mark.parametrize(
    "other",
    [replace(STREAM, seed=8), replace(STREAM, block_size=48), replace(STREAM, bpp=0.8), StreamFormat(768, 512)],
    ids=["seed", "block", "rate", "all"],
)
def test_another_format_is_named_and_no_frame_comes(other):
    reader = FrameReader(STREAM)
    rows = np.zeros((other.blocks, 8 * other.block_size), np.int8)
    with pytest.raises(FormatError) as error:
        reader.push(message(rows, tags_of([0], other), 0))
    assert STREAM.text in str(error.value) and other.text in str(error.value)


def test_a_format_that_changes_is_named():
    reader = FrameReader()
    read(reader, messages(soft_frames(1), [0], ended=False))
    with pytest.raises(FormatError, match="seed=8"):
        read(reader, messages(soft_frames(1), [0], stream=replace(STREAM, seed=8)))


@pytest.mark.parametrize("nonsense", [b"", bytes(5 * SIZE), HEADER.pack(0x5FF0, 1, 0, 3)])
def test_messages_without_tags(nonsense):
    """The first of all: set up wrong. A later one: an accident, counted."""
    with pytest.raises(LinkError, match="Pass Tags"):
        FrameReader(STREAM).push(nonsense)
    reader, parts = FrameReader(STREAM), messages(soft_frames(2), [0, 1], cuts=[N])
    got = read(reader, [parts[0], nonsense, parts[1]])
    assert [number for number, _ in got] == [0, 1]
    assert (reader.counts.malformed, reader.counts.messages) == (1, 3)


def test_items_of_another_size_are_refused():
    with pytest.raises(LinkError, match=f"{SIZE} bytes each"):
        FrameReader(STREAM).push(message(np.zeros((3, 7), np.int8), [], 0))


@pytest.mark.parametrize("last", [False, True])
def test_a_frame_s_messages(last):
    """One message a frame, tags at its start; the last frame's last block comes with the end tag."""
    blocks = np.random.default_rng(1).integers(0, 256, (N, STREAM.block_size), np.uint8)
    parts = [unpack_message(part) for part in frame_messages(STREAM, 70000, blocks, last)]
    assert b"".join(bytes(items) for _, _, items in parts) == blocks.tobytes()
    begin = [Tag(0, FRAME, (70000, STREAM.base_blocks)), Tag(0, FORMAT, STREAM.text)]
    assert [tags for _, tags, _ in parts] == ([begin, [Tag(0, END, True)]] if last else [begin])
    assert [len(items) for *_, items in parts][1:] == ([STREAM.block_size] if last else [])
