# SPDX-License-Identifier: GPL-3.0-or-later
"""Interleaver and Deinterleaver against the library, and as each other's inverse."""

from dataclasses import replace

import numpy as np
import pytest
from flowgraph import ends_of, format_tags, formats_of, frame_tags, numbers_of, random_frames, run_to_error, through
from gnuradio import blocks, ds2c2, gr

from ds2c2.errors import FormatError, LinkError
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.stream.streamtags import FORMAT, Tag, pack_message


def as_frames(rows, stream_format):
    return rows.reshape(-1, stream_format.blocks, rows.shape[1])


def soft_of(rows):
    return to_soft(rows, np.ones(len(rows), bool))


def test_bits_of_each_frame(stream_format):
    """Every frame comes out as the library permutes it, its tags in place."""
    rows = random_frames(stream_format, 4)
    out, tags = through(rows, ds2c2.interleaver(stream_format), tags=frame_tags(stream_format, range(4)))
    library = Interleaver(stream_format)
    expected = np.concatenate([library.interleave(frame[None])[0] for frame in as_frames(rows, stream_format)])
    np.testing.assert_array_equal(out, expected)
    assert not np.array_equal(out, rows)
    count = stream_format.blocks
    assert numbers_of(tags) == [(0, 0), (count, 1), (2 * count, 2), (3 * count, 3)]
    assert ends_of(tags) == [4 * count - 1]


def test_partial_last_group_goes_out_at_the_end_tag(grouped_format):
    """Six frames at depth 4: a group of four, then one of two at its own permutation."""
    rows = random_frames(grouped_format, 6)
    out, tags = through(rows, ds2c2.interleaver(grouped_format), tags=frame_tags(grouped_format, range(6)))
    library = Interleaver(grouped_format)
    frames = as_frames(rows, grouped_format)
    expected = np.concatenate([library.interleave(frames[:4]), library.interleave(frames[4:])])
    np.testing.assert_array_equal(out, expected.reshape(out.shape))
    assert numbers_of(tags) == [(number * grouped_format.blocks, number) for number in range(6)]
    assert ends_of(tags) == [6 * grouped_format.blocks - 1]


def test_deinterleaver_undoes_bits(stream_format):
    """Soft bits come back in the encoder's order."""
    rows = random_frames(stream_format, 3)
    library = Interleaver(stream_format)
    mixed = np.concatenate([library.interleave(frame[None])[0] for frame in as_frames(rows, stream_format)])
    out, tags = through(soft_of(mixed), ds2c2.deinterleaver(stream_format), tags=frame_tags(stream_format, range(3)))
    np.testing.assert_array_equal(out.view(np.int8), soft_of(rows))
    assert numbers_of(tags) == [(number * stream_format.blocks, number) for number in range(3)]


def test_deinterleaver_partial_last_group(grouped_format):
    """The last two of six frames come back with the end tag's help."""
    rows = random_frames(grouped_format, 6)
    library = Interleaver(grouped_format)
    frames = as_frames(rows, grouped_format)
    mixed = np.concatenate([library.interleave(frames[:4]), library.interleave(frames[4:])]).reshape(rows.shape)
    out, tags = through(soft_of(mixed), ds2c2.deinterleaver(grouped_format), tags=frame_tags(grouped_format, range(6)))
    np.testing.assert_array_equal(out.view(np.int8), soft_of(rows))
    assert numbers_of(tags) == [(number * grouped_format.blocks, number) for number in range(6)]
    assert ends_of(tags) == [6 * grouped_format.blocks - 1]


def test_deinterleaver_joined_in_the_middle_of_a_group(grouped_format):
    """Frames 1 to 3 of a first group whose frame 0 never came, then a whole group."""
    rows = random_frames(grouped_format, 8)
    library = Interleaver(grouped_format)
    frames = as_frames(rows, grouped_format)
    mixed = np.concatenate([library.interleave(frames[:4]), library.interleave(frames[4:])])
    soft = soft_of(mixed.reshape(rows.shape)).reshape(8, grouped_format.blocks, -1)
    first = soft[:4].copy()
    first[0] = 0
    expected = np.concatenate([library.deinterleave(first)[1:], library.deinterleave(soft[4:])])
    out, tags = through(
        soft[1:].reshape(-1, soft.shape[2]),
        ds2c2.deinterleaver(grouped_format),
        tags=frame_tags(grouped_format, range(1, 8)),
    )
    np.testing.assert_array_equal(out.view(np.int8), expected.reshape(out.shape))
    assert numbers_of(tags) == [(place * grouped_format.blocks, place + 1) for place in range(7)]
    # The later group is whole: all of it must be as sent.
    whole = 4 * grouped_format.blocks
    np.testing.assert_array_equal(out[-whole:].view(np.int8), soft_of(rows)[-whole:])


def test_deinterleaver_without_an_end_lets_frames_go(grouped_format, monkeypatch):
    """Two frames of a group and then nothing: they come out, the missing ones erased."""
    monkeypatch.setitem(ds2c2.deinterleaver.idle.__globals__, "GROUP_TIMEOUT", 0.05)
    soft = soft_of(random_frames(grouped_format, 2)).reshape(2, grouped_format.blocks, -1)
    group = np.concatenate([soft, np.zeros_like(soft)])
    out, _ = through(
        soft.reshape(-1, soft.shape[2]),
        ds2c2.deinterleaver(grouped_format),
        tags=frame_tags(grouped_format, range(2), ended=False),
    )
    expected = Interleaver(grouped_format).deinterleave(group)[:2]
    np.testing.assert_array_equal(out.view(np.int8), expected.reshape(out.shape))


@pytest.mark.parametrize("frames", [1, 4, 5, 10])
def test_one_undoes_the_other(grouped_format, frames):
    """Through both, with only soft bits made between them in the library, nothing changes."""
    rows = random_frames(grouped_format, frames)
    mixed, tags = through(rows, ds2c2.interleaver(grouped_format), tags=frame_tags(grouped_format, range(frames)))
    out, _ = through(
        soft_of(mixed), ds2c2.deinterleaver(grouped_format), tags=frame_tags(grouped_format, range(frames))
    )
    np.testing.assert_array_equal(out.view(np.int8), soft_of(rows))


def test_frames_that_were_not_sent_are_said(grouped_format, capfd):
    """Five frames at depth 4 and no end tag: the fifth cannot be sent, and that is said."""
    rows = random_frames(grouped_format, 5)
    out, _ = through(rows, ds2c2.interleaver(grouped_format), tags=frame_tags(grouped_format, range(5), ended=False))
    assert len(out) == 4 * grouped_format.blocks
    assert "interleaver: frames not sent, of an unfinished group of 4: 1" in capfd.readouterr().err.splitlines()


def test_tags_stay_when_the_output_takes_a_group_in_pieces():
    """A group larger than the output buffer: every tag is where it was."""
    large = StreamFormat(512, 512, bpp=1.0, block_size=40, interleave="block", depth=8)
    rows = random_frames(large, 11)
    out, tags = through(rows, ds2c2.interleaver(large), tags=frame_tags(large, range(11)))
    assert len(out) == len(rows)
    assert numbers_of(tags) == [(number * large.blocks, number) for number in range(11)]
    assert ends_of(tags) == [11 * large.blocks - 1]


@pytest.mark.parametrize("block", [ds2c2.interleaver, ds2c2.packetizer, ds2c2.deinterleaver])
def test_a_stream_of_another_format_is_refused(stream_format, block):
    """Which stream it is stands in its tags: another one ends the flowgraph and is named."""
    other = replace(stream_format, seed=2)
    block = block(stream_format)
    size = block.input_signature().sizeof_stream_item(0)
    source = blocks.vector_source_b([0] * size * stream_format.blocks, True, size, format_tags(other, [0]))
    graph = gr.top_block()
    graph.connect(source, block, blocks.null_sink(block.output_signature().sizeof_stream_item(0)))
    run_to_error(graph)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert isinstance(error, FormatError)
    assert other.text in str(error) and stream_format.text in str(error)


def test_a_model_without_its_digest_is_any_of_its_name(stream_format):
    stream_format = replace(stream_format, model="binary")
    rows = random_frames(stream_format, 2)
    pinned = replace(stream_format, model="binary@0123abcd")
    out, tags = through(rows, ds2c2.packetizer(stream_format), tags=format_tags(pinned, [0, 1]))
    assert len(out) == len(rows)
    out, tags = through(rows, ds2c2.interleaver(stream_format), tags=format_tags(pinned, [0, 1]))
    assert formats_of(tags) == [(0, pinned.text), (stream_format.blocks, pinned.text)]


@pytest.mark.parametrize("block", [ds2c2.interleaver, ds2c2.packetizer])
def test_tags_that_come_as_items_are_refused(stream_format, block):
    """A ZMQ PULL Source without Pass Tags takes another host's tags for code blocks."""
    message = pack_message([Tag(0, FORMAT, stream_format.text)], bytes(4000), stream_format.block_size)
    block = block(stream_format)
    source = blocks.vector_source_b(list(message), True)
    whole = blocks.stream_to_vector(1, stream_format.block_size)
    graph = gr.top_block()
    graph.connect(source, whole, block, blocks.null_sink(block.output_signature().sizeof_stream_item(0)))
    run_to_error(graph)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert isinstance(error, LinkError) and "Pass Tags" in str(error)
