# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of an OFDM packet: carriers, preamble, symbols, air time.

They are those of GNU Radio's ``digital.ofdm_tx``: 64 carriers, 48 of them with data and 4 with
pilots as in IEEE 802.11a, a cyclic prefix of 16 samples, two preamble symbols after Schmidl and
Cox (Robust frequency and timing synchronization for OFDM, IEEE Trans. Commun. 45(12), 1997).
"""

import math
from dataclasses import dataclass

import numpy as np

from ds2c2.errors import ExitCode, UserError
from ds2c2.links.linkframes import CRC_BYTES

FFT_SIZE = 64  # carriers, and samples of a symbol without its prefix
PREFIX = 16  # samples
SYMBOL = FFT_SIZE + PREFIX  # samples
DATA_CARRIERS = (*range(-26, -21), *range(-20, -7), *range(-6, 0), *range(1, 7), *range(8, 21), *range(22, 27))
PILOT_CARRIERS = (-21, -7, 7, 21)
# Sign of the pilots in each symbol, IEEE 802.11a-1999 (17-25); the last pilot is turned.
PILOT_SIGNS = (
    "++++---+----++-+--++-++-++++++-+++-++--+++-+---+-+--+--+++++--++"
    "--+-+-++---++----+--+-++++-+-+-+-----+-++-+-+++--+---+++-------"
)
PREAMBLE_SYMBOLS = 2
HEADER_SYMBOLS = 1  # BPSK: length, number and CRC-8, as packet_header_ofdm forms it
SYNC_SEED = 42  # digital.ofdm_tx's

MODULATIONS = {"bpsk": 1, "qpsk": 2, "8psk": 3, "16qam": 4}  # bits a carrier
FECS = ("none", "cc")  # cc: convolutional code, rate 1/2, K = 7
# Generators 171 and 133 octal of the CCSDS telemetry code (131.0-B), bits as gr-fec counts them.
CC_POLYNOMIALS = (109, 79)
CC_LENGTH = 7
MAX_HEADER_LENGTH = 4095  # bytes; the header has 12 bits for it

# Zeros after each packet: with fewer the receiver loses 6 % of them, and always the last one.
MIN_GAP = 500  # samples


class ModemError(UserError):
    """Parameters that no modem has."""

    exit_code = ExitCode.RADIO


def pilot_symbols() -> list[list[complex]]:
    """Pilots of each symbol in turn."""
    signs = [1 if sign == "+" else -1 for sign in PILOT_SIGNS]
    return [[sign, sign, sign, -sign] for sign in signs]


def sync_words() -> tuple[list[complex], list[complex]]:
    """Both preamble symbols on their carriers, carrier 0 in the middle. The first one uses
    every other carrier, so that its second half is its first half turned."""
    active = {carrier % FFT_SIZE for carrier in DATA_CARRIERS + PILOT_CARRIERS}
    # RandomState and in this order: GNU Radio draws like that.
    draws = np.random.RandomState(SYNC_SEED)
    first = [math.sqrt(2) * (1 - 2 * draws.randint(2)) if x in active and x % 2 else 0 for x in range(FFT_SIZE)]
    draws = np.random.RandomState(SYNC_SEED)
    second = [1 - 2 * draws.randint(2) if x in active else 0 for x in range(FFT_SIZE)]
    return np.fft.fftshift(first).astype(complex).tolist(), np.fft.fftshift(second).astype(complex).tolist()


@dataclass(frozen=True)
class OfdmFormat:
    """What both ends of an OFDM link agree on.

    Args:
        packet_bytes: bytes of a packet, without the check sum that is added here
        modulation: of the payload: bpsk, qpsk, 8psk or 16qam
        fec: none, or cc for the convolutional code of rate 1/2
        payload_level: amplitude of the payload over that of preamble and header; GNU Radio's
            ``digital.ofdm_tx`` has 2 with QPSK and 1 otherwise

    Raises ``ModemError``.
    """

    packet_bytes: int
    modulation: str = "qpsk"
    fec: str = "none"
    payload_level: float = 1.0

    def __post_init__(self) -> None:
        if self.modulation not in MODULATIONS:
            raise ModemError(f"modulation {self.modulation!r} is unknown; choose one of {', '.join(MODULATIONS)}")
        if self.fec not in FECS:
            raise ModemError(f"FEC {self.fec!r} is unknown; choose one of {', '.join(FECS)}")
        if not 0.1 <= self.payload_level <= 10:
            raise ModemError(f"payload level {self.payload_level:g} is out of range: 0.1 to 10")
        if not 1 <= self.packet_bytes or self.payload_bytes > MAX_HEADER_LENGTH:
            raise ModemError(f"packets of {self.packet_bytes} bytes are too long for an OFDM header")

    @property
    def bits_per_carrier(self) -> int:
        return MODULATIONS[self.modulation]

    @property
    def frame_bytes(self) -> int:
        """Packet and check sum."""
        return self.packet_bytes + CRC_BYTES

    @property
    def tail_bytes(self) -> int:
        """Zeros behind the frame that bring the code back to its first state."""
        return 0 if self.fec == "none" else 1

    @property
    def payload_bytes(self) -> int:
        """Bytes on the air, redundancy included."""
        return (self.frame_bytes + self.tail_bytes) * (1 if self.fec == "none" else 2)

    @property
    def payload_carriers(self) -> int:
        """Modulated carriers of the payload."""
        return math.ceil(8 * self.payload_bytes / self.bits_per_carrier)

    @property
    def payload_symbols(self) -> int:
        return math.ceil(self.payload_carriers / len(DATA_CARRIERS))

    @property
    def burst_samples(self) -> int:
        """Samples of a packet on the air, without the gap behind it."""
        return (PREAMBLE_SYMBOLS + HEADER_SYMBOLS + self.payload_symbols) * SYMBOL

    @property
    def burst_power(self) -> float:
        """Mean power of a burst where an active carrier of the preamble has power 1."""
        pilots, data = len(PILOT_CARRIERS), len(DATA_CARRIERS)
        known = (PREAMBLE_SYMBOLS + HEADER_SYMBOLS) * (pilots + data)
        payload = self.payload_symbols * pilots + self.payload_carriers * self.payload_level**2
        return (known + payload) / (self.burst_samples / SYMBOL)
