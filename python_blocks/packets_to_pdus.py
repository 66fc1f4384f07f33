# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets to PDUs: a stream of packets to messages, for modems that take these."""

import time

import numpy as np
import pmt
from gnuradio import gr

from ds2c2.errors import LinkError
from ds2c2.stream.streamformat import StreamFormat

from ._failures import guarded
from ._lasting import Lasting
from ._stage import as_format

PDUS_PORT = pmt.intern("pdus")
# Of a rate, sent at once: a call costs more than a packet.
GATHER_SECONDS = 0.005
LONGEST_NAP = 0.05  # a flowgraph cannot stop meanwhile


class packets_to_pdus(Lasting, gr.sync_block):
    """Makes a PDU of each packet. Behind the last one the blocks that take them are told that it has ended.

    Message ports have no back pressure: GNU Radio drops what waits at one beyond 8192 messages. A modem that is slower
    than the pictures come wants ``rate``.

    Input:
        u8[packet_bytes], one item a packet

    Output:
        message port ``pdus``: a pair of an empty dictionary and a u8 vector of packet_bytes

    Args:
        stream_format: a StreamFormat or its text form
        rate: packets a second at most, 0 for no limit
    """

    def __init__(self, stream_format: StreamFormat | str, rate: float = 0.0):
        stream_format = as_format(stream_format)
        check_rate(rate)
        size = stream_format.packet_bytes
        gr.sync_block.__init__(self, name="packets_to_pdus", in_sig=[(np.uint8, size)], out_sig=None)
        self.message_port_register_out(PDUS_PORT)
        self._rate = rate
        self._due = 0.0  # monotonic seconds

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        rows = input_items[0]
        if self._rate:
            now = time.monotonic()
            if now < self._due:
                time.sleep(min(self._due - now, LONGEST_NAP))
                return 0
            rows = rows[: max(1, round(self._rate * GATHER_SECONDS))]
            self._due = max(self._due, now - GATHER_SECONDS) + len(rows) / self._rate
        for row in rows:
            data = pmt.init_u8vector(len(row), row.tolist())
            self.message_port_pub(PDUS_PORT, pmt.cons(pmt.make_dict(), data))
        return len(rows)


def check_rate(rate: float) -> None:
    """Raises ``LinkError`` for what is no rate."""
    if not 0 <= rate < float("inf"):
        raise LinkError(f"rate {rate:g} is out of range: packets a second, or 0 for no limit")
