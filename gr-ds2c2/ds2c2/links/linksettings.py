# SPDX-License-Identifier: GPL-3.0-or-later
"""Which modem carries the packets, and how it is set: the same at both ends."""

from dataclasses import dataclass
from typing import Any

from ds2c2.links.gmsk import GmskFormat
from ds2c2.links.ofdm import MIN_GAP, ModemError, OfdmFormat

LINKS = ("ofdm", "gmsk")


@dataclass(frozen=True)
class LinkSettings:
    """A modem and its settings; those of the other modem are not looked at.

    Args:
        link: ofdm or gmsk
        modulation: of ofdm: bpsk, qpsk, 8psk or 16qam
        fec: of ofdm: none, or cc for the convolutional code of rate 1/2
        samples_per_symbol: of gmsk
        threshold: of the receiver's burst finder, above 0 and below 1; 0 for the modem's own

    Raises ``ModemError``.
    """

    link: str = "ofdm"
    modulation: str = "qpsk"
    fec: str = "none"
    samples_per_symbol: int = 4
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.link not in LINKS:
            raise ModemError(f"link {self.link!r} is unknown; choose one of {', '.join(LINKS)}")
        if not 0 <= self.threshold < 1:
            raise ModemError(f"threshold {self.threshold:g} is out of range: above 0 and below 1, or 0 for the modem's")
        self.format(1)

    def format(self, packet_bytes: int) -> OfdmFormat | GmskFormat:
        """What the modem sends for packets of this length. Raises ``ModemError``."""
        if self.link == "ofdm":
            return OfdmFormat(packet_bytes, self.modulation, self.fec)
        return GmskFormat(packet_bytes, self.samples_per_symbol)

    @property
    def modem(self) -> dict[str, Any]:
        """Arguments of modulator and demodulator."""
        if self.link == "ofdm":
            return {"modulation": self.modulation, "fec": self.fec}
        return {"samples_per_symbol": self.samples_per_symbol}

    @property
    def receiver(self) -> dict[str, Any]:
        """Arguments of the demodulator."""
        return self.modem | ({"threshold": self.threshold} if self.threshold else {})

    def packet_samples(self, packet_bytes: int) -> int:
        """Samples from the beginning of a packet to that of the next one, at the least."""
        modem = self.format(packet_bytes)
        return modem.burst_samples + (MIN_GAP if self.link == "ofdm" else modem.min_gap)

    def lines(self) -> list[tuple[str, str]]:
        """Name and value of what both ends must have alike."""
        return [("link", self.link), *((name, str(value)) for name, value in self.modem.items())]
