# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a constant out of samples before a modem sees them, and keeps how strong they are.

Receivers without an intermediate frequency (HackRF, RTL-SDR, and the recordings made with them) put a constant on their
samples, the oscillator's leakage and the converters' offset. It repeats itself after any time, so that a search for
preambles that repeat themselves finds nothing else: of an OFDM link's 92 packets 17 passed with one 10 dB below the
bursts, and none at 6 dB.
"""

import math
from dataclasses import dataclass

import numpy as np

# A signal that comes and goes has stretches so much stronger than its weakest ones; noise has not.
STANDS_OUT_DB = 6.0


@dataclass(frozen=True)
class DcWindow:
    """Over what the mean is taken.

    Args:
        block: samples after which it is taken anew
        least: blocks that must have come before anything is taken away
        most: blocks that it is the mean of
        share: power of the mean over that of the samples from which on it is taken away. Below, no packet is lost by
            it, and samples pass as they are, bit for bit; the modem's own mean has to be smaller
    """

    block: int = 1024
    least: int = 2
    most: int = 16
    share: float = 0.01


@dataclass
class Levels:
    """How strong samples are, ``dcblocker.DcBlocker``'s blocks as they came: powers, 1 for samples of magnitude 1.

    ``offset_db``: of the mean over the samples, where it was large enough to be taken away, else None.
    """

    samples: int = 0
    weakest: float = math.inf
    strongest: float = 0.0
    offset_db: float | None = None

    def words(self) -> str:
        """What an ear would say: nothing, a steady level, something that comes and goes."""
        if not self.samples:
            return "no samples came"
        if self.weakest == math.inf:
            return "no samples that are numbers came, or too few to tell"
        if not self.strongest:
            return "all samples are zeros: the radio or the recording is silent"
        level = f"{_db(self.strongest):.1f} dB of full scale"
        mean = f", with a DC offset of {self.offset_db:.1f} dB of it, taken away" if self.offset_db is not None else ""
        if self.weakest and _db(self.strongest / self.weakest) < STANDS_OUT_DB:
            return f"there is energy, at a steady level of {level}{mean}: noise, a carrier, or another modem"
        return f"there is energy that comes and goes, up to {level}{mean}, but no packets of this modem"


class DcBlocker:
    """``complex64[n]`` in and out: less the mean of the blocks before, where that is a DC offset.

    A block's samples are counted from the stream's beginning, so that what comes out does not depend on how it is cut.
    """

    def __init__(self, window: DcWindow | None = None):
        self.window = window or DcWindow()
        self.levels = Levels()
        self._block = np.zeros(self.window.block, np.complex128)
        self._filled = 0
        self._means: list[tuple[complex, float]] = []  # mean and power of the last blocks
        self._offset = np.complex64(0)

    def push(self, samples: np.ndarray) -> np.ndarray:
        out, place = samples, 0
        while place < len(samples):
            count = min(len(samples) - place, self.window.block - self._filled)
            piece = samples[place : place + count]
            if self._offset:
                if out is samples:
                    out = samples.copy()
                out[place : place + count] = piece - self._offset
            self._block[self._filled : self._filled + count] = piece
            self._filled += count
            place += count
            if self._filled == self.window.block:
                self._look()
        self.levels.samples += len(samples)
        return out

    def _look(self) -> None:
        """At a block that is whole."""
        self._filled = 0
        real, imag = self._block.real, self._block.imag
        power = float((real * real + imag * imag).mean())
        if not math.isfinite(power):
            return
        levels = self.levels
        levels.weakest, levels.strongest = min(levels.weakest, power), max(levels.strongest, power)
        self._means = [*self._means, (complex(self._block.mean()), power)][-self.window.most :]
        means, powers = zip(*self._means, strict=True)
        mean, power = sum(means) / len(means), sum(powers) / len(powers)
        offset = abs(mean) ** 2 > self.window.share * power and len(means) >= self.window.least
        self._offset = np.complex64(mean if offset else 0)
        if offset:
            levels.offset_db = _db(abs(mean) ** 2 / power)


def _db(ratio: float) -> float:
    return 10 * math.log10(ratio)
