# SPDX-License-Identifier: GPL-3.0-or-later
"""What all sources of moving pictures have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ds2c2.errors import PictureError

SKIPPED = "skipped "  # what the line of a file that cannot be read begins with
LOOK_SECONDS = 0.5  # that the first picture is waited for at once


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture ``uint8[H, W, 3]``, and when it is to be seen, in seconds since the source's first one (0 where the
    source knows no time)."""

    picture: np.ndarray
    seconds: float = 0.0


class MovingSource(ABC):
    """Pictures one after the other, each read once.

    ``rate``: pictures a second, 0 where it is not known. ``live``: they come when they come, whether or not anybody
    takes them. ``endless``: no end is known beforehand. ``problems``: what was wrong on the way, a line each.
    """

    rate = 0.0
    live = False
    endless = False

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._first: Shot | None = None

    @abstractmethod
    def read(self, wait: float) -> Shot | None:
        """The next picture, or None: none came within about ``wait`` seconds, or ``ended``. Sources that are not
        live may take longer. Raises ``PictureError``."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Nothing will come any more."""

    def size(self) -> tuple[int, int]:
        """Width and height of the first picture, which is waited for; it is not read by this. Raises
        ``PictureError`` where none comes."""
        while self._first is None and not self.ended:
            self._first = self.read(LOOK_SECONDS)
        if self._first is None:
            raise PictureError(f"no picture came{': ' + self.problems[0] if self.problems else ''}")
        return self._first.picture.shape[1], self._first.picture.shape[0]

    def next(self, wait: float) -> Shot | None:
        """``read``, and before it what ``size`` has seen."""
        if self._first is not None:
            shot, self._first = self._first, None
            return shot
        return self.read(wait)

    def rewind(self) -> bool:
        """Start over; False where that cannot be."""
        return False

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what it holds; it may be called twice."""
