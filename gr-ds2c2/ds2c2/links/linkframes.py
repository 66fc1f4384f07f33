# SPDX-License-Identifier: GPL-3.0-or-later
"""What a modem puts around a packet: a check sum, and bits that look random on the air."""

import zlib
from dataclasses import dataclass

import numpy as np

from ds2c2.links.dcblocker import Levels

CRC_BYTES = 4  # CRC-32 of IEEE 802.3, least significant byte first, as GNU Radio's crc32_bb appends it

# Additive scrambler of GNU Radio's ofdm_tx: a shift register of 8 bits, started anew in every packet.
SCRAMBLER_MASK = 0x8A
SCRAMBLER_SEED = 0x7F
SCRAMBLER_TOP = 7  # place of the bit that comes in


@dataclass
class ModemCounts:
    """Packets on a link. ``sent`` is None where the sender is elsewhere, ``levels`` where nobody looks at them.

    ``detected`` counts what looked like the beginning of a packet, false alarms too: they end in
    ``header_failed``, for modems without a header in ``crc_failed``.
    """

    sent: int | None = None
    detected: int = 0
    header_failed: int = 0
    crc_failed: int = 0
    passed: int = 0
    levels: Levels | None = None

    @property
    def missed(self) -> int | None:
        """Packets sent and never noticed; None where it is not known how many were sent."""
        if self.sent is None:
            return None
        return max(0, self.sent - self.passed - self.crc_failed - self.header_failed)

    @property
    def unheard(self) -> str:
        """Where no packet passed: whether there was energy, in words for the user; else empty."""
        if self.passed or self.levels is None:
            return ""
        noticed = f"of {self.detected} beginnings of packets none passed; " if self.detected else ""
        return noticed + self.levels.words()

    def line(self) -> str:
        """The counts as one line for people."""
        failed = f"{self.header_failed} header failures, {self.crc_failed} CRC failures"
        if self.sent is None:
            return f"{self.detected} packets detected, {self.passed} passed, {failed}"
        return f"{self.sent} packets sent, {self.passed} passed, {self.missed} missed, {failed}"


def scrambler_bytes(count: int) -> np.ndarray:
    """The first bytes of the scrambler's sequence, ``uint8[count]``."""
    register, out = SCRAMBLER_SEED, np.zeros(count, np.uint8)
    for place in range(count):
        for bit in range(8):
            out[place] |= (register & 1) << bit
            fed = bin(register & SCRAMBLER_MASK).count("1") & 1
            register = register >> 1 | fed << SCRAMBLER_TOP
    return out


class LinkFrames:
    """Packets of ``packet_bytes`` to what the modem sends, and back."""

    def __init__(self, packet_bytes: int):
        self.packet_bytes = packet_bytes
        self.frame_bytes = packet_bytes + CRC_BYTES
        self._scrambler = scrambler_bytes(self.frame_bytes)

    def pack(self, packets: np.ndarray) -> np.ndarray:
        """Packets ``uint8[n, packet_bytes]`` to frames ``uint8[n, frame_bytes]``."""
        frames = np.empty((len(packets), self.frame_bytes), np.uint8)
        frames[:, : self.packet_bytes] = packets
        frames[:, self.packet_bytes :] = _crc32(packets)
        return frames ^ self._scrambler

    def check(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames ``uint8[n, frame_bytes]`` to packets ``uint8[n, packet_bytes]`` and whether
        each one's check sum is right, ``bool[n]``."""
        frames = frames ^ self._scrambler
        packets = frames[:, : self.packet_bytes]
        return packets, (frames[:, self.packet_bytes :] == _crc32(packets)).all(axis=1)


def _crc32(packets: np.ndarray) -> np.ndarray:
    """Check sums ``uint8[n, 4]``."""
    sums = np.array([zlib.crc32(packet.tobytes()) for packet in packets], "<u4")
    return sums.view(np.uint8).reshape(-1, CRC_BYTES)
