# SPDX-License-Identifier: GPL-3.0-or-later
"""GMSK Demodulator: samples to packets."""

import math

from gnuradio import analog, digital, filter
from gnuradio.filter import firdes

from ds2c2.links.gmsk import GMSK_THRESHOLD, GmskFormat
from ds2c2.stream.streamformat import StreamFormat

from ._burst_trigger import burst_trigger
from ._frame_check import frame_check
from ._gmsk_slicer import gmsk_slicer
from ._packet_modem import PacketDemodulator
from ._stage import as_format

# The channel filter, in symbol rates: measured best for BT 0.5. Without one, noise of the whole
# sample rate reaches the discriminator, which then fails at 10 dB.
CUTOFF = 0.55
TRANSITION = 0.2
# Clock recovery: loop bandwidth in radians a symbol, critically damped, and the deviation of the
# symbol rate that it follows.
CLOCK_BANDWIDTH = 0.05
CLOCK_DEVIATION = 0.002
# Calls of whole multiples take the same path through VOLK's vector code: no tails that round otherwise.
VECTOR = 16  # samples


class gmsk_demodulator(PacketDemodulator):
    """Receives the bursts of a GMSK Modulator, whatever comes between them.

    Input:
        complex samples, of any level

    Output:
        u8[packet_bytes], packets whose check sum is right

    Args:
        stream_format: a StreamFormat or its text form
        samples_per_symbol, bt: as the modulator's
        threshold: of the metric that finds bursts, above 0 and below 1
        sample_rate: samples a second, for the times in a trace
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        samples_per_symbol: int = 4,
        bt: float = 0.5,
        threshold: float = GMSK_THRESHOLD,
        sample_rate: float = 1e6,
    ):
        stream_format = as_format(stream_format)
        PacketDemodulator.__init__(self, "gmsk_demodulator", stream_format)
        self.gmsk = GmskFormat(self.packet_bytes, samples_per_symbol, bt)
        trigger = burst_trigger(self.gmsk.preamble, threshold, stream_format, self.gmsk.dc_window)
        self.counts.levels = trigger.levels
        channel = filter.fir_filter_ccf(1, firdes.low_pass(1, samples_per_symbol, CUTOFF, TRANSITION))
        discriminator = analog.quadrature_demod_cf(samples_per_symbol / (math.pi / 2))
        discriminator.set_output_multiple(VECTOR)
        clock = digital.symbol_sync_ff(
            digital.TED_MUELLER_AND_MULLER,
            samples_per_symbol,
            CLOCK_BANDWIDTH,
            1.0,
            1.0,
            CLOCK_DEVIATION * samples_per_symbol,
            1,
            digital.constellation_bpsk().base(),
        )
        slicer = gmsk_slicer(stream_format, self.gmsk, self.counts, trigger.bursts)
        check = frame_check("gmsk_demodulator", stream_format, self.counts, slicer.accepted, sample_rate)
        slicer.failed = check.header_failed
        self.connect(self, trigger, channel, discriminator, clock, slicer, check, self)
        self._check, self._others = check, (trigger, slicer)  # Python blocks that nobody else holds
