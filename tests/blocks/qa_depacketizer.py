# SPDX-License-Identifier: GPL-3.0-or-later
"""Depacketizer: what links do to packets, and the frames that must come out all the same."""

import time
from dataclasses import replace

import numpy as np
import pytest
from flowgraph import ends_of, formats_of, frame_tags, numbers_of, random_frames, row_sink, run, run_to_error, through
from gnuradio import blocks, ds2c2, gr

from ds2c2.errors import FormatError, NothingReceived
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.packetcheck import signed_with
from ds2c2.stream.packetkey import make_key
from ds2c2.stream.packets import END_COPIES, Packetizer
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

FRAMES = 6
# Seconds without packets: the tests' inputs are finite, and this is all they wait for.
TIMEOUT = 0.05


def sent(stream_format, frames=FRAMES, stream=0, seed=1):
    """Code blocks, their packets, and the end packets."""
    rows = random_frames(stream_format, frames, seed)
    packetizer = Packetizer(stream_format, stream)
    return rows, packetizer.pack(rows), packetizer.end()


def soft_of(rows, arrived=None):
    return to_soft(rows, np.ones(len(rows), bool) if arrived is None else arrived)


def receive(stream_format, packets, **arguments):
    """Soft bits ``int8``, tags and counts."""
    block = ds2c2.depacketizer(stream_format, **{"timeout": TIMEOUT} | arguments)
    out, tags = through(packets, block)
    return out.view(np.int8), tags, block.counts


def offsets(stream_format, numbers):
    return [(place * stream_format.blocks, number) for place, number in enumerate(numbers)]


def test_all_arrive(stream_format):
    """Every frame, in order, with its number."""
    rows, packets, ends = sent(stream_format)
    out, tags, counts = receive(stream_format, np.concatenate([packets, ends]))
    np.testing.assert_array_equal(out, soft_of(rows))
    assert numbers_of(tags) == offsets(stream_format, range(FRAMES))
    assert formats_of(tags) == offsets(stream_format, [stream_format.text] * FRAMES)
    assert ends_of(tags) == [len(rows) - 1]
    assert (counts.used, counts.missing, counts.end) == (len(packets), 0, END_COPIES)


def test_the_first_packets_are_not_parted_by_silence(stream_format):
    """They come one by one to a receiver that has long listened, and wait for each other. Handed over by hand: a
    scheduler gathers them."""
    _, packets, _ = sent(stream_format)
    block = ds2c2.depacketizer(stream_format, timeout=TIMEOUT)
    time.sleep(2 * TIMEOUT)
    for packet in packets:
        block.take(packet[None], [])
    assert (block.counts.used, block.counts.late, block.counts.missing) == (len(packets), 0, 0)


def test_lost_packets_are_erased(stream_format):
    """A third is lost: zeros where they were, the rest as sent."""
    rows, packets, ends = sent(stream_format)
    arrived = np.random.default_rng(3).random(len(packets)) > 0.33
    out, tags, counts = receive(stream_format, np.concatenate([packets[arrived], ends]))
    np.testing.assert_array_equal(out, soft_of(rows, arrived))
    assert numbers_of(tags) == offsets(stream_format, range(FRAMES))
    assert counts.missing == (~arrived).sum()


@pytest.mark.parametrize("lost", [[2], [2, 3], [FRAMES - 1], [FRAMES - 2, FRAMES - 1]])
def test_frames_of_which_nothing_arrives(stream_format, lost):
    """Frames in the middle or at the end, all packets lost: they come out erased."""
    rows, packets, ends = sent(stream_format)
    arrived = ~np.isin(np.arange(len(packets)) // stream_format.blocks, lost)
    out, tags, counts = receive(stream_format, np.concatenate([packets[arrived], ends]))
    np.testing.assert_array_equal(out, soft_of(rows, arrived))
    assert numbers_of(tags) == offsets(stream_format, range(FRAMES))
    assert counts.lost_frames == len(lost)


def test_everything_lost_but_the_end(stream_format):
    """Nothing to put out, and yet an end."""
    _, _, ends = sent(stream_format)
    out, _, counts = receive(stream_format, ends)
    assert len(out) == 0
    assert counts.used == 0


def test_reordered_within_200(stream_format):
    """Each packet up to 200 places from its own."""
    rows, packets, ends = sent(stream_format, 20)
    order = np.argsort(np.arange(len(packets)) + np.random.default_rng(4).uniform(0, 200, len(packets)), kind="stable")
    assert not np.array_equal(order, np.arange(len(order)))
    out, tags, counts = receive(stream_format, np.concatenate([packets[order], ends]))
    np.testing.assert_array_equal(out, soft_of(rows))
    assert numbers_of(tags) == offsets(stream_format, range(20))
    assert (counts.missing, counts.late) == (0, 0)


def test_each_duplicated(stream_format):
    """Every packet twice: every frame once."""
    rows, packets, ends = sent(stream_format)
    out, tags, counts = receive(stream_format, np.repeat(np.concatenate([packets, ends]), 2, axis=0))
    np.testing.assert_array_equal(out, soft_of(rows))
    assert numbers_of(tags) == offsets(stream_format, range(FRAMES))
    assert counts.used == len(packets)
    # The copy of the last packet of all may come after the stream has ended.
    assert counts.duplicate >= len(packets) - 1


def test_one_in_twenty_is_noise(stream_format):
    """5 % replaced by random bytes: lost, counted, and nothing else harmed."""
    rows, packets, ends = sent(stream_format)
    rng = np.random.default_rng(5)
    noise = rng.random(len(packets)) < 0.05
    packets[noise] = rng.integers(0, 256, (noise.sum(), packets.shape[1]), np.uint8)
    out, _, counts = receive(stream_format, np.concatenate([packets, ends]))
    assert noise.any()
    np.testing.assert_array_equal(out, soft_of(rows, ~noise))
    assert counts.malformed + counts.foreign + counts.other_format == noise.sum()


def test_joined_in_the_middle(stream_format):
    """From the middle of frame 2 on: its rest, then all others, with their own numbers."""
    rows, packets, ends = sent(stream_format)
    first = 2 * stream_format.blocks
    start = first + 7
    out, tags, _ = receive(stream_format, np.concatenate([packets[start:], ends]))
    arrived = np.arange(len(packets)) >= start
    np.testing.assert_array_equal(out, soft_of(rows, arrived)[first:])
    assert numbers_of(tags) == offsets(stream_format, range(2, FRAMES))


@pytest.mark.parametrize("stream", [0, 1])
def test_two_streams_mixed(stream_format, stream):
    """Packets of two streams by turns: each receiver gets its own frames."""
    both = [sent(stream_format, stream=number, seed=number + 10) for number in (0, 1)]
    mixed = np.stack([np.concatenate(one[1:]) for one in both], axis=1)
    mixed = mixed.reshape(-1, mixed.shape[2])
    out, _, counts = receive(stream_format, mixed, stream=stream)
    np.testing.assert_array_equal(out, soft_of(both[stream][0]))
    assert counts.foreign >= len(both[stream][0]) - 1


@pytest.mark.parametrize("together", [True, False])
def test_end_tag_with_the_last_block(stream_format, together):
    """Also where the end packets come in a later call than what completed the last frame."""
    rows, packets, ends = sent(stream_format)
    queue = np.concatenate([packets, ends])
    # A call takes one packet or many.
    source = blocks.vector_source_b(queue.reshape(-1), False, queue.shape[1])
    source.set_max_noutput_items(8192 if together else 1)
    block = ds2c2.depacketizer(stream_format)
    sink = blocks.vector_sink_b(8 * stream_format.block_size)
    graph = gr.top_block()
    graph.connect(source, block, sink)
    run(graph)
    assert ends_of(sink.tags()) == [len(rows) - 1]


def test_no_end_packet(stream_format):
    """The end is lost: the last frame, incomplete, comes out after the time-out."""
    rows, packets, _ = sent(stream_format)
    out, tags, _ = receive(stream_format, packets[:-3])
    arrived = np.arange(len(packets)) < len(packets) - 3
    np.testing.assert_array_equal(out, soft_of(rows, arrived))
    assert numbers_of(tags) == offsets(stream_format, range(FRAMES))
    assert ends_of(tags) == []


@pytest.mark.parametrize("frames", [4, 5, 6, 7])
@pytest.mark.parametrize("loss", [0.0, 0.4])
@pytest.mark.parametrize("later", [0, 20_000])
def test_end_tag_where_a_group_is_not_full(grouped_format, frames, loss, later):
    """With depth 4 the last block carries the end tag whenever the last group is short, even if
    the end is announced long after its frames are complete."""
    rows, packets, ends = sent(grouped_format, frames)
    arrived = np.random.default_rng(6).random(len(packets)) >= loss
    noise = np.full((later, packets.shape[1]), 255, np.uint8)
    # Noise is silence: the frames wait through it.
    patience = {"timeout": 3.0} if later else {}
    out, tags, _ = receive(grouped_format, np.concatenate([packets[arrived], noise, ends]), **patience)
    np.testing.assert_array_equal(out, soft_of(rows, arrived))
    assert numbers_of(tags) == offsets(grouped_format, range(frames))
    if frames % grouped_format.depth:
        assert ends_of(tags) == [len(packets) - 1]


def test_frame_kept_back_comes_out_without_an_end(grouped_format):
    """With depth 4 and no end packet nothing is swallowed."""
    rows, packets, _ = sent(grouped_format, 2)
    out, tags, _ = receive(grouped_format, packets)
    np.testing.assert_array_equal(out, soft_of(rows))
    assert ends_of(tags) == []


def test_ends_before_its_input(stream_format):
    """The announced end finishes the block, though noise and copies go on without end."""
    rows, packets, ends = sent(stream_format, 1)
    noise = np.zeros((2000, packets.shape[1]), np.uint8)
    endless = np.concatenate([packets, ends, noise])
    source = blocks.vector_source_b(endless.reshape(-1).tolist(), True, packets.shape[1])
    sink = blocks.vector_sink_b(8 * stream_format.block_size)
    graph = gr.top_block()
    graph.connect(source, ds2c2.depacketizer(stream_format, timeout=TIMEOUT), sink)
    run(graph)
    np.testing.assert_array_equal(np.array(sink.data(), np.uint8).view(np.int8).reshape(len(rows), -1), soft_of(rows))
    assert ends_of(sink.tags()) == [len(rows) - 1]


@pytest.mark.parametrize("frames", [1, 6])
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_other_format_is_said(stream_format, capfd, frames, share):
    """Nothing of ours, all of another format, many packets or few: both digests are named, once."""
    other = StreamFormat(192, 128, bpp=0.6, block_size=40, interleave="bit", seed=2, model="binary")
    other = pinned(other)
    _, packets, _ = sent(other, frames)
    packets = packets[: int(share * len(packets))]
    block = ds2c2.depacketizer(stream_format, timeout=TIMEOUT)
    sink = blocks.vector_sink_b(8 * stream_format.block_size)
    source = blocks.vector_source_b(packets.reshape(-1).tolist(), False, stream_format.packet_bytes)
    graph = gr.top_block()
    graph.connect(source, block, sink)
    run_to_error(graph)
    assert len(sink.data()) == 0
    assert block.counts.other_format == len(packets) > 0
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert isinstance(error, NothingReceived)
    said = capfd.readouterr().err
    assert said.count("another stream format") == 1
    assert f"{other.digest:04x}" in said
    assert f"{stream_format.digest:04x}" in said


@pytest.mark.parametrize("frames", [1, 8])
def test_packets_of_another_size_are_said(stream_format, capfd, frames):
    """Their size and the one that is wanted, once, few or many; the flowgraph does not end well."""
    other = replace(stream_format, block_size=48)
    _, packets, ends = sent(other, frames)
    data = np.concatenate([packets, ends]).reshape(-1)
    size = stream_format.packet_bytes
    items = data[: len(data) // size * size].reshape(-1, size)
    block, sink = ds2c2.depacketizer(stream_format, timeout=TIMEOUT), row_sink(8 * stream_format.block_size)
    graph = gr.top_block()
    graph.connect(blocks.vector_source_b(items.reshape(-1), False, size), block, sink)
    run_to_error(graph)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert isinstance(error, NothingReceived) and block.counts.used == 0
    said = capfd.readouterr().err
    words = (
        f"packets of {other.packet_bytes} bytes came where {size} are wanted; if the sender sends that, give both ends"
    )
    assert said.count(words) == 1


def test_packets_of_another_key_are_an_error_that_names_it(tmp_path):
    """A flowgraph to which nothing else came ended well."""
    plain = StreamFormat(96, 64, bpp=0.9, block_size=48, survive=0.5, layout="spread")
    form = signed_with(plain, make_key(tmp_path / "mine.key"))
    theirs = make_key(tmp_path / "theirs.key")
    other = signed_with(plain, theirs)
    packets = Packetizer(other, key=theirs).pack(random_frames(other, 1, 1))
    block = ds2c2.depacketizer(form, timeout=TIMEOUT, key=str(tmp_path / "mine.key"))
    graph = gr.top_block()
    size = form.packet_bytes
    sink = blocks.null_sink(8 * form.block_size)
    graph.connect(blocks.vector_source_b(packets.reshape(-1).tolist(), False, size), block, sink)
    run_to_error(graph)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    said = f"{len(packets)} others, {len(packets)} of them not signed by this key"
    assert isinstance(error, NothingReceived) and said in str(error)


def test_weights_that_are_not_named_are_said(stream_format, capfd):
    """The sender's format has no digest of weights and is the same but for that."""
    _, packets, ends = sent(replace(stream_format, model=stream_format.model_name))
    block, sink = ds2c2.depacketizer(stream_format, timeout=TIMEOUT), row_sink(8 * stream_format.block_size)
    queue = np.concatenate([packets, ends])
    graph = gr.top_block()
    graph.connect(blocks.vector_source_b(queue.reshape(-1), False, queue.shape[1]), block, sink)
    run_to_error(graph)
    assert isinstance(ds2c2.errors()[0], NothingReceived)
    ds2c2.clear_errors()
    said = capfd.readouterr().err
    assert said.count("another stream format, which differs only in the weights it names: none: its digest is") == 1


def test_counts_are_said_once_at_the_end(stream_format, capfd):
    _, packets, ends = sent(stream_format)
    _, _, counts = receive(stream_format, np.concatenate([packets, ends]))
    assert capfd.readouterr().err.splitlines() == [f"depacketizer: {counts.line()}"]


def test_stream_out_of_range(stream_format):
    with pytest.raises(FormatError, match="0 to 255"):
        ds2c2.depacketizer(stream_format, 256)


def test_frames_of_21000_blocks():
    """The largest picture at the highest rate passes whole through the link's blocks."""
    large = StreamFormat(4096, 4096, bpp=1.0, block_size=100, interleave="bit")
    assert large.blocks > 20_900
    rows = random_frames(large, 1)
    source = blocks.vector_source_b(rows.reshape(-1), False, large.block_size, frame_tags(large, [0]))
    parts = [
        ds2c2.interleaver(large),
        ds2c2.packetizer(large),
        ds2c2.block_erasure_channel(large, 0.1),
        ds2c2.depacketizer(large, timeout=TIMEOUT),
        ds2c2.deinterleaver(large),
    ]
    sink = row_sink(8 * large.block_size)
    graph = gr.top_block()
    graph.connect(source, *parts, sink)
    run(graph)
    out, truth = sink.rows(), soft_of(rows)
    known = out != 0
    assert 0.85 < known.mean() < 0.95
    np.testing.assert_array_equal(out[known], truth[known])


def test_a_stream_of_which_nothing_came_is_an_error(stream_format):
    """A recording in which no packet was found, replayed by a flowgraph, ended with exit code 0."""
    block = ds2c2.depacketizer(stream_format, timeout=TIMEOUT)
    graph = gr.top_block()
    size = stream_format.packet_bytes
    graph.connect(blocks.vector_source_b([], False, size), block, blocks.null_sink(8 * stream_format.block_size))
    run_to_error(graph)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert isinstance(error, NothingReceived) and "no packet came" in str(error)
