# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving pictures for a sender: read ahead by one, and of a live source the newest only."""

import threading
import time

import numpy as np

from ds2c2.errors import PictureError
from ds2c2.pictures.moving.source import SKIPPED, MovingSource, Shot
from ds2c2.pictures.pictures import fit_picture

READ_SECONDS = 0.25  # that a source is waited for at once
# Pictures that come a little early, by this share of their interval, are not passed over: cameras are not exact.
EARLY = 0.1


class MovingFeed:
    """Pictures of a source, fitted to one size, as a thread reads them.

    A source that is live does not wait: a picture that was not taken when the next one came is late, and dropped and
    counted. Any other waits, unless it is made ``live``: then a film plays at its own speed, and what is not taken in
    time is late as well.

    Args:
        source: where they come from; closed with the feed
        width, height, fit: as of ``fit_picture``
        frame_rate: pictures a second at most, 0 for all: of a film those that are shown at that rate
        repeat: start over for ever, where the source can
        count: end after so many, 0 for no limit
        live: drop what is late

    Raises ``PictureError`` for an unknown fit, and where it cannot start over.
    """

    moving = True
    paths = ()

    def __init__(
        self,
        source: MovingSource,
        width: int,
        height: int,
        fit: str = "pad",
        frame_rate: float = 0.0,
        repeat: bool = False,
        count: int = 0,
        live: bool = False,
    ):
        fit_picture(np.zeros((1, 1, 3), np.uint8), width, height, fit)
        if repeat and source.endless:
            raise PictureError("what has no end of its own cannot be repeated: a camera, an address, standard input")
        self.source, self.width, self.height, self.fit = source, width, height, fit
        self.repeat, self.count = repeat, count
        self.live = live or source.live
        self.rate = min(rate for rate in (frame_rate, source.rate) if rate) if frame_rate or source.rate else 0.0
        self.late = 0  # pictures
        self.captured = 0.0  # when the picture taken last had come, seconds since 1970
        self._interval = 1.0 / frame_rate if frame_rate else 0.0
        self._played = live and not source.live  # at the film's own speed
        self._due = 0.0
        self._taken = 0
        self._changed = threading.Condition()
        self._waiting: tuple[Shot, float] | None = None
        self._wanted = self.stopped = self._ended = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._collect, name="moving-feed", daemon=True)
        self._thread.start()

    @property
    def frames(self) -> int | None:
        """How many there are, None where nobody knows."""
        return self.count or None

    def ready(self, wait: float) -> bool:
        """Whether within ``wait`` seconds there is a picture to take, or none will be."""
        with self._changed:
            self._want()
            return self._changed.wait_for(self._has_news, wait)

    def take(self) -> np.ndarray | None:
        """The next picture ``uint8[height, width, 3]``, None at the end. Raises the source's ``PictureError``."""
        while not self.ready(READ_SECONDS):
            pass  # a signal's handler runs in between
        with self._changed:
            if self._waiting is None or self.stopped or self._full:
                if self._error is not None and not self.stopped:
                    raise self._error
                return None
            (shot, self.captured), self._waiting = self._waiting, None
            self._taken += 1
            self._changed.notify_all()
        return fit_picture(shot.picture, self.width, self.height, self.fit)

    def over(self, frame: int) -> bool:
        """No picture follows. Of a source without a known end that may not be known."""
        if self.stopped or self._full:
            return True
        if self.source.endless or self.live:
            return self._ended and self._waiting is None and self._error is None
        while not self.ready(READ_SECONDS):
            pass
        return self._waiting is None and self._error is None

    def stop(self) -> None:
        """End with the picture that was taken last; may be called from a signal's handler."""
        self.stopped = True

    def close(self) -> None:
        """Leave the source; its thread ends with what it is reading."""
        self.stopped = True
        with self._changed:
            self._changed.notify_all()
        self._thread.join(READ_SECONDS)

    @property
    def problem_lines(self) -> list[str]:
        """What was wrong on the way so far, a line each."""
        return list(self.source.problems)

    @property
    def skipped(self) -> int:
        """Files of a folder that could not be read so far."""
        return sum(line.startswith(SKIPPED) for line in self.source.problems)

    @property
    def _full(self) -> bool:
        return 0 < self.count <= self._taken

    def _has_news(self) -> bool:
        return self._waiting is not None or self._ended or self.stopped or self._full

    def _want(self) -> None:
        if not self._wanted:
            # What came while the networks were loaded is nobody's fault.
            self._wanted, self.late = True, 0
            self._changed.notify_all()

    def _collect(self) -> None:
        try:
            if not self.source.live:
                self._wait_until(lambda: self._wanted)
            began, came = time.monotonic(), 0
            while not self.stopped:
                shot = self.source.next(READ_SECONDS)
                if shot is None and self.source.ended:
                    if not (self.repeat and came and self.source.rewind()):
                        return
                    began, came, self._due = time.monotonic(), 0, 0.0
                elif shot is not None:
                    came += 1
                    now = time.monotonic() - began
                    if self._passed_over(now if self.source.live else shot.seconds):
                        continue
                    if self._played:
                        self._wait_until(lambda: False, shot.seconds - now)
                    self._hand(shot)
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            self.source.close()

    def _passed_over(self, seconds: float) -> bool:
        """Whether a picture of this time is one too many for the rate that is asked for."""
        if not self._interval or not (self.source.rate or self.source.live):
            return False
        if seconds < self._due - EARLY * self._interval:
            return True
        self._due = max(self._due + self._interval, seconds)
        return False

    def _hand(self, shot: Shot) -> None:
        if not self.live:
            self._wait_until(lambda: self._waiting is None)
        with self._changed:
            self.late += self._waiting is not None
            self._waiting = shot, time.time()
            self._changed.notify_all()

    def _wait_until(self, there, seconds: float | None = None) -> None:
        """Until ``there()``, for so many seconds at most, or until it is to stop."""
        until = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            while not (there() or self.stopped):
                left = READ_SECONDS if until is None else min(READ_SECONDS, until - time.monotonic())
                if left <= 0:
                    return
                self._changed.wait(left)
