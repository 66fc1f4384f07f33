# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a DC offset away, marks where bursts begin and takes their carrier offset away."""

import numpy as np
import pmt
from gnuradio import gr

from ds2c2.links.burstfinder import Burst, BurstFinder, Preamble
from ds2c2.links.dcblocker import DcBlocker, DcWindow, Levels
from ds2c2.stream.streamformat import StreamFormat

from ._failures import guarded
from ._lasting import Lasting
from ._stage import FORMAT_TAG, check_format

TRIGGER = "ds2c2_trigger"
# The demultiplexer keeps the trigger's tag to itself; this one goes on with the header.
BURST = "ds2c2_burst"
# Bursts that are remembered for their headers, which come some symbols later.
REMEMBERED = 4096


class burst_trigger(Lasting, gr.sync_block):
    """Samples in and out, by ``DcBlocker`` and ``BurstFinder``; on a burst's first sample is a trigger, and its
    key in ``bursts``. Samples that are tagged as of another stream format end the flowgraph: packets of another size
    would not even be noticed as such."""

    def __init__(self, preamble: Preamble, threshold: float, stream_format: StreamFormat, dc: DcWindow):
        gr.sync_block.__init__(self, name="burst_trigger", in_sig=[np.complex64], out_sig=[np.complex64])
        self._blocker, self._finder = DcBlocker(dc), BurstFinder(preamble, threshold)
        self.bursts: dict[int, Burst] = {}
        self._format = stream_format

    @property
    def levels(self) -> Levels:
        """How strong the samples were so far."""
        return self._blocker.levels

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        for tag in self.get_tags_in_window(0, 0, len(input_items[0]), FORMAT_TAG):
            check_format(tag.value, self._format)
        output_items[0][:], bursts = self._finder.push(self._blocker.push(input_items[0]))
        for burst in bursts:
            self.bursts[burst.position] = burst
            for name in (TRIGGER, BURST):
                self.add_item_tag(0, burst.position, pmt.intern(name), pmt.from_uint64(burst.position))
            while len(self.bursts) > REMEMBERED:
                self.bursts.pop(next(iter(self.bursts)))
        return len(output_items[0])
