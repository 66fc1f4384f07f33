# SPDX-License-Identifier: GPL-3.0-or-later
"""Bursts in a stream of samples, told apart by the zeros between them."""

import numpy as np

# So many zeros in a row are no part of a burst; the modems put 500 behind each.
GAP = 64  # samples
# A longer burst than any modem's: whoever has so much without a gap is not waited for.
LONGEST_BURST = 1 << 20  # samples


class BurstCutter:
    """Holds samples back until the burst that they belong to is whole.

    A radio that runs out of samples in the middle of a burst spoils it, between bursts it does no
    harm. ``torn`` counts bursts longer than ``LONGEST_BURST``, which are let go in pieces.
    """

    def __init__(self):
        self.torn = 0
        self._held = np.zeros(0, np.complex64)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Samples ``complex64[n]`` in, those that may go out, whole bursts with the zeros around them."""
        held = np.concatenate([self._held, samples])
        sounding = np.flatnonzero(held)
        if not len(sounding) or len(held) - sounding[-1] > GAP:
            whole = len(held)
        else:
            ends = np.flatnonzero(np.diff(sounding) > GAP)
            whole = sounding[ends[-1] + 1] if len(ends) else sounding[0]
        if len(held) - whole > LONGEST_BURST:
            self.torn += 1
            whole = len(held)
        self._held = held[whole:]
        return held[:whole]

    def flush(self) -> np.ndarray:
        """What is held, at the end."""
        held, self._held = self._held, np.zeros(0, np.complex64)
        return held


def bursts_in(samples: np.ndarray) -> list[np.ndarray]:
    """The bursts in whole ones, without the zeros between them."""
    sounding = np.flatnonzero(samples)
    if not len(sounding):
        return []
    ends = np.flatnonzero(np.diff(sounding) > GAP)
    first, last = sounding[[0, *(ends + 1)]], sounding[[*ends, -1]]
    return [samples[start : stop + 1] for start, stop in zip(first, last, strict=True)]
