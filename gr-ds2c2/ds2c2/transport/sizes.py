# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes in sizes that no packet of a stream has: counted by size, within bounds, and put in words."""

import threading
from collections import Counter

TOLD_APART = 64  # sizes: a flood of more costs no memory
FURTHER = -1  # in the place of a size, all beyond those


class OtherSizes(Counter[int]):
    """How many of each size in bytes. ``note``, ``total`` and ``words`` may be called from different threads."""

    def __init__(self, *counted: object):
        self._lock = threading.RLock()
        super().__init__(*counted)

    def total(self) -> int:
        with self._lock:
            return super().total()

    def note(self, size: int) -> None:
        """One more came in this size."""
        with self._lock:
            self[size if size in self or len(self) < TOLD_APART else FURTHER] += 1

    def words(self, what: str, wanted: int) -> str:
        """``12 datagrams of 100 bytes where 110 are wanted``; of several sizes how many there are, and the one that
        came most; empty where nothing came."""
        with self._lock:
            known, count = Counter({size: number for size, number in self.items() if size != FURTHER}), self.total()
        if not count:
            return ""
        (size, most), more = known.most_common(1)[0], "more than " if count > known.total() else ""
        sizes = f"{size} byte{'' if size == 1 else 's'}"
        if len(known) > 1:
            sizes = f"{more}{len(known)} sizes, {most} of them of {sizes},"
        return f"{count} {what}{'' if count == 1 else 's'} of {sizes} where {wanted} are wanted"
