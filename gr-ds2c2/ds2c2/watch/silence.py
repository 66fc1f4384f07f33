# SPDX-License-Identifier: GPL-3.0-or-later
"""When a picture that stands is one of a link that is dead."""

import time
from collections.abc import Callable

from ds2c2.watch.reception import SILENT_SECONDS

PAUSES = 2.0  # a sender that is slow is silent when it pauses so much longer than the last time


def silence_words(seconds: float) -> str:
    """``no signal for 12 s``."""
    if seconds < 100:
        return f"no signal for {seconds:.0f} s"
    return f"no signal for {seconds / 60:.0f} min"


class Silence:
    """For who sees frames alone and no packets. ``heard`` may be called from any thread.

    Args:
        clock: seconds that only rise
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._heard = clock()
        self._pause = 0.0
        self._begun = False

    def heard(self) -> None:
        """Something came of a frame."""
        now = self._clock()
        self._pause = now - self._heard if self._begun else 0.0
        self._heard, self._begun = now, True

    def words(self) -> str:
        """What is to be said now, nothing while there is a signal."""
        silent = self._clock() - self._heard
        return silence_words(silent) if silent >= max(SILENT_SECONDS, PAUSES * self._pause) else ""
