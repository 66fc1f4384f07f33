# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a reception while it runs: the receiving loop tells it, watchers in other threads ask it."""

from __future__ import annotations

import io
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ds2c2.stream.assembler import LinkCounts
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.fates import packet_counts
from ds2c2.transport.packetsource import Arrivals

if TYPE_CHECKING:
    from ds2c2.ends.session import FrameResult

SILENT_SECONDS = 3.0  # so long without a packet of the stream is called no signal
NOW_SECONDS = 5  # what is shown as of now are means of so long
HISTORY_SECONDS = 300  # of the curve of losses
CONSTELLATION_POINTS = 256
JPEG_QUALITY = 90  # Pillow's; at 768x512 0.1 MB a picture


@dataclass
class _Second:
    """What came in one second."""

    when: int
    packets: int = 0
    frames: int = 0
    blocks: int = 0  # of frames that were shown
    lost: int = 0  # of them


class Reception:
    """The state of one reception. All methods may be called from any thread; who tells it never waits for a watcher.

    Args:
        stream: the stream format
        source: where packets come from, in words
        clock: seconds that only rise
    """

    def __init__(self, stream: StreamFormat, source: str = "", clock: Callable[[], float] = time.monotonic):
        self.stream, self.source = stream, source
        self._clock = clock
        self._changed = threading.Condition()
        self._began = clock()
        self._heard: float | None = None
        self._busy_since: float | None = None
        self._used = 0
        self._counts = LinkCounts()
        self._failed = self._unreadable = 0
        self._turned_away: Mapping[str, int] = {}
        self._events: dict[str, int] = {}
        self._snr_db = self._cfo = math.nan
        self._points = np.zeros(0, np.complex64)
        self._seconds: deque[_Second] = deque()
        self._result: FrameResult | None = None
        self._delay_s: float | None = None
        self._call = ""
        self._frames = self._concealed = self._lost_frames = 0
        self._picture: np.ndarray | None = None
        self._serial = 0  # of the picture
        self._encoding = threading.Lock()
        self._encoded: dict[str, tuple[int, bytes]] = {}
        self._ended = False

    # What the receiving loop tells.

    @contextmanager
    def working(self) -> Iterator[None]:
        """While packets are made to pictures nobody listens, so the silence of that time is none of the sender's."""
        self._busy_since = self._clock()
        try:
            yield
        finally:
            self._busy_since = None

    def arrived(
        self, arrivals: Arrivals, counts: LinkCounts, turned_away: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """What came from the link, what has become of all packets so far, and what the source has not handed on."""
        with self._changed:
            good = len(arrivals.good)
            self._failed += len(arrivals.packets) - good
            self._unreadable += arrivals.unreadable
            for kind, _ in arrivals.events:
                self._events[kind] = self._events.get(kind, 0) + 1
            if counts.used != self._used:
                self._heard = self._clock()
                self._second().packets += max(0, counts.used - self._used)
                self._used = counts.used
            self._counts, self._turned_away = LinkCounts(**vars(counts)), turned_away
            self._snr_db = _mean(arrivals.snr_db, self._snr_db)
            self._cfo = _mean(arrivals.cfo, self._cfo)
            if arrivals.points is not None and len(arrivals.points):
                self._points = np.asarray(arrivals.points[-CONSTELLATION_POINTS:], np.complex64)

    def shown(self, result: FrameResult, picture: np.ndarray, delay_s: float | None = None, call: str = "") -> None:
        """A frame was released: its result, and the picture ``uint8[H, W, 3]`` that stands now, which nobody
        changes. Where the sender says so, ``delay_s`` is how many seconds ago it took it, and ``call`` who it is."""
        with self._changed:
            self._result, self._delay_s = result, delay_s
            self._call = call or self._call
            self._frames += 1
            self._concealed += result.concealed
            self._lost_frames += result.nothing
            second = self._second()
            second.frames += 1
            second.blocks += self.stream.blocks
            second.lost += result.lost
            self._picture = picture
            self._serial += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing will come any more: those who wait are told."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _second(self) -> _Second:
        now = int(self._clock() - self._began)
        if not self._seconds or self._seconds[-1].when != now:
            self._seconds.append(_Second(now))
            while self._seconds[0].when < now - HISTORY_SECONDS:
                self._seconds.popleft()
        return self._seconds[-1]

    # What watchers ask.

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def silence(self) -> float:
        """Seconds since the last packet of the stream, or since the beginning."""
        now, began = self._busy_since, self._began if self._heard is None else self._heard
        return max(0.0, (self._clock() if now is None else now) - began)

    def next_picture(self, after: int, wait: float) -> tuple[int, np.ndarray | None]:
        """Number of the newest picture, counted from 1, and the picture; waits up to ``wait`` seconds for one with a
        number above ``after``, or for the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._serial > after or self._ended, wait)
            return self._serial, self._picture

    def encoded(self, kind: str) -> tuple[int, bytes]:
        """The newest picture's number and its file, ``JPEG`` or ``PNG``; no bytes where there is none yet. However
        many ask, it is made once."""
        with self._encoding:
            with self._changed:
                serial, picture = self._serial, self._picture
            if picture is None:
                return 0, b""
            if self._encoded.get(kind, (0,))[0] != serial:
                file = io.BytesIO()
                options = {"quality": JPEG_QUALITY} if kind == "JPEG" else {"compress_level": 1}
                Image.fromarray(picture).save(file, kind, **options)
                self._encoded[kind] = serial, file.getvalue()
            return self._encoded[kind]

    def stats(self) -> dict:
        """All that is known, of types that JSON has; what is not known is None."""
        with self._changed:
            return {
                "stream": {
                    "format": self.stream.text, "width": self.stream.width, "height": self.stream.height,
                    "blocks": self.stream.blocks, "packet_bytes": self.stream.packet_bytes,
                },
                "source": self.source, "station": self._call,
                "uptime_s": _round(self._clock() - self._began, 3),
                "ended": self._ended,
                "signal": {
                    "ever": self._heard is not None,
                    "silent_s": _round(self.silence, 3),
                    "present": self._heard is not None and self.silence < SILENT_SECONDS,
                },
                "frame": self._frame(),
                "now": self._now(),
                "frames": {
                    "received": self._frames - self._concealed, "concealed": self._concealed - self._lost_frames,
                    "lost": self._lost_frames, "shown": self._frames,
                },
                "packets": packet_counts(self._counts, self._failed, self._unreadable, self._turned_away),
                "host": dict(self._events),
                "link": {"snr_db": _round(self._snr_db, 2), "cfo": _round(self._cfo, 8)},
                "constellation": [[_round(p.real, 3), _round(p.imag, 3)] for p in self._points.tolist()],
                "history": [[each.when, _round(each.lost / each.blocks, 5)] for each in self._seconds if each.blocks],
            }  # fmt: skip

    def _frame(self) -> dict | None:
        """The frame that was released last."""
        result = self._result
        if result is None:
            return None
        return {
            "number": result.frame, "picture": self._serial, "concealed": result.concealed, "nothing": result.nothing,
            "base_lost": result.base_lost, "enhancement_lost": result.enhancement_lost,
            "base_repaired": result.base_repaired, "damaged": result.damaged,
            "loss": _round(result.lost / self.stream.blocks, 5), "psnr_db": _round(result.psnr, 3),
            "ms_ssim": _round(result.ms_ssim, 5), "delay_s": _round(self._delay_s, 3),
        }  # fmt: skip

    def _now(self) -> dict:
        """Means of the last seconds; where no frame came in them, the loss of the last one that did."""
        age = self._clock() - self._began
        recent = [each for each in self._seconds if each.when > age - 1 - NOW_SECONDS and each.when < int(age)]
        span = min(NOW_SECONDS, max(1, int(age)))
        shown = [each for each in recent if each.blocks] or [each for each in self._seconds if each.blocks][-1:]
        blocks = sum(each.blocks for each in shown)
        packets = sum(each.packets for each in recent) / span
        return {
            "per": _round(sum(each.lost for each in shown) / blocks, 5) if blocks else None,
            "frames_per_s": _round(sum(each.frames for each in recent) / span, 2),
            "packets_per_s": _round(packets, 1),
            "bits_per_s": _round(8 * self.stream.packet_bytes * packets, 0),
        }


def _mean(values: np.ndarray | None, before: float) -> float:
    known = () if values is None else np.asarray(values)[np.isfinite(values)]
    return float(np.mean(known)) if len(known) else before


def _round(value: float | None, places: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), places)
