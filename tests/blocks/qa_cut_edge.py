# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge of packets cut by stock ZMQ blocks: two flowgraphs, one stream, both end."""

import threading

import numpy as np
import pytest
from flowgraph import DEADLINE, frame_tags, random_frames, row_sink, run
from gnuradio import blocks, ds2c2, gr

from ds2c2.stream.softbits import to_soft

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
