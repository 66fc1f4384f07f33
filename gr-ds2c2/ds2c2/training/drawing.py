# SPDX-License-Identifier: GPL-3.0-or-later
"""What every run draws with: pictures kept in memory while it allows, and batches made ahead of their step."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

# Pictures are kept decoded in memory up to this many bytes; the rest is read anew each time.
CACHE_BYTES = 6 << 30


class Kept:
    """What was read, by a key, while all of it takes no more than ``CACHE_BYTES``."""

    def __init__(self):
        self._kept: dict[Hashable, Any] = {}
        self._bytes = 0

    def get(self, key: Hashable, read: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        """The value of a key, read where it is not kept; ``size`` in bytes."""
        if key in self._kept:
            return self._kept[key]
        value = read()
        if self._bytes + size(value) <= CACHE_BYTES:
            self._kept[key] = value
            self._bytes += size(value)
        return value


class Ahead:
    """Makes the batches of the next steps in threads while the networks work on this one.

    A batch depends on its step alone, so a resumed run sees what the unbroken one would have seen. (torch's
    DataLoader would do the same with processes, which copy the pictures, or with none ahead.)

    Args:
        parts: of a step: functions that make the parts of its batch
        join: the parts to a batch
        workers: threads
        steps: how many batches are made ahead
    """

    def __init__(
        self,
        parts: Callable[[int], Sequence[Callable[[], Any]]],
        join: Callable[[list], tuple],
        workers: int = 1,
        steps: int = 1,
    ):
        self._parts, self._join, self._steps = parts, join, steps
        self._pool = ThreadPoolExecutor(workers)
        self._pending: dict[int, list[Future]] = {}

    def __call__(self, step: int) -> tuple:
        """The step's batch. Raises what its parts raise."""
        for wanted in range(step, step + 1 + self._steps):
            if wanted not in self._pending:
                self._pending[wanted] = [self._pool.submit(part) for part in self._parts(wanted)]
        return self._join([future.result() for future in self._pending.pop(step)])

    def close(self) -> None:
        """Make no more; what is under way is waited for."""
        self._pool.shutdown(cancel_futures=True)
