# SPDX-License-Identifier: GPL-3.0-or-later
"""Stock ZMQ blocks as the edges to another host: what crosses, who ends whom, and what is set wrong."""

import threading
import time

import numpy as np
import pytest
from flowgraph import DEADLINE, format_tags, frame_tags, random_frames, run, run_to_error
from gnuradio import blocks, ds2c2, gr, zeromq

from ds2c2.errors import LinkError
from ds2c2.serve.frames import FrameReader, frame_messages
from ds2c2.serve.pipe import Address, Inbox, Pipe
from ds2c2.stream.packets import Packetizer
from ds2c2.stream.softbits import to_soft
from freeport import free_port

FRAMES = 5


@pytest.fixture
def address():
    return Address.parse(f"tcp://127.0.0.1:{free_port()}")


@pytest.fixture
def sender(address):
    """The pipe of a host that encodes."""
    pipe = Pipe(address, sends=True, listens=True)
    yield pipe
    pipe.close()


def send(pipe, messages):
    for message in messages:
        while not pipe.send(message, 0.1):
            pipe.news()


def messages_of(stream_format, rows, ended=True):
    frames = rows.reshape(-1, stream_format.blocks, stream_format.block_size)
    last = len(frames) - 1 if ended else None
    return [part for n, frame in enumerate(frames) for part in frame_messages(stream_format, n, frame, n == last)]


def from_host(stream_format, address, items="bytes", pass_tags=True):
    """A flowgraph from a ZMQ PULL Source to packets, and the sink that keeps them."""
    vector = 1 if items == "bytes" else stream_format.block_size
    pull = zeromq.pull_source(1, vector, address.text, 50, pass_tags, 2)
    packetizer = ds2c2.packetizer(stream_format)
    sink = blocks.vector_sink_b(stream_format.packet_bytes)
    graph = gr.top_block()
    if items == "bytes":
        graph.connect(pull, blocks.stream_to_vector(1, stream_format.block_size), packetizer, sink)
    else:
        graph.connect(pull, packetizer, sink)
    graph.msg_connect(packetizer, "ended", pull, "system")
    # Python's blocks must outlive what GNU Radio keeps of them.
    graph.kept = (pull, packetizer)
    return graph, sink


def packets_in(sink, stream_format):
    return np.array(sink.data(), np.uint8).reshape(-1, stream_format.packet_bytes)


@pytest.mark.parametrize("items", ["bytes", "blocks"])
def test_code_blocks_from_a_host(stream_format, address, sender, items):
    """As from an Encoder Source, whether the source counts bytes or blocks; its end ends the flowgraph."""
    rows = random_frames(stream_format, FRAMES)
    graph, sink = from_host(stream_format, address, items)
    thread = threading.Thread(target=send, args=(sender, messages_of(stream_format, rows)), daemon=True)
    thread.start()
    run(graph)
    library = Packetizer(stream_format)
    expected = np.concatenate([library.pack(rows), library.end()])
    np.testing.assert_array_equal(packets_in(sink, stream_format), expected)


def test_tags_that_are_not_passed(stream_format, address, sender):
    """Pass Tags is not set: the first thing that comes is no code block, and that is said."""
    graph, sink = from_host(stream_format, address, pass_tags=False)
    messages = messages_of(stream_format, random_frames(stream_format, 1), ended=False)
    thread = threading.Thread(target=send, args=(sender, messages), daemon=True)
    thread.start()
    run_to_error(graph)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert isinstance(error, LinkError) and "Pass Tags" in str(error) and sink.data() == []


def test_a_flowgraph_that_comes_back(stream_format, address, sender):
    """Stopped in mid-stream and started again: whole frames from its first block on, up to the end."""
    rows = random_frames(stream_format, FRAMES)
    messages = messages_of(stream_format, rows)
    first, sink = from_host(stream_format, address)
    first.start()
    send(sender, messages[:2])
    until = time.monotonic() + DEADLINE
    while len(sink.data()) == 0:
        assert time.monotonic() < until
        time.sleep(0.01)
    first.stop()
    first.wait()
    del first, sink
    sender.news()
    while sender.peers:
        sender.news()
        assert time.monotonic() < until
        time.sleep(0.01)
    second, sink = from_host(stream_format, address)
    thread = threading.Thread(target=send, args=(sender, messages[2:]), daemon=True)
    thread.start()
    run(second)
    library = Packetizer(stream_format)
    rest = rows[2 * stream_format.blocks :]
    np.testing.assert_array_equal(packets_in(sink, stream_format), np.concatenate([library.pack(rest), library.end()]))


def to_host(stream_format, address, rows, pass_tags=True):
    """A flowgraph whose Deinterleaver gives soft bits to a ZMQ PUSH Sink."""
    size = 8 * stream_format.block_size
    soft = to_soft(rows, np.ones(len(rows), bool))
    numbers = range(len(rows) // stream_format.blocks)
    tags = frame_tags(stream_format, numbers) + format_tags(stream_format, numbers)
    source = blocks.vector_source_b(soft.view(np.uint8).reshape(-1), False, size, tags)
    push = zeromq.push_sink(1, size, address.text, 50, pass_tags, -1)
    graph = gr.top_block()
    graph.connect(source, blocks.copy(size), push)
    return graph


def test_soft_bits_to_a_host(stream_format, address):
    """Frames as the library puts them back from what the stock sink writes; none lost when it ends first."""
    rows = random_frames(stream_format, FRAMES)
    inbox = Inbox(Pipe(address, sends=False, listens=False))
    graph = to_host(stream_format, address, rows)
    run(graph)
    del graph
    reader, frames = FrameReader(), []
    while not reader.ended:
        item = inbox.get(DEADLINE)
        assert item is not None
        if isinstance(item, bytes):
            frames += reader.push(item)
    inbox.close()
    assert [number for number, _ in frames] == list(range(FRAMES))
    np.testing.assert_array_equal(np.concatenate([soft for _, soft in frames]), to_soft(rows, np.ones(len(rows), bool)))
    assert reader.stream == stream_format and reader.counts.torn == 0


def test_a_sink_that_passes_no_tags(stream_format, address):
    inbox = Inbox(Pipe(address, sends=False, listens=False))
    run(to_host(stream_format, address, random_frames(stream_format, 1), pass_tags=False))
    while not isinstance(item := inbox.get(DEADLINE), bytes):
        assert item is not None
    inbox.close()
    with pytest.raises(LinkError, match="Pass Tags"):
        FrameReader().push(item)
