# SPDX-License-Identifier: GPL-3.0-or-later
"""What all sources of moving pictures have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


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

    @abstractmethod
    def read(self, wait: float) -> Shot | None:
        """The next picture, or None: none came within about ``wait`` seconds, or ``ended``. Sources that are not
        live may take longer. Raises ``PictureError``."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Nothing will come any more."""

    def rewind(self) -> bool:
        """Start over; False where that cannot be."""
        return False

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what it holds; it may be called twice."""
