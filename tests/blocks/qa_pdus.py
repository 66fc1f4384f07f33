# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets to PDUs and back: nothing is lost, the end comes through, and what is none is counted."""

import numpy as np
import pmt
import pytest
from flowgraph import row_sink, run
from gnuradio import blocks, ds2c2, gr, pdu

from ds2c2.errors import LinkError


def rows_of(stream_format, count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, stream_format.packet_bytes), np.uint8)


@pytest.mark.parametrize("rate", [0.0, 1e4])
def test_packets_come_back_in_order_and_the_end_too(stream_format, rate):
    rows = rows_of(stream_format, 500)
    graph, size = gr.top_block(), stream_format.packet_bytes
    source = blocks.vector_source_b(rows.reshape(-1).tolist(), False, size)
    there, back = ds2c2.packets_to_pdus(stream_format, rate), ds2c2.pdus_to_packets(stream_format)
    sink = row_sink(size)
    graph.connect(source, there)
    graph.msg_connect(there, "pdus", back, "pdus")
    graph.connect(back, sink)
    run(graph)
    assert np.array_equal(sink.rows().view(np.uint8), rows)


def test_stock_blocks_make_and_take_the_same_pdus(stream_format):
    """By way of tagged streams, as modems of stock parts have it."""
    rows = rows_of(stream_format, 200)
    graph, size = gr.top_block(), stream_format.packet_bytes
    source = blocks.vector_source_b(rows.reshape(-1).tolist(), False, size)
    there, back = ds2c2.packets_to_pdus(stream_format), ds2c2.pdus_to_packets(stream_format)
    stream, again = pdu.pdu_to_tagged_stream(gr.types.byte_t), pdu.tagged_stream_to_pdu(gr.types.byte_t)
    sink = row_sink(size)
    graph.connect(source, there)
    graph.msg_connect(there, "pdus", stream, "pdus")
    graph.connect(stream, again)
    graph.msg_connect(again, "pdus", back, "pdus")
    graph.connect(back, sink)
    run(graph)
    assert np.array_equal(sink.rows().view(np.uint8), rows)


def test_pdus_of_other_sizes_are_counted_and_said(stream_format, capfd):
    back, size = ds2c2.pdus_to_packets(stream_format), stream_format.packet_bytes

    def pdu_of(count: int):
        return pmt.cons(pmt.make_dict(), pmt.init_u8vector(count, [7] * count))

    for message in (pdu_of(size), pdu_of(size + 2), pdu_of(0), pmt.intern("no PDU"), pdu_of(2 * size)):
        back._hear(message)
    out = np.zeros((4, size), np.uint8)
    assert back.work([], [out]) == 3
    assert (out[:3] == 7).all() and not out[3].any()
    back.stop()
    said = capfd.readouterr().err
    assert "1 message was no PDU of bytes" in said
    assert f"2 PDUs of 2 sizes, 1 of them of {size + 2} bytes, where {size} are wanted" in said


def test_a_rate_that_is_none_is_refused(stream_format):
    with pytest.raises(LinkError, match="rate -1"):
        ds2c2.packets_to_pdus(stream_format, -1.0)
