# SPDX-License-Identifier: GPL-3.0-or-later
"""OFDM Modulator: packets to bursts of samples."""

import math

import numpy as np
from gnuradio import blocks, digital, fft, gr
from gnuradio import fec as codes

from ds2c2.links.ofdm import (
    CC_LENGTH,
    CC_POLYNOMIALS,
    FFT_SIZE,
    MIN_GAP,
    SYMBOL,
    ModemError,
    OfdmFormat,
    pilot_symbols,
    sync_words,
)
from ds2c2.stream.streamformat import StreamFormat

from ._burst_spacer import burst_spacer
from ._link_framer import link_framer
from ._ofdm_parts import HEADER_CONSTELLATION, carriers, header_format, payload_constellation, roomy
from ._packet_modem import PacketModulator
from ._stage import as_format


class ofdm_modulator(PacketModulator):
    """Sends each packet as one OFDM burst, followed by zeros.

    Check sum, scrambling, header and preamble are those of GNU Radio's ``digital.ofdm_tx``: its
    ``ofdm_rx`` receives the bursts without FEC (``scramble_bits`` on, ``bps_payload`` to match).

    Input:
        u8[packet_bytes], one item a packet

    Output:
        complex samples; the mean power of a burst is 1

    Args:
        stream_format: a StreamFormat or its text form
        modulation: of the payload: bpsk, qpsk, 8psk or 16qam
        fec: none, or cc for the convolutional code of rate 1/2, K = 7
        gap: zeros after each burst, in samples, 500 or more
        payload_level: amplitude of the payload over that of the preamble
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        modulation: str = "qpsk",
        fec: str = "none",
        gap: int = MIN_GAP,
        payload_level: float = 1.0,
    ):
        stream_format = as_format(stream_format)
        PacketModulator.__init__(self, "ofdm_modulator", stream_format)
        if gap < MIN_GAP:
            raise ModemError(f"gap {gap} is too short: {MIN_GAP} samples or more, else the receiver loses packets")
        self.ofdm = OfdmFormat(self.packet_bytes, modulation, fec, payload_level)
        # Length tags of their own for each instance: those of another modem in the same flowgraph
        # would be taken for ours.
        tag = f"ds2c2_tx_{self.unique_id()}"
        data, pilots = carriers()
        coded = self._coder()
        tagged = blocks.stream_to_tagged_stream(1, 1, self.ofdm.payload_bytes, tag)
        header_gen = digital.packet_headergenerator_bb(header_format(self.ofdm, tag, f"{tag}_symbols").base(), tag)
        header_mod = digital.chunks_to_symbols_bc(HEADER_CONSTELLATION().points())
        order = gr.GR_LSB_FIRST if fec == "none" else gr.GR_MSB_FIRST
        unpack = blocks.repack_bits_bb(8, self.ofdm.bits_per_carrier, tag, False, order)
        constellation, rms = payload_constellation(modulation)
        points = np.array(constellation.points()) * (payload_level / rms)
        payload_mod = digital.chunks_to_symbols_bc(points.tolist())
        mux = blocks.tagged_stream_mux(gr.sizeof_gr_complex, tag, 1)
        allocator = digital.ofdm_carrier_allocator_cvc(FFT_SIZE, data, pilots, [*pilot_symbols()], [*sync_words()], tag)
        inverse = fft.fft_vcc(FFT_SIZE, False, (), True)
        prefixer = digital.ofdm_cyclic_prefixer(FFT_SIZE, SYMBOL, 0, tag)
        spacer = burst_spacer(self.ofdm.burst_samples, gap, 1 / math.sqrt(self.ofdm.burst_power))
        roomy([*coded[1:], tagged, unpack, payload_mod, mux], 4 * 8 * self.ofdm.payload_bytes)
        roomy([allocator, inverse], 4 * self.ofdm.burst_samples // SYMBOL)
        roomy([prefixer], 4 * self.ofdm.burst_samples)
        self.connect(self, *coded, tagged, header_gen, header_mod, (mux, 0))
        self.connect(tagged, unpack, payload_mod, (mux, 1))
        self.connect(mux, allocator, inverse, prefixer, spacer, self)
        self._framer, self._spacer = coded[0], spacer  # Python blocks that nobody else holds

    def _coder(self) -> list:
        """Packets to payload bytes."""
        ofdm = self.ofdm
        bytes_in = ofdm.frame_bytes + ofdm.tail_bytes
        parts = [link_framer(self.packet_bytes, tail=bytes(ofdm.tail_bytes))]
        if ofdm.fec == "cc":
            code = codes.cc_encoder_make(8 * bytes_in, CC_LENGTH, 2, list(CC_POLYNOMIALS), 0, codes.CC_TRUNCATED)
            parts += [
                blocks.packed_to_unpacked_bb(1, gr.GR_MSB_FIRST),
                codes.encoder(code, 1, 1),
                blocks.pack_k_bits_bb(8),
            ]
        return parts
