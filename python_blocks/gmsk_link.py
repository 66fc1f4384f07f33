# SPDX-License-Identifier: GPL-3.0-or-later
"""GMSK Link: packets over GMSK and a simulated air."""

import math
from collections.abc import Sequence

from ds2c2.links.gmsk import GAP_SYMBOLS, GMSK_THRESHOLD
from ds2c2.stream.streamformat import StreamFormat

from ._packet_link import PacketLink
from .gmsk_demodulator import gmsk_demodulator
from .gmsk_modulator import gmsk_modulator
from .radio_air import radio_air


class gmsk_link(PacketLink):
    """GMSK Modulator, Radio Air and GMSK Demodulator, in place of a Block Erasure Channel.

    Input:
        u8[packet_bytes], one item a packet

    Output:
        u8[packet_bytes], the packets that arrive

    Args:
        stream_format: a StreamFormat or its text form
        samples_per_symbol, bt, gap: as the GMSK Modulator's
        threshold, sample_rate: as the GMSK Demodulator's
        snr: power of a burst over that of the noise at the whole sample rate, dB; inf for no noise
        cfo, clock, taps, fading, doppler, k, delays, magnitudes, seed: as the Radio Air's
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        samples_per_symbol: int = 4,
        bt: float = 0.5,
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
        gap: int = GAP_SYMBOLS,
        threshold: float = GMSK_THRESHOLD,
        sample_rate: float = 1e6,
    ):
        PacketLink.__init__(
            self,
            "gmsk_link",
            gmsk_modulator(stream_format, samples_per_symbol, bt, gap),
            radio_air(snr, 1.0, cfo, clock, taps, fading, doppler, k, delays, magnitudes, seed),
            gmsk_demodulator(stream_format, samples_per_symbol, bt, threshold, sample_rate),
        )
