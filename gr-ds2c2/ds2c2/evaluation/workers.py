# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks over all cores: processes of their own, one thread each."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed


def one_thread() -> None:
    """One core a process; what is computed does not depend on how many cores there are."""
    import torch

    torch.set_num_threads(1)


def start_worker() -> None:
    """One core a worker; Ctrl-C is the parent's to answer; no worker outlives a parent that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    one_thread()


def _end_with_parent() -> None:
    """A pool's workers wait for tasks that a killed parent never sends."""
    multiprocessing.parent_process().join()
    os._exit(1)


def spread(work: Callable, tasks: Iterable[tuple], jobs: int, start: Callable[[], None] = start_worker) -> Iterator:
    """Results of ``work(*task)`` as they come, computed by ``jobs`` processes.

    Raises what ``work`` raises, and ``BrokenProcessPool`` when a process dies.
    """
    # Forked children would inherit torch's threads in the middle of their work.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), start)
    waiting = []
    try:
        waiting += [pool.submit(work, *task) for task in tasks]
        for future in as_completed(waiting):
            yield future.result()
    finally:
        # On an error or Ctrl-C nobody waits for the rest.
        unfinished = not all(future.done() for future in waiting)
        pool.shutdown(wait=False, cancel_futures=True)
        if unfinished:
            for process in multiprocessing.active_children():
                process.terminate()
