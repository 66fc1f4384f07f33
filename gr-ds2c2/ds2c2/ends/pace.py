# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures at a rate."""

import time
from collections.abc import Callable

from ds2c2.errors import UserError

NAP_SECONDS = 0.05  # slept at once: who is to stop must not wait for the next picture


class Pace:
    """Says when the next picture is due: ``rate`` a second at most, 0 for at once. What came too late is not made up
    for. Raises ``UserError`` for what is no rate."""

    def __init__(self, rate: float):
        if not 0 <= rate < float("inf"):
            raise UserError(f"frame rate {rate:g} is out of range; give pictures a second, or 0 for no limit")
        self._interval = 1.0 / rate if rate else 0.0
        self._due = 0.0  # monotonic seconds

    @property
    def left(self) -> float:
        """Seconds until the next picture is due, 0 when it is."""
        return max(0.0, self._due - time.monotonic())

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Until the next picture is due, or ``stopped()``."""
        while (left := self.left) and not stopped():
            time.sleep(min(left, NAP_SECONDS))

    def step(self, pictures: int = 1) -> None:
        """So many pictures go now."""
        self._due = max(self._due, time.monotonic()) + pictures * self._interval
