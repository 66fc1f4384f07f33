# SPDX-License-Identifier: GPL-3.0-or-later
"""OFDM Link: packets over OFDM and a simulated air."""

import math
from collections.abc import Sequence

from ds2c2.links.burstfinder import OFDM_THRESHOLD
from ds2c2.links.ofdm import MIN_GAP
from ds2c2.stream.streamformat import StreamFormat

from ._packet_link import PacketLink
from .ofdm_demodulator import ofdm_demodulator
from .ofdm_modulator import ofdm_modulator
from .radio_air import radio_air


class ofdm_link(PacketLink):
    """OFDM Modulator, Radio Air and OFDM Demodulator, in place of a Block Erasure Channel.

    Input:
        u8[packet_bytes], one item a packet

    Output:
        u8[packet_bytes], the packets that arrive

    Args:
        stream_format: a StreamFormat or its text form
        modulation, fec, gap, payload_level: as the OFDM Modulator's
        threshold, sample_rate: as the OFDM Demodulator's
        snr: mean power of a burst over that of the noise at the whole sample rate, dB; inf for no noise
        cfo, clock, taps, fading, doppler, k, delays, magnitudes, seed: as the Radio Air's
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        modulation: str = "qpsk",
        fec: str = "none",
        snr: float = math.inf,
        cfo: float = 0.0,
        clock: float = 0.0,
        taps: Sequence[complex] = (1,),
        fading: str = "none",
        doppler: float = 1e-5,
        k: float = 4.0,
        delays: Sequence[float] = (),
        magnitudes: Sequence[float] = (),
        seed: int = 1,
        gap: int = MIN_GAP,
        payload_level: float = 1.0,
        threshold: float = OFDM_THRESHOLD,
        sample_rate: float = 1e6,
    ):
        PacketLink.__init__(
            self,
            "ofdm_link",
            ofdm_modulator(stream_format, modulation, fec, gap, payload_level),
            radio_air(snr, 1.0, cfo, clock, taps, fading, doppler, k, delays, magnitudes, seed),
            ofdm_demodulator(stream_format, modulation, fec, payload_level, threshold, sample_rate),
        )
