# SPDX-License-Identifier: GPL-3.0-or-later
"""A carrier offset whose samples do not depend on how the scheduler cuts the stream."""

import numpy as np
from gnuradio import gr

from ._failures import guarded
from ._lasting import Lasting


class carrier_offset(Lasting, gr.sync_block):
    """Turns sample n by ``cfo * n`` cycles.

    GNU Radio's own rotators and mixers round differently with the position of a call in memory, so
    that two runs differ in the last bit. Here each product is a rounded operation of its own.
    """

    def __init__(self, cfo: float):
        gr.sync_block.__init__(self, name="carrier_offset", in_sig=[np.complex64], out_sig=[np.complex64])
        self.cfo = self._wanted = cfo
        self._origin = 0  # sample and phase (cycles) from which the offset has been what it is
        self._phase = 0.0

    def set_cfo(self, cfo: float) -> None:
        """Change the offset, cycles/sample, without a jump of the phase."""
        self._wanted = cfo

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        samples, out = input_items[0], output_items[0]
        start = self.nitems_written(0)
        # Here and not in the setter: another thread calls that in the middle of a window.
        if self._wanted != self.cfo:
            self._phase = (self._phase + self.cfo * (start - self._origin)) % 1.0
            self._origin, self.cfo = start, self._wanted
        steps = np.arange(len(out), dtype=np.float64) + (start - self._origin)
        turned = 2 * np.pi * ((self._phase + self.cfo * steps) % 1.0)
        cosine, sine = np.cos(turned).astype(np.float32), np.sin(turned).astype(np.float32)
        out.real = samples.real * cosine - samples.imag * sine
        out.imag = samples.real * sine + samples.imag * cosine
        return len(out)
