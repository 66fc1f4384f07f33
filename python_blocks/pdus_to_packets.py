# SPDX-License-Identifier: GPL-3.0-or-later
"""PDUs to packets: messages of a modem to a stream of packets."""

import time
from collections import Counter, deque

import numpy as np
import pmt
from gnuradio import gr

from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import misfit_words

from ._failures import guarded, say
from ._lasting import Lasting
from ._stage import NAP, as_format
from .packets_to_pdus import PDUS_PORT

OTHER_SIZES = 64  # that are told apart
NO_PDU = -1  # in the place of a size


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
        self.other_sizes: Counter[int] = Counter()
        self._waiting: deque[np.ndarray] = deque()

    def _hear(self, message) -> None:
        data = pmt.cdr(message) if pmt.is_pair(message) else message
        if not (pmt.is_u8vector(data) or pmt.is_s8vector(data)):
            self.other_sizes[NO_PDU] += 1
            return
        elements = pmt.u8vector_elements(data) if pmt.is_u8vector(data) else pmt.s8vector_elements(data)
        count, rest = divmod(len(elements), self.packet_bytes)
        if rest or not count:
            known = len(elements) in self.other_sizes or len(self.other_sizes) < OTHER_SIZES
            self.other_sizes[len(elements) if known else min(self.other_sizes)] += 1
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
        strange = self.other_sizes.pop(NO_PDU, 0)
        if strange:
            say(self.name(), f"{strange} messages were no PDUs of bytes")
        if words := misfit_words(self.other_sizes, "PDU", self.packet_bytes):
            say(self.name(), f"{words}: a modem gives back what it was given, without header and check sum")
        return True
