# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries messages between a flowgraph here and a GPU host elsewhere: GNU Radio's ZeroMQ blocks have no keys."""

import time
from collections.abc import Callable

from ds2c2.serve.pipe import POLL_SECONDS, Inbox, Pipe
from ds2c2.stream.streamtags import END, FRAME, TagHeaderError, unpack_message


class Relay:
    """Passes messages on until the stream ends, nothing moves for ``wait`` seconds, or ``stop``.

    ``read_ahead``: bytes taken before the other end takes them. News go to ``say``, a line each.
    """

    def __init__(self, source: Pipe, sink: Pipe, read_ahead: int, wait: float, say: Callable[[str], None]):
        self.wait, self.say = wait, say
        self.messages = self.frames = self.malformed = self.left = 0
        self.ended = self.stopped = self.gave_up = False
        self._source, self._sink = source, sink
        self._read_ahead = read_ahead

    def stop(self) -> None:
        self.stopped = True

    def run(self) -> None:
        """Raises ``LinkError`` when one of the ends can never be reached."""
        inbox = Inbox(self._source, self._read_ahead)
        try:
            self._pass_on(inbox)
        finally:
            inbox.close()
            self._sink.close(self.wait if self.ended else 0)

    def _pass_on(self, inbox: Inbox) -> None:
        moved = time.monotonic()
        message = None
        while not (self.ended or self.stopped) and time.monotonic() - moved < self.wait:
            for line in self._sink.news():
                self.say(line)
            if message is None:
                item = inbox.get(POLL_SECONDS)
                if isinstance(item, str):
                    self.say(item)
                else:
                    message = item
            if message is not None and self._sink.send(message, POLL_SECONDS):
                moved = time.monotonic()
                self._count(message)
                message = None
        self.gave_up = not (self.ended or self.stopped)
        self.left = inbox.waiting + (message is not None)

    def _count(self, message: bytes) -> None:
        self.messages += 1
        try:
            _, tags, _ = unpack_message(message)
        except TagHeaderError:
            self.malformed += 1
            return
        self.frames += sum(tag.key == FRAME for tag in tags)
        self.ended = any(tag.key == END for tag in tags)
