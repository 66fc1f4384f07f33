# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets from a program into a flowgraph."""

import queue

import numpy as np
from gnuradio import gr

from ._failures import WORK_DONE, guarded
from ._lasting import Lasting
from ._waiting import POLL_SECONDS

WAITING = 4  # groups of packets: who sends more waits


class packet_feed(Lasting, gr.sync_block):
    """Packets ``uint8[n, packet_bytes]`` that are ``put`` come out, one item each; ends after ``end()``."""

    def __init__(self, packet_bytes: int):
        gr.sync_block.__init__(self, name="packet_feed", in_sig=None, out_sig=[(np.uint8, packet_bytes)])
        self._groups: queue.Queue[np.ndarray | None] = queue.Queue(WAITING)
        self._rest = np.zeros((0, packet_bytes), np.uint8)

    def put(self, packets: np.ndarray | None) -> bool:
        """Hand packets over, None for the end; False when there was no room in time."""
        try:
            self._groups.put(packets, timeout=POLL_SECONDS)
        except queue.Full:
            return False
        return True

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        out = output_items[0]
        if not len(self._rest):
            try:
                group = self._groups.get(timeout=POLL_SECONDS)
            except queue.Empty:
                return 0
            if group is None:
                return WORK_DONE
            self._rest = group
        count = min(len(out), len(self._rest))
        out[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
