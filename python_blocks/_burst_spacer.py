# SPDX-License-Identifier: GPL-3.0-or-later
"""Zeros between bursts of one length, and their level."""

import numpy as np
from gnuradio import gr

from ._failures import guarded
from ._lasting import Lasting


class burst_spacer(Lasting, gr.basic_block):
    """Multiplies bursts of ``length`` samples by ``scale`` and puts ``gap`` zeros behind each.

    GNU Radio's burst shaper needs more input to let the last zeros go; without them the last
    packet of a stream is lost.
    """

    def __init__(self, length: int, gap: int, scale: float):
        gr.basic_block.__init__(self, name="burst_spacer", in_sig=[np.complex64], out_sig=[np.complex64])
        self.length, self.gap, self._scale = length, gap, np.float32(scale)
        self.set_tag_propagation_policy(gr.TPP_DONT)
        self.set_output_multiple(length + gap)
        self.set_relative_rate((length + gap) / length)

    def forecast(self, noutput_items: int, ninputs: int) -> list[int]:
        return [noutput_items // (self.length + self.gap) * self.length]

    @guarded
    def general_work(self, input_items: list, output_items: list) -> int:
        whole = self.length + self.gap
        count = min(len(input_items[0]) // self.length, len(output_items[0]) // whole)
        bursts = output_items[0][: count * whole].reshape(count, whole)
        bursts[:, : self.length] = input_items[0][: count * self.length].reshape(count, self.length) * self._scale
        bursts[:, self.length :] = 0
        self.consume(0, count * self.length)
        return count * whole
