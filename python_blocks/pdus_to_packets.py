# SPDX-License-Identifier: GPL-3.0-or-later
"""PDUs to packets: messages of a modem to a stream of packets."""

import time
from collections import deque

import numpy as np
import pmt
from gnuradio import gr

from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.sizes import OtherSizes

from ._failures import guarded, say
from ._lasting import Lasting
from ._stage import NAP, as_format
from .packets_to_pdus import PDUS_PORT


class pdus_to_packets(Lasting, gr.sync_block):
    """Puts packets out of PDUs on a stream, in the order in which they come; ends when what sends them has ended.

    A PDU holds one packet or several whole ones. Those of other sizes are counted and said at the end.

    Input:
        message port ``pdus``: pairs of anything and a vector of bytes

    Output:
        u8[packet_bytes], one item a packet

    Args:
        stream_format: a StreamFormat or its text form
    """

    def __init__(self, stream_format: StreamFormat | str):
        self.packet_bytes = as_format(stream_format).packet_bytes
        gr.sync_block.__init__(self, name="pdus_to_packets", in_sig=None, out_sig=[(np.uint8, self.packet_bytes)])
        self.message_port_register_in(PDUS_PORT)
        self.set_msg_handler(PDUS_PORT, self._hear)
        self.other_sizes = OtherSizes()
        self.no_pdus = 0  # messages of another kind
        self._waiting: deque[np.ndarray] = deque()

    def _hear(self, message) -> None:
        data = pmt.cdr(message) if pmt.is_pair(message) else message
        if not (pmt.is_u8vector(data) or pmt.is_s8vector(data)):
            self.no_pdus += 1
            return
        elements = pmt.u8vector_elements(data) if pmt.is_u8vector(data) else pmt.s8vector_elements(data)
        count, rest = divmod(len(elements), self.packet_bytes)
        if rest or not count:
            self.other_sizes.note(len(elements))
            return
        self._waiting.extend(np.array(elements).astype(np.uint8).reshape(count, -1))

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        out = output_items[0]
        count = min(len(out), len(self._waiting))
        if not count:
            # GNU Radio comes back at once, and finishes this block when its sender has ended.
            time.sleep(NAP)
        for place in range(count):
            out[place] = self._waiting.popleft()
        return count

    def stop(self) -> bool:
        if self.no_pdus:
            messages = "1 message was no PDU" if self.no_pdus == 1 else f"{self.no_pdus} messages were no PDUs"
            say(self.name(), f"{messages} of bytes")
        if words := self.other_sizes.words("PDU", self.packet_bytes):
            say(self.name(), f"{words}: a modem gives back what it was given, without header and check sum")
        return True
