# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that are not where the stream is: kept for a while, since enough of them that agree may be right."""

from dataclasses import dataclass

import numpy as np

from ds2c2.stream.packets import FRAME_MODULUS

# Strays that are kept until enough of them agree: among 15 times as many others those of one sender are found.
HELD_STRAYS = 512


@dataclass(frozen=True)
class Packets:
    """Packets of one frame: its 16-bit number, their indices ``int[n]`` in it, and what the receiver
    keeps of each, ``[n, ...]``."""

    number: int
    indices: np.ndarray
    payload: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def some(self, places: np.ndarray | slice) -> "Packets":
        """Those at these places, views where the places are a slice."""
        return Packets(self.number, self.indices[places], self.payload[places])


@dataclass(eq=False)
class Stray:
    """One packet further off than a link reorders: late by more than that (``frame`` says of which
    frame) or out of range (None). ``note`` is the receiver's own."""

    frame: int | None
    packets: Packets
    note: str = ""


def steps_between(origin: int, number: int) -> int:
    """Steps from one frame number to another, modulo 65536, the shorter way (RFC 1982)."""
    return (number - origin + FRAME_MODULUS // 2) % FRAME_MODULUS - FRAME_MODULUS // 2


class HeldStrays:
    """The last ``HELD_STRAYS`` strays, found by their numbers.

    Args:
        span: frames within which numbers agree

    Attributes:
        last: the last stray, None where none is held
        newest: packets that had come with the last one that was ever held
        clock: packets that had come with each, ``int64[HELD_STRAYS]``
        ours: those of the stream among them
    """

    def __init__(self, span: int):
        self.last: Stray | None = None
        self.newest = 0
        self.clock = np.zeros(HELD_STRAYS, np.int64)
        self.ours = np.zeros(HELD_STRAYS, np.int64)
        self._span = span
        self._numbers = np.full(HELD_STRAYS, -1, np.int64)  # -1: no stray
        self._strays: list[Stray | None] = [None] * HELD_STRAYS
        self._place = 0

    def add(self, stray: Stray, clock: int, ours: int) -> Stray | None:
        """Hold a stray; returns the one that made room for it."""
        place = self._place
        before, self._strays[place], self.last = self._strays[place], stray, stray
        self._numbers[place], self.clock[place], self.ours[place] = stray.packets.number, clock, ours
        self.newest = clock
        self._place = (place + 1) % HELD_STRAYS
        return before

    def all(self) -> list[int]:
        """Places of all, in the order of arrival."""
        return self._in_order(self._numbers >= 0)

    def is_late(self, place: int) -> bool:
        return self._strays[place].frame is not None

    def is_before(self, place: int, one: Packets) -> bool:
        """Whether this stray was sent before that packet."""
        packets = self._strays[place].packets
        return (steps_between(one.number, packets.number), packets.indices[0]) < (0, one.indices[0])

    def agreeing(self, number: int) -> list[int]:
        """Places of the strays near a number, in the order of arrival."""
        return self._in_order((self._numbers >= 0) & (np.abs(steps_between(number, self._numbers)) <= self._span))

    def largest(self) -> list[int]:
        """Places of the most strays that agree."""
        return max((self.agreeing(int(number)) for number in set(self._numbers.tolist()) - {-1}), key=len, default=[])

    def take(self, places: list[int]) -> list[Stray]:
        """Hold these no longer."""
        taken = [self._strays[place] for place in places]
        for place in places:
            self._strays[place], self._numbers[place] = None, -1
        rest = self.all()
        self.last = self._strays[rest[-1]] if rest else None
        return taken

    def _in_order(self, chosen: np.ndarray) -> list[int]:
        places = np.flatnonzero(chosen)
        return places[np.argsort(self.clock[places])].tolist()
