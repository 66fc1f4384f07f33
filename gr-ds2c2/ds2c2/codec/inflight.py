# SPDX-License-Identifier: GPL-3.0-or-later
"""Several frames at once, each in a thread of its own, and their results in order.

torch lets go of Python's lock while it computes, so one frame's networks run while another's blocks are coded. A
frame is computed with as many threads of torch's as a single one: its numbers are the same to the last bit.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Two keep two cores busy, or a card while the processor codes; each more takes its memory.
FRAMES_AT_ONCE = 2
# Of larger pictures one alone: encoding and decoding take 85 to 160 MiB a megapixel (docs/benchmark.md).
MOST_PIXELS = 1 << 22


def usual_at_once(pixels: int) -> int:
    """So many frames of ``pixels`` each are worked on together where nobody says otherwise."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if pixels > MOST_PIXELS else min(FRAMES_AT_ONCE, cores)


def _begin(work: Callable[[Item], Result], item: Item) -> "Future[Result]":
    """In a thread of its own, which the process waits for at its end: amid torch's code it could not be let go."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work(item))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="frame").start()
    return future


def in_order(work: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> Iterator[Result]:
    """``work`` of each item, ``at_once`` of them at a time, in the items' order.

    Items are taken in the caller's thread, ``at_once`` before the first result. What ``work`` or the items raise
    comes in its place, and nothing after it.
    """
    if at_once < 2:
        yield from map(work, items)
        return
    begun: deque[Future[Result]] = deque()
    items = iter(items)
    ended: Exception | None = None
    while ended is None:
        try:
            begun.append(_begin(work, next(items)))
        except Exception as error:
            ended = error
        while begun and (ended is not None or len(begun) == at_once):
            yield begun.popleft().result()
    if not isinstance(ended, StopIteration):
        raise ended
