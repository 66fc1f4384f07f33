# SPDX-License-Identifier: GPL-3.0-or-later
"""OFDM Demodulator: samples to packets."""

from collections.abc import Callable

import numpy as np
from gnuradio import blocks, digital, fft
from gnuradio import fec as codes

from ds2c2.links.burstfinder import OFDM_PREAMBLE, OFDM_THRESHOLD
from ds2c2.links.dcblocker import DcWindow
from ds2c2.links.ofdm import (
    CC_LENGTH,
    CC_POLYNOMIALS,
    FFT_SIZE,
    HEADER_SYMBOLS,
    PREAMBLE_SYMBOLS,
    PREFIX,
    OfdmFormat,
    pilot_symbols,
    sync_words,
)
from ds2c2.stream.streamformat import StreamFormat

from ._burst_trigger import TRIGGER, burst_trigger
from ._frame_check import frame_check
from ._header_gate import CARRIERS, SYMBOLS, header_gate
from ._ofdm_parts import HEADER_CONSTELLATION, carriers, header_format, payload_constellation, roomy
from ._packet_modem import PacketDemodulator
from ._stage import as_format
from ._symbol_tap import SYMBOLS_PORT, symbol_tap

# Weight of the channel estimate so far against that of the last symbol. The carrier offset's
# estimate leaves some turning, which a slower equalizer does not follow.
TRACKING = 0.1


class ofdm_demodulator(PacketDemodulator):
    """Receives the bursts of an OFDM Modulator, whatever comes between them.

    Input:
        complex samples, of any level

    Output:
        u8[packet_bytes], packets whose check sum is right; message port ``symbols``: a PDU of the equalized symbols
        received last, ten times a second at most, for a constellation

    Args:
        stream_format: a StreamFormat or its text form
        modulation, fec, payload_level: as the modulator's
        threshold: of the Schmidl-Cox metric, above 0 and below 1
        sample_rate: samples a second, for the times in a trace
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        modulation: str = "qpsk",
        fec: str = "none",
        payload_level: float = 1.0,
        threshold: float = OFDM_THRESHOLD,
        sample_rate: float = 1e6,
    ):
        stream_format = as_format(stream_format)
        PacketDemodulator.__init__(self, "ofdm_demodulator", stream_format)
        self.ofdm = OfdmFormat(self.packet_bytes, modulation, fec, payload_level)
        data, pilots = carriers()
        trigger = burst_trigger(OFDM_PREAMBLE, threshold, stream_format, DcWindow())
        self.counts.levels = trigger.levels
        demux = digital.header_payload_demux(
            PREAMBLE_SYMBOLS + HEADER_SYMBOLS, FFT_SIZE, PREFIX, SYMBOLS, TRIGGER, True
        )
        # A line for each header that fails would be most of the output.
        demux.set_log_level("error")

        header_fft = fft.fft_vcc(FFT_SIZE, True, (), True)
        estimator = digital.ofdm_chanest_vcvc(*sync_words(), HEADER_SYMBOLS)
        header_points = HEADER_CONSTELLATION()
        known = (data, pilots, pilot_symbols())
        dfe = digital.ofdm_equalizer_simpledfe(FFT_SIZE, header_points.base(), *known)
        header_equalizer = digital.ofdm_frame_equalizer_vcvc(dfe.base(), PREFIX, SYMBOLS, True, HEADER_SYMBOLS)
        header_serializer = digital.ofdm_serializer_vcc(FFT_SIZE, data, SYMBOLS)
        header_slicer = digital.constellation_decoder_cb(header_points.base())
        parser = digital.packet_headerparser_b(header_format(self.ofdm, CARRIERS, SYMBOLS).formatter())
        parser.set_log_level("error")

        payload_fft = fft.fft_vcc(FFT_SIZE, True, (), True)
        constellation, rms = payload_constellation(modulation)
        level = blocks.multiply_const_cc(rms / payload_level, FFT_SIZE)
        # Soft output, since without it the symbols that come out are already decided: for the soft decoder, and for
        # whoever looks at them. A decoder that decides hard decides the same.
        dfe = digital.ofdm_equalizer_simpledfe(
            FFT_SIZE, constellation.base(), *known, HEADER_SYMBOLS, TRACKING, True, True
        )
        equalizer = digital.ofdm_frame_equalizer_vcvc(dfe.base(), PREFIX, SYMBOLS)
        serializer = digital.ofdm_serializer_vcc(FFT_SIZE, data, SYMBOLS, CARRIERS, HEADER_SYMBOLS)
        decoder = self._decoder(constellation)

        gate = header_gate(self.ofdm, self.counts, trigger.bursts)
        check = frame_check("ofdm_demodulator", stream_format, self.counts, gate.accepted, sample_rate)
        gate.failed = check.header_failed
        roomy([trigger], 4 * self.ofdm.burst_samples)
        roomy([demux, payload_fft, level, equalizer], 4 * self.ofdm.payload_symbols)
        roomy([serializer, *decoder[:-1]], 4 * 8 * self.ofdm.payload_bytes)
        self.connect(self, trigger, demux)
        self.connect((demux, 0), header_fft, estimator, header_equalizer, header_serializer, header_slicer, parser)
        self.msg_connect(parser, "header_data", gate, "header_data")
        self.msg_connect(gate, "header_data", demux, "header_data")
        self.connect((demux, 1), payload_fft, level, equalizer, serializer, *decoder, check, self)
        self._check, self._others = check, (trigger, gate)  # Python blocks that nobody else holds
        self._tap, self._rms = symbol_tap(), rms
        self.connect(serializer, self._tap)
        self.message_port_register_hier_out(SYMBOLS_PORT)
        self.msg_connect(self._tap, SYMBOLS_PORT, self, SYMBOLS_PORT)

    def watch_symbols(self) -> Callable[[], np.ndarray]:
        """Gives what tells the equalized symbols received last, ``complex64[n]`` of mean power 1."""
        return lambda: self._tap.points / self._rms

    def _decoder(self, constellation) -> list:
        """Equalized carriers to frames."""
        ofdm, bits = self.ofdm, self.ofdm.bits_per_carrier
        # The last carriers may have more bits than the frame needs.
        if ofdm.fec == "none":
            return [
                digital.constellation_decoder_cb(constellation.base()),
                blocks.repack_bits_bb(bits, 1),
                blocks.keep_m_in_n(1, 8 * ofdm.payload_bytes, bits * ofdm.payload_carriers, 0),
                blocks.repack_bits_bb(1, 8),
                blocks.stream_to_vector(1, ofdm.frame_bytes),
            ]
        code_bits = 8 * (ofdm.frame_bytes + ofdm.tail_bytes)
        code = codes.cc_decoder_make(code_bits, CC_LENGTH, 2, list(CC_POLYNOMIALS), 0, -1, codes.CC_TRUNCATED)
        return [
            digital.constellation_soft_decoder_cf(constellation.base()),
            blocks.keep_m_in_n(4, 8 * ofdm.payload_bytes, bits * ofdm.payload_carriers, 0),
            codes.extended_decoder(code, None),
            blocks.keep_m_in_n(1, 8 * ofdm.frame_bytes, code_bits, 0),
            blocks.pack_k_bits_bb(8),
            blocks.stream_to_vector(1, ofdm.frame_bytes),
        ]
