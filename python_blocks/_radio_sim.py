# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples from a Radio Sink to a Radio Source of the same process."""

import threading
import weakref
from collections import deque

import numpy as np
from gnuradio import gr

from ds2c2.links.radiosettings import ReceiveSettings, TransmitSettings

from ._backend import RecordingNote
from ._failures import WORK_DONE, guarded
from ._lasting import Lasting
from ._waiting import POLL_SECONDS, Patience

LIMIT = 1 << 18  # samples that a wire holds: more of them wait in the sender's buffers

_unpaired: "weakref.WeakValueDictionary[tuple[str, str], Wire]" = weakref.WeakValueDictionary()
_lock = threading.Lock()


class Wire:
    """A bounded queue of samples. A sender waits while it is full, a receiver while it is empty, neither
    longer than ``POLL_SECONDS``; when one end is gone the other one is told."""

    def __init__(self):
        self._pieces: deque[np.ndarray] = deque()
        self._held = 0
        self._ended = self._left = False
        self._changed = threading.Condition()

    def put(self, samples: np.ndarray) -> int:
        """How many of them were taken. Nobody reads any more: all are, and forgotten."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < LIMIT or self._left, POLL_SECONDS)
            if self._left:
                return len(samples)
            taken = samples[: LIMIT - self._held].copy()
            if len(taken):
                self._pieces.append(taken)
                self._held += len(taken)
                self._changed.notify_all()
            return len(taken)

    def get(self, count: int) -> np.ndarray | None:
        """Up to so many samples; none of them when nothing came in time; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._ended, POLL_SECONDS)
            if not self._held:
                return None if self._ended else np.zeros(0, np.complex64)
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                piece = piece[:count]
            self._held -= len(piece)
            self._changed.notify_all()
            return piece

    def end(self) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def leave(self) -> None:
        """Nobody will get anything more."""
        with self._changed:
            self._left = True
            self._changed.notify_all()


def wire(name: str, side: str) -> Wire:
    """The wire of this name that waits for this side, ``sink`` or ``source``, or a new one."""
    other = "source" if side == "sink" else "sink"
    with _lock:
        found = _unpaired.pop((name, other), None)
        if found is None:
            found = _unpaired[name, side] = Wire()
        return found


def sink(settings: TransmitSettings, note: RecordingNote):
    """A block that sends within this process. Raises ``LinkError``."""
    return sim_sink(settings.address, settings.timeout)


def source(settings: ReceiveSettings):
    """A block that hears what such a one sends. Raises ``LinkError``."""
    return sim_source(settings.address, settings.timeout)


class sim_sink(Lasting, gr.sync_block):
    """Complex samples into a wire; the other end sees the stream end."""

    def __init__(self, name: str, timeout: float):
        gr.sync_block.__init__(self, name="radio_sink", in_sig=[np.complex64], out_sig=None)
        self._wire = wire(name, "sink")
        self._patience = Patience(timeout, f"nobody takes samples: there is no radio_source sim {name!r} that runs")

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        taken = self._wire.put(input_items[0])
        self._patience.check(taken)
        return taken

    def stop(self) -> bool:
        self._wire.end()
        return True


class sim_source(Lasting, gr.sync_block):
    """Complex samples out of a wire; ends with the sender."""

    def __init__(self, name: str, timeout: float):
        gr.sync_block.__init__(self, name="radio_source", in_sig=None, out_sig=[np.complex64])
        self._wire = wire(name, "source")
        self._patience = Patience(timeout, f"no samples come: there is no radio_sink sim {name!r} that runs")

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        out = output_items[0]
        samples = self._wire.get(len(out))
        if samples is None:
            return WORK_DONE
        self._patience.check(len(samples))
        out[: len(samples)] = samples
        return len(samples)

    def stop(self) -> bool:
        self._wire.leave()
        return True
