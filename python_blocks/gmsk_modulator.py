# SPDX-License-Identifier: GPL-3.0-or-later
"""GMSK Modulator: packets to bursts of samples."""

from gnuradio import digital

from ds2c2.links.gmsk import ACCESS_CODE, GAP_SYMBOLS, PREAMBLE, TAIL, GmskFormat
from ds2c2.links.ofdm import ModemError
from ds2c2.stream.streamformat import StreamFormat

from ._burst_spacer import burst_spacer
from ._link_framer import link_framer
from ._packet_modem import PacketModulator
from ._stage import as_format


class gmsk_modulator(PacketModulator):
    """Sends each packet as one GMSK burst of constant envelope, followed by zeros.

    Input:
        u8[packet_bytes], one item a packet

    Output:
        complex samples; the power of a burst is 1

    Args:
        stream_format: a StreamFormat or its text form
        samples_per_symbol: 2 to 64; a symbol is a bit
        bt: bandwidth of the Gaussian filter times the symbol's duration
        gap: zeros after each burst, in symbols, 160 or more
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        samples_per_symbol: int = 4,
        bt: float = 0.5,
        gap: int = GAP_SYMBOLS,
    ):
        PacketModulator.__init__(self, "gmsk_modulator", as_format(stream_format))
        if gap < GAP_SYMBOLS:
            raise ModemError(f"gap {gap} is too short: {GAP_SYMBOLS} symbols or more, else packets are lost")
        self.gmsk = GmskFormat(self.packet_bytes, samples_per_symbol, bt)
        self._framer = link_framer(self.packet_bytes, PREAMBLE + ACCESS_CODE, TAIL)
        self._spacer = burst_spacer(self.gmsk.burst_samples, gap * samples_per_symbol, 1.0)
        self.connect(self, self._framer, digital.gmsk_mod(samples_per_symbol, bt), self._spacer, self)
