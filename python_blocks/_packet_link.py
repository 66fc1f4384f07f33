# SPDX-License-Identifier: GPL-3.0-or-later
"""A modem, the air and the modem's other end between packets."""

from collections.abc import Callable

from gnuradio import gr

from ds2c2.links.linkframes import ModemCounts
from ds2c2.transport.packetsource import Arrivals

from ._lasting import Lasting
from ._packet_modem import PacketDemodulator, PacketModulator
from .radio_air import radio_air


class PacketLink(Lasting, gr.hier_block2):
    """Packets in, those that arrive out: what stands for the Block Erasure Channel.

    It ends with its input, and the same seed loses the same packets. Unlike in that block,
    end-of-stream packets are lost like others.
    """

    def __init__(self, name: str, modulator: PacketModulator, air: radio_air, demodulator: PacketDemodulator):
        packets = gr.io_signature(1, 1, modulator.packet_bytes)
        gr.hier_block2.__init__(self, name, packets, packets)
        modulator.count_in(demodulator.counts)
        demodulator.speak_for(name)
        self.modulator, self.air, self.demodulator = modulator, air, demodulator
        self.connect(self, modulator, air, demodulator, self)

    @property
    def counts(self) -> ModemCounts:
        """What became of the packets so far; what is under way counts as missed."""
        return self.demodulator.counts

    @property
    def passed(self) -> int:
        """Packets that arrived so far."""
        return self.counts.passed

    @property
    def hit(self) -> int:
        """Packets that did not arrive so far, or are under way."""
        return self.counts.sent - self.counts.passed

    def set_listener(self, listener: Callable[[Arrivals], None]) -> None:
        """As the demodulator's."""
        self.demodulator.set_listener(listener)

    def set_snr(self, snr: float) -> None:
        """Change the SNR in dB while running."""
        self.air.set_snr(snr)

    def set_cfo(self, cfo: float) -> None:
        """Change the carrier offset in cycles/sample while running."""
        self.air.set_cfo(cfo)

    def set_doppler(self, doppler: float) -> None:
        """Change the maximum Doppler shift in cycles/sample while running."""
        self.air.set_doppler(doppler)

    def set_k(self, k: float) -> None:
        """Change the Rician factor while running."""
        self.air.set_k(k)
