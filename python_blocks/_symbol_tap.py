# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at equalized symbols on their way to the decoder, for a constellation."""

import numpy as np
from gnuradio import gr

from ._failures import guarded
from ._lasting import Lasting

POINTS = 256  # kept: a picture of them is full


class symbol_tap(Lasting, gr.sync_block):
    """Complex symbols in; ``points`` are the last of them, ``complex64[n]``, from any thread."""

    def __init__(self):
        gr.sync_block.__init__(self, name="symbol_tap", in_sig=[np.complex64], out_sig=None)
        self.points = np.zeros(0, np.complex64)

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        self.points = np.concatenate([self.points, input_items[0][-POINTS:]])[-POINTS:]
        return len(input_items[0])
