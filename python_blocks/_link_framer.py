# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets to what a modem sends: check sum, scrambling."""

import numpy as np
from gnuradio import gr

from ds2c2.links.linkframes import LinkFrames, ModemCounts

from ._failures import guarded
from ._lasting import Lasting


class link_framer(Lasting, gr.interp_block):
    """Packets ``u8[packet]`` to the bytes of bursts: ``head``, frame (``packet + 4``), ``tail``;
    counts them as sent in ``counts``."""

    def __init__(self, packet_bytes: int, head: bytes = b"", tail: bytes = b""):
        self._frames = LinkFrames(packet_bytes)
        self._head, self._tail = (np.frombuffer(part, np.uint8) for part in (head, tail))
        self._row = len(head) + self._frames.frame_bytes + len(tail)
        self.counts = ModemCounts(sent=0)
        gr.interp_block.__init__(
            self, name="link_framer", in_sig=[(np.uint8, packet_bytes)], out_sig=[np.uint8], interp=self._row
        )

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        count = len(output_items[0]) // self._row
        out = output_items[0][: count * self._row].reshape(count, self._row)
        start, stop = len(self._head), self._row - len(self._tail)
        out[:, :start] = self._head
        out[:, start:stop] = self._frames.pack(input_items[0][:count])
        out[:, stop:] = self._tail
        self.counts.sent += count
        return count * self._row
