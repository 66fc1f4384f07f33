# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that go out in a thread of their own, at their pace, while the next picture is encoded."""

import queue
import threading
from collections.abc import Callable
from typing import Any

LOOK_SECONDS = 0.1  # who waits for room looks so often whether there will be none


class Outbox:
    """Hands groups of packets, of whatever form ``send`` takes, to it one after the other; one group waits while
    another is sent.

    A context manager: left by an error, it drops what waits.
    """

    def __init__(self, send: Callable[[Any], object]):
        self._send = send
        self._groups: queue.Queue[Any] = queue.Queue(1)
        self._error: Exception | None = None
        self._dropping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def put(self, packets: Any) -> None:
        """Wait for room, then leave packets there. Raises what ``send`` has raised."""
        while self._thread.is_alive():
            try:
                self._groups.put(packets, timeout=LOOK_SECONDS)
                break
            except queue.Full:
                pass
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait until everything is sent. Raises what ``send`` has raised."""
        self.put(None)
        # In pieces, so that a signal is heeded.
        while self._thread.is_alive():
            self._thread.join(LOOK_SECONDS)
        if self._error is not None:
            raise self._error

    def __enter__(self) -> "Outbox":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.finish()
        else:
            self._dropping = True

    def _run(self) -> None:
        try:
            while (packets := self._groups.get()) is not None and not self._dropping:
                self._send(packets)
        except Exception as error:
            self._error = error
