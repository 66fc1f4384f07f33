# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge of packets cut by stock blocks: two flowgraphs, one stream, both end."""

import threading

import numpy as np
import pytest
from flowgraph import DEADLINE, frame_tags, random_frames, row_sink, run
from gnuradio import blocks, ds2c2, gr, network

from ds2c2.stream.packets import END_COPIES, Packetizer
from ds2c2.stream.softbits import to_soft
from ds2c2.transport.recording import RecordingReader, RecordingWriter
from freeport import free_port

FRAMES = 12


def test_packets_over_zmq(stream_format):
    """The receiver, which never sees its input end, ends by the end-of-stream packets."""
    zeromq = pytest.importorskip("gnuradio.zeromq")
    rows = random_frames(stream_format, FRAMES)
    size = stream_format.packet_bytes

    push = zeromq.push_sink(1, size, "tcp://127.0.0.1:*", 100, False, -1)
    pull = zeromq.pull_source(1, size, push.last_endpoint(), 100, False, -1)
    receiver = gr.top_block()
    depacketizer = ds2c2.depacketizer(stream_format)
    deinterleaver = ds2c2.deinterleaver(stream_format)
    sink = row_sink(8 * stream_format.block_size)
    receiver.connect(pull, depacketizer, deinterleaver, sink)
    receiver.msg_connect(depacketizer, "ended", pull, "system")
    receiver.start()

    sender = gr.top_block()
    source = blocks.vector_source_b(
        rows.reshape(-1), False, stream_format.block_size, frame_tags(stream_format, range(FRAMES))
    )
    interleaver, packetizer = ds2c2.interleaver(stream_format), ds2c2.packetizer(stream_format)
    sender.connect(source, interleaver, packetizer, push)
    run(sender)

    waiter = threading.Thread(target=receiver.wait, daemon=True)
    waiter.start()
    waiter.join(DEADLINE)
    hung = waiter.is_alive()
    if hung:
        receiver.stop()
        waiter.join(10)
    assert not hung, "the receiver did not end with the stream"
    np.testing.assert_array_equal(sink.rows(), to_soft(rows, np.ones(len(rows), bool)))
    assert depacketizer.counts.used == len(rows)


def sending(stream_format, rows, *to):
    """A flowgraph of frames to packets and on to ``to``."""
    graph = gr.top_block()
    tags = frame_tags(stream_format, range(len(rows) // stream_format.blocks))
    source = blocks.vector_source_b(rows.reshape(-1), False, stream_format.block_size, tags)
    graph.connect(source, ds2c2.interleaver(stream_format), ds2c2.packetizer(stream_format), *to)
    return graph


def receiving(stream_format, *parts):
    """A flowgraph of packets from ``parts`` to soft bits, its sink and its Depacketizer."""
    graph, sink = gr.top_block(), row_sink(8 * stream_format.block_size)
    depacketizer = ds2c2.depacketizer(stream_format)
    graph.connect(*parts, depacketizer, ds2c2.deinterleaver(stream_format), sink)
    return graph, sink, depacketizer


def test_packets_over_udp(stream_format):
    """Several packets in a datagram and vector length 1; the message ends the source."""
    rows = random_frames(stream_format, FRAMES)
    size, port = stream_format.packet_bytes, free_port()
    payload = 10 * size
    source = network.udp_source(1, 1, port, 0, payload, False, False, False)
    graph, sink, depacketizer = receiving(stream_format, source, blocks.stream_to_vector(1, size))
    graph.msg_connect(depacketizer, "ended", source, "system")
    graph.start()
    sink_ = network.udp_sink(1, 1, "127.0.0.1", port, 0, payload, False)
    run(sending(stream_format, rows, blocks.vector_to_stream(1, size), sink_))
    waiter = threading.Thread(target=graph.wait, daemon=True)
    waiter.start()
    waiter.join(DEADLINE)
    hung = waiter.is_alive()
    graph.stop()
    assert not hung, "the receiver did not end with the stream"
    np.testing.assert_array_equal(sink.rows(), to_soft(rows, np.ones(len(rows), bool)))


def test_packets_in_a_file(stream_format, tmp_path):
    """Of a File Sink: a File Source has them, and so has the reader of the commands."""
    rows = random_frames(stream_format, FRAMES)
    size, path = stream_format.packet_bytes, str(tmp_path / "packets")
    run(sending(stream_format, rows, blocks.file_sink(size, path)))
    graph, sink, _ = receiving(stream_format, blocks.file_source(size, path, False))
    run(graph)
    np.testing.assert_array_equal(sink.rows(), to_soft(rows, np.ones(len(rows), bool)))
    packets = np.concatenate(list(RecordingReader(path, stream_format)))
    assert packets.tobytes() == (tmp_path / "packets").read_bytes() and len(packets) == len(rows) + END_COPIES


def test_a_file_source_sends_what_a_command_recorded(stream_format, tmp_path):
    """Behind the two lines at its start."""
    rows = random_frames(stream_format, FRAMES)
    packetizer = Packetizer(stream_format)
    with RecordingWriter(tmp_path / "recording", stream_format) as recording:
        recording.write(packetizer.pack(rows))
        recording.write(packetizer.end())
    lines = (tmp_path / "recording").read_bytes().split(b"\n", 2)[:2]
    begin = sum(len(line) + 1 for line in lines)
    source = blocks.file_source(1, str(tmp_path / "recording"), False, begin)
    to_packets = blocks.stream_to_vector(1, stream_format.packet_bytes)
    graph, sink, _ = receiving(stream_format, source, to_packets)
    run(graph)
    # The library's rows are not interleaved: what matters is that all are there.
    assert (sink.rows() != 0).all() and len(sink.rows()) == len(rows)
