# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds preambles that repeat themselves in samples, and takes the carrier offset away.

Schmidl and Cox (Robust frequency and timing synchronization for OFDM, IEEE Trans. Commun. 45(12),
1997): the metric is |P|^2 / R^2 with P the correlation of samples with those ``lag`` before them
and R the mean energy of both, so that it is 1 for a preamble without noise and (S / (S + N))^2
with it. P's angle tells the carrier offset.

Every operation here gives the same bits wherever the stream is cut: sums are trees of shifted
adds, products are written out in real numbers. Stock blocks differ in the last bit with the
position of a call in memory, and GNU Radio's plateau detector places its trigger by where its call
ends, so that a run could not be repeated.
"""

import math
from dataclasses import dataclass

import numpy as np

from ds2c2.links.ofdm import FFT_SIZE, PREFIX, SYMBOL, ModemError


@dataclass(frozen=True)
class Preamble:
    """What to look for; all in samples.

    Args:
        lag: after which the preamble repeats itself
        length: of the stretch that is compared with the one ``lag`` before it
        back: from the metric's plateau to where the burst is taken to begin
        longest: plateau; a longer one is no preamble, for a carrier without modulation looks like
            one for ever
        apart: that the next plateau begins behind this one, at least
        turned: what is repeated has the opposite sign
        before_end: where on the plateau, before its end; None for its middle
    """

    lag: int
    length: int
    back: int
    longest: int
    apart: int
    turned: bool = False
    before_end: int | None = None

    @property
    def window(self) -> int:
        return self.lag + self.length

    @property
    def delay(self) -> int:
        """Samples from a finder's input to its output."""
        return self.back + (self.longest // 2 + 1 if self.before_end is None else self.before_end)

    def place(self, begin: int, end: int) -> int:
        """The sample of a plateau at which it is measured."""
        return (begin + end) // 2 if self.before_end is None else max(begin, end - self.before_end)


# The first symbol uses odd carriers only, so that its halves have opposite signs. The plateau's
# middle is the end of a window that begins in the middle of the prefix; GNU Radio's choice is to
# begin 9 samples early, so that noise does not place the symbols too late.
OFDM_PREAMBLE = Preamble(FFT_SIZE // 2, FFT_SIZE // 2, SYMBOL, 2 * FFT_SIZE, PREFIX, turned=True)
# digital.ofdm_rx has 0.9 and loses packets at SNRs where their payload is still good.
OFDM_THRESHOLD = 0.7
# Power of the last ``lag`` samples over that of the whole window, below which the burst is over.
FADED = 0.25


@dataclass(frozen=True)
class Burst:
    """What begins with a preamble: at which sample of those that go out and of those that came in;
    carrier offset in cycles/sample, without multiples of 1 / lag; SNR in dB."""

    position: int
    start: int
    cfo: float
    snr_db: float


class BurstFinder:
    """Samples in, the same number out: ``preamble.delay`` later, and turned back by the carrier
    offset of the last burst, from its first sample on.

    Args:
        preamble: of the bursts
        threshold: of the metric, above 0 and below 1

    Raises ``ModemError``.
    """

    def __init__(self, preamble: Preamble = OFDM_PREAMBLE, threshold: float = OFDM_THRESHOLD):
        if not 0 < threshold < 1:
            raise ModemError(f"threshold {threshold:g} is out of range: above 0 and below 1")
        self.preamble, self.threshold = preamble, threshold
        self._held = np.zeros(preamble.delay, np.complex64)
        self._seen = 0  # samples taken
        self._plateau: int | None = None  # where the plateau under way began
        self._blind = 0  # before it no plateau begins
        self._waiting: list[Burst] = []  # whose beginning has not gone out
        self._cfo = 0.0
        self._origin = 0  # where the phase of the offset is 0

    def push(self, samples: np.ndarray) -> tuple[np.ndarray, list[Burst]]:
        """``complex64[n]`` to ``complex64[n]`` and the bursts that begin there."""
        count = len(samples)
        stream = np.concatenate([self._held, samples])
        self._waiting += self._find(stream)
        out, self._held = stream[:count], stream[count:]
        first, self._seen = self._seen, self._seen + count
        begun = [burst for burst in self._waiting if burst.position < self._seen]
        del self._waiting[: len(begun)]
        turned = np.empty_like(out)
        place = 0
        for burst in begun:
            stop = burst.position - first
            turned[place:stop] = self._turned(out[place:stop], first + place)
            self._cfo, self._origin, place = burst.cfo, burst.position, stop
        turned[place:] = self._turned(out[place:], first + place)
        return turned, begun

    def _find(self, stream: np.ndarray) -> list[Burst]:
        """Bursts whose plateau ends in the new samples, those of ``stream`` from ``delay`` on."""
        preamble = self.preamble
        lag, length, delay = preamble.lag, preamble.length, preamble.delay
        near = stream[delay - preamble.window + 1 :]
        real, imag = near.real.copy(), near.imag.copy()
        inner = _box(real[:-lag] * real[lag:] + imag[:-lag] * imag[lag:], length)
        outer = _box(real[:-lag] * imag[lag:] - imag[:-lag] * real[lag:], length)
        powers = real * real + imag * imag
        power = _box(powers, length)
        energy = np.float32(0.5) * (power[:-lag] + power[lag:])
        over = (inner * inner + outer * outer >= np.float32(self.threshold) * (energy * energy)) & (energy > 0)
        # Where a burst ends, its last samples alone would look like a preamble.
        over &= _box(powers, lag)[length:] * np.float32(length / lag) >= np.float32(FADED) * energy
        found = []
        for edge in np.flatnonzero(np.diff(over, prepend=self._plateau is not None)).tolist():
            end = self._seen + edge
            if self._plateau is None:
                self._plateau = end
                continue
            begin, self._plateau = max(self._plateau, self._blind), None
            # One sample is no plateau.
            if end - begin > 1:
                self._blind = end + preamble.apart
                if end - begin <= preamble.longest:
                    place = preamble.place(begin, end)
                    last = place - self._seen + delay + 1
                    found.append(self._measured(place - preamble.back, stream[last - preamble.window : last]))
        return found

    def _measured(self, start: int, window: np.ndarray) -> Burst:
        """The burst in whose preamble the window lies."""
        lag = self.preamble.lag
        real, imag = window.real.astype(float), window.imag.astype(float)
        sign = -1 if self.preamble.turned else 1
        # fsum rounds once, whatever the order.
        inner = sign * math.fsum(real[:-lag] * real[lag:] + imag[:-lag] * imag[lag:])
        outer = sign * math.fsum(real[:-lag] * imag[lag:] - imag[:-lag] * real[lag:])
        power = real * real + imag * imag
        energy = 0.5 * (math.fsum(power[:-lag]) + math.fsum(power[lag:]))
        # The metric's square root is S / (S + N).
        share = min(math.hypot(inner, outer) / energy, 1 - 1e-6)
        cfo = math.atan2(outer, inner) / (2 * math.pi * lag)
        return Burst(start + self.preamble.delay, start, cfo, 10 * math.log10(share / (1 - share)))

    def _turned(self, samples: np.ndarray, first: int) -> np.ndarray:
        if self._cfo == 0:
            return samples
        cycles = self._cfo * (np.arange(len(samples), dtype=np.float64) + (first - self._origin))
        angle = -2 * np.pi * (cycles % 1.0)
        cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        out = np.empty_like(samples)
        out.real = samples.real * cosine - samples.imag * sine
        out.imag = samples.real * sine + samples.imag * cosine
        return out


def _box(values: np.ndarray, length: int) -> np.ndarray:
    """Sums of ``length`` values in a row, ``n - length + 1`` of them."""
    count = len(values) - length + 1
    total, done, step = None, 0, 1
    while True:
        if length & step:
            piece = values[done : done + count]
            total = piece if total is None else total + piece
            done += step
        if done == length:
            return total
        values = values[step:] + values[:-step]
        step *= 2
