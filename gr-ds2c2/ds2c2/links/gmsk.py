# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a GMSK packet, and how it is cut out of demodulated symbols.

preamble      96 symbols 1 0 1 0 ...: level, clock and carrier offset settle
access code   64 symbols, as many ones as zeros
frame         packet and check sum, scrambled
tail          16 symbols: what the filters hold back is none of the frame
"""

from dataclasses import dataclass

import numpy as np

from ds2c2.links.burstfinder import Preamble
from ds2c2.links.dcblocker import DcWindow
from ds2c2.links.linkframes import CRC_BYTES
from ds2c2.links.ofdm import ModemError

PREAMBLE = bytes([0xAA] * 12)
ACCESS_CODE = (0xACDDA4E2F28C20FC).to_bytes(8, "big")  # GNU Radio's default for packets
TAIL = bytes([0x1D, 0x34])
CODE_SYMBOLS = 8 * len(ACCESS_CODE)
# Symbols behind a burst's beginning, as the burst finder places it, where the code may begin: 103 if
# that was right, 7 of them the filters' delay.
SEARCH = range(70, 160)
# Of the correlation coefficient between symbols and access code: noise has one of 0.13 (one sigma).
CODE_THRESHOLD = 0.6
# The metric of a packet that is just noticed: (S / (S + N))^2, an SNR of 3.8 dB.
GMSK_THRESHOLD = 0.5
# Symbols of silence behind each packet: more than the receiver's filters and its burst finder hold.
GAP_SYMBOLS = 160

# Clipped and as whole numbers, symbols give the same sums in any order.
CLIP = 2.0
UNIT = 1024


@dataclass(frozen=True)
class GmskFormat:
    """What both ends of a GMSK link agree on.

    Args:
        packet_bytes: bytes of a packet, without the check sum that is added here
        samples_per_symbol: 2 to 64
        bt: bandwidth of the Gaussian filter times the symbol's duration

    Raises ``ModemError``.
    """

    packet_bytes: int
    samples_per_symbol: int = 4
    bt: float = 0.5

    def __post_init__(self) -> None:
        if self.samples_per_symbol != int(self.samples_per_symbol) or not 2 <= self.samples_per_symbol <= 64:
            raise ModemError(f"{self.samples_per_symbol} samples per symbol: a whole number, 2 to 64, is wanted")
        if not 0.2 <= self.bt <= 1:
            raise ModemError(f"BT {self.bt:g} is out of range: 0.2 to 1")

    @property
    def frame_bytes(self) -> int:
        """Packet and check sum."""
        return self.packet_bytes + CRC_BYTES

    @property
    def burst_samples(self) -> int:
        """Samples of a packet on the air, without the gap behind it."""
        symbols = 8 * (len(PREAMBLE) + len(ACCESS_CODE) + self.frame_bytes + len(TAIL))
        return symbols * self.samples_per_symbol

    @property
    def min_gap(self) -> int:
        """Samples of silence that must follow a packet."""
        return GAP_SYMBOLS * self.samples_per_symbol

    @property
    def dc_window(self) -> DcWindow:
        """Over what a DC offset is looked for. GMSK has a mean of its own: the preamble's phase goes to and fro
        within a quarter of a turn, which is up to 4 % of the power of short packets, and packets bear 5 %."""
        return DcWindow(256 * self.samples_per_symbol, least=8, share=0.05)

    @property
    def preamble(self) -> Preamble:
        """What the burst finder looks for: 64 symbols that repeat after 4, in 96 of them. Half as
        many random symbols do so by accident in one of 30 packets."""
        symbol = self.samples_per_symbol
        # The plateau begins with the first samples when there is little noise, and ends when a part
        # of the window is behind the preamble.
        return Preamble(
            lag=4 * symbol,
            length=60 * symbol,
            back=80 * symbol,
            longest=160 * symbol,
            apart=32 * symbol,
            before_end=24 * symbol,
        )


@dataclass(frozen=True, eq=False)
class SlicedFrame:
    """A frame ``uint8[frame_bytes]`` behind an access code, the ``key`` of its burst, and the mean
    of the access code's symbols: what is left of the carrier offset."""

    frame: np.ndarray
    key: int
    offset: float


class GmskSlicer:
    """Cuts frames out of soft symbols, +1 and -1 without noise.

    Args:
        frame_bytes: of every frame
    """

    def __init__(self, frame_bytes: int):
        self._bits = 8 * frame_bytes
        self._code = 2 * np.unpackbits(np.frombuffer(ACCESS_CODE, np.uint8)).astype(np.int64) - 1
        self._held = np.empty(0, np.int64)
        self._first = 0  # number of the first symbol held
        self._begun: list[tuple[int, int]] = []  # where bursts begin, and their keys
        self._codes: list[tuple[int, int]] = []  # where access codes were found, and the same keys
        self._busy = 0  # symbol behind the last packet

    def push(self, symbols: np.ndarray, begun: list[tuple[int, int]]) -> tuple[list[SlicedFrame], int]:
        """Take ``float32[n]`` and the bursts that begin there (number of the symbol from the
        start of the stream, key). Gives frames and how many bursts had no access code."""
        whole = np.rint(np.clip(symbols, -CLIP, CLIP) * UNIT).astype(np.int64)
        self._held = np.concatenate([self._held, whole])
        self._begun += begun
        end = self._first + len(self._held)
        codeless = 0
        # A frame does not wait for more than itself: behind the last one little comes.
        while self._begun and self._begun[0][0] + SEARCH.stop + CODE_SYMBOLS <= end:
            codeless += self._search(*self._begun.pop(0))
        frames = []
        while self._codes and self._codes[0][0] + CODE_SYMBOLS + self._bits <= end:
            place, key = self._codes.pop(0)
            frames.append(self._sliced(place - self._first, key))
        keep = min([end, *(place for place, _ in self._begun[:1] + self._codes[:1])])
        self._held = self._held[keep - self._first :]
        self._first = keep
        return frames, codeless

    def _search(self, begin: int, key: int) -> bool:
        """Look for a burst's access code; True if there is none and should be."""
        place = self._code_in(begin + SEARCH.start - self._first)
        if place is None:
            # Within a packet it was a false alarm, and no packet.
            return begin + SEARCH.start >= self._busy
        place += self._first
        if place + CODE_SYMBOLS > self._busy:
            self._codes.append((place, key))
            self._busy = place + CODE_SYMBOLS + self._bits
        return False

    def _code_in(self, start: int) -> int | None:
        """Where the access code begins in the symbols held, None if nowhere."""
        near = self._held[start : start + len(SEARCH) + CODE_SYMBOLS - 1]
        windows = np.lib.stride_tricks.sliding_window_view(near, CODE_SYMBOLS)
        energy = (windows * windows).sum(axis=1) - windows.sum(axis=1) ** 2 // CODE_SYMBOLS
        # The code has no mean, so that the symbols' own does not matter.
        coefficient = (windows @ self._code) / np.sqrt(CODE_SYMBOLS * np.maximum(energy, 1))
        best = int(coefficient.argmax())
        return start + best if coefficient[best] >= CODE_THRESHOLD else None

    def _sliced(self, place: int, key: int) -> SlicedFrame:
        total = int(self._held[place : place + CODE_SYMBOLS].sum())
        symbols = self._held[place + CODE_SYMBOLS : place + CODE_SYMBOLS + self._bits]
        frame = np.packbits(CODE_SYMBOLS * symbols > total)
        return SlicedFrame(frame, key, total / CODE_SYMBOLS / UNIT)
