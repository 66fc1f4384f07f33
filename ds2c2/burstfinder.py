# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds OFDM preambles in samples and takes the carrier offset away.

Schmidl and Cox (1997): the preamble's second half is its first half turned. The metric is
|P|^2 / R^2 with P the correlation of the halves and R the energy of both, so that it is 1 for a
preamble without noise and (S / (S + N))^2 with it.

Every operation here gives the same bits wherever the stream is cut: sums are trees of shifted
adds, products are written out in real numbers. Stock blocks differ in the last bit with the
position of a call in memory, and GNU Radio's plateau detector places its trigger by where its call
ends, so that a run could not be repeated.
"""

import math
from dataclasses import dataclass

import numpy as np

from ds2c2.ofdm import FFT_SIZE, PREFIX, SYMBOL, ModemError

# digital.ofdm_rx has 0.9 and loses packets at SNRs where their payload is still good.
THRESHOLD = 0.7
WINDOW = FFT_SIZE  # samples
HALF = WINDOW // 2
# The middle of the plateau is the last sample of a window that begins in the middle of the prefix.
# From there back to where the receiver takes the burst to begin, GNU Radio's choice: 9 samples
# early, in the prefix, so that noise does not place the window into the next symbol.
BACK = SYMBOL
# A longer plateau is no preamble: a carrier without modulation looks like one for ever.
LONGEST_PLATEAU = 128  # samples
DELAY = BACK + LONGEST_PLATEAU  # samples from input to output


@dataclass(frozen=True)
class Burst:
    """A preamble: where it begins among the samples that go out, carrier offset in cycles/sample
    (without whole carriers), SNR in dB."""

    position: int
    cfo: float
    snr_db: float

    @property
    def start(self) -> int:
        """Where it begins among the samples that came in."""
        return self.position - DELAY


class BurstFinder:
    """Samples in, the same number out: ``DELAY`` later, and turned back by the carrier offset of
    the last preamble, from its first sample on.

    Args:
        threshold: of the metric, above 0 and below 1

    Raises ``ModemError``.
    """

    def __init__(self, threshold: float = THRESHOLD):
        if not 0 < threshold < 1:
            raise ModemError(f"threshold {threshold:g} is out of range: above 0 and below 1")
        self.threshold = threshold
        self._held = np.zeros(DELAY, np.complex64)
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
        """Bursts whose plateau ends in the new samples, those of ``stream`` from ``DELAY`` on."""
        near = stream[DELAY - WINDOW + 1 :]
        real, imag = near.real.copy(), near.imag.copy()
        inner = _box(real[:-HALF] * real[HALF:] + imag[:-HALF] * imag[HALF:], HALF)
        outer = _box(real[:-HALF] * imag[HALF:] - imag[:-HALF] * real[HALF:], HALF)
        energy = np.float32(0.5) * _box(real * real + imag * imag, WINDOW)
        over = (inner * inner + outer * outer >= np.float32(self.threshold) * (energy * energy)) & (energy > 0)
        found = []
        for edge in np.flatnonzero(np.diff(over, prepend=self._plateau is not None)).tolist():
            end = self._seen + edge
            if self._plateau is None:
                self._plateau = end
                continue
            begin, self._plateau = max(self._plateau, self._blind), None
            # One sample is no plateau.
            if end - begin > 1:
                self._blind = end + PREFIX
                if end - begin <= LONGEST_PLATEAU:
                    middle = (begin + end) // 2
                    last = middle - self._seen + DELAY + 1
                    found.append(_measured(middle - BACK + DELAY, stream[last - WINDOW : last]))
        return found

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
    """Sums of ``length`` values in a row, a power of two: ``n - length + 1`` of them."""
    step = 1
    while step < length:
        values = values[step:] + values[:-step]
        step *= 2
    return values


def _measured(position: int, window: np.ndarray) -> Burst:
    """The burst whose preamble's first symbol fills the window."""
    real, imag = window.real.astype(float), window.imag.astype(float)
    # The halves have opposite signs: the preamble is on odd carriers. fsum rounds once.
    inner = -math.fsum(real[:HALF] * real[HALF:] + imag[:HALF] * imag[HALF:])
    outer = -math.fsum(real[:HALF] * imag[HALF:] - imag[:HALF] * real[HALF:])
    energy = 0.5 * math.fsum(real * real + imag * imag)
    # The metric's square root is S / (S + N).
    share = min(math.hypot(inner, outer) / energy, 1 - 1e-6)
    cfo = math.atan2(outer, inner) / (2 * math.pi * HALF)
    return Burst(position, cfo, 10 * math.log10(share / (1 - share)))
