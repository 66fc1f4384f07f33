# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at equalized symbols on their way to the decoder, for a constellation."""

import time

import numpy as np
import pmt
from gnuradio import gr

from ._failures import guarded
from ._lasting import Lasting

POINTS = 256  # kept: a picture of them is full
EVERY = 0.1  # seconds between messages at least: no eye sees more
SYMBOLS_PORT = "symbols"


class symbol_tap(Lasting, gr.sync_block):
    """Complex symbols in; ``points`` are the last of them, ``complex64[n]``, from any thread, and every ``EVERY``
    seconds a PDU of them goes out at the message port ``symbols``."""

    def __init__(self):
        gr.sync_block.__init__(self, name="symbol_tap", in_sig=[np.complex64], out_sig=None)
        self.points = np.zeros(0, np.complex64)
        self._port, self._due = pmt.intern(SYMBOLS_PORT), 0.0  # monotonic seconds
        self.message_port_register_out(self._port)

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        self.points = np.concatenate([self.points, input_items[0][-POINTS:]])[-POINTS:]
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + EVERY
            points = pmt.init_c32vector(len(self.points), self.points.tolist())
            self.message_port_pub(self._port, pmt.cons(pmt.PMT_NIL, points))
        return len(input_items[0])
