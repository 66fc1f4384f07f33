# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting that comes to an end."""

from ds2c2.errors import LinkError

POLL_SECONDS = 0.05  # a block that waits looks so often whether its flowgraph is to stop


class Patience:
    """Raises ``LinkError`` with ``complaint`` when nothing moved for ``timeout`` seconds of polls; 0: never.

    Polls are counted and not the clock: a block that is not called does not wait.
    """

    def __init__(self, timeout: float, complaint: str):
        self._polls = timeout / POLL_SECONDS
        self._left = self._polls
        self._complaint = complaint
        self._timeout = timeout

    def check(self, moved: int) -> None:
        """Call after each poll with what moved in it."""
        if moved or not self._polls:
            self._left = self._polls
            return
        self._left -= 1
        if self._left <= 0:
            raise LinkError(f"{self._complaint} (waited {self._timeout:g} s)")
