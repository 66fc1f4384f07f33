# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modems have in common: counts, and somebody who listens to them."""

from collections.abc import Callable

import numpy as np
from gnuradio import gr

from ds2c2.links.linkframes import ModemCounts
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import Arrivals

from ._lasting import Lasting


class PacketModulator(Lasting, gr.hier_block2):
    """Packets in, samples out; ``self._framer`` is its ``link_framer``."""

    def __init__(self, name: str, stream_format: StreamFormat):
        self.packet_bytes = stream_format.packet_bytes
        packets = gr.io_signature(1, 1, self.packet_bytes)
        gr.hier_block2.__init__(self, name, packets, gr.io_signature(1, 1, gr.sizeof_gr_complex))

    @property
    def sent(self) -> int:
        """Packets sent so far."""
        return self._framer.counts.sent

    def count_in(self, counts: ModemCounts) -> None:
        """Count what is sent in the receiver's counts; before anything is sent."""
        counts.sent = 0
        self._framer.counts = counts


class PacketDemodulator(Lasting, gr.hier_block2):
    """Samples in, packets out; ``self._check`` is its ``frame_check``.

    ``counts`` says what became of the packets.
    """

    def __init__(self, name: str, stream_format: StreamFormat):
        self.packet_bytes = stream_format.packet_bytes
        self.counts = ModemCounts()
        packets = gr.io_signature(1, 1, self.packet_bytes)
        gr.hier_block2.__init__(self, name, gr.io_signature(1, 1, gr.sizeof_gr_complex), packets)

    def set_listener(self, listener: Callable[[Arrivals], None]) -> None:
        """Call with all that is noticed on the air, packets whose check sum is wrong among it; from
        threads of the flowgraph. ``QueuedSource.put`` is one, ``TraceRecorder.take`` another."""
        self._check.listener = listener

    def watch_symbols(self) -> Callable[[], np.ndarray] | None:
        """What tells the symbols received last, for a constellation; None for a modem that has none."""
        return None

    def speak_for(self, owner: str) -> None:
        """Say the counts in the name of another block, or not at all if it is empty."""
        self._check.owner = owner
