# SPDX-License-Identifier: GPL-3.0-or-later
"""The two hosts: pictures to a flowgraph's ZMQ PULL Source, a flowgraph's ZMQ PUSH Sink to pictures."""

import time
from collections.abc import Callable

from ds2c2.ends.session import FrameResult, ReceivingEnd, SendingEnd
from ds2c2.errors import LinkError
from ds2c2.serve.frames import FrameReader, frame_messages
from ds2c2.serve.pipe import POLL_SECONDS, Inbox, Pipe
from ds2c2.stream.streamformat import StreamFormat


class EncodeHost:
    """Encodes a feed and sends each frame as soon as the flowgraph takes it, ``frame_rate`` a second at most
    (0: no limit). Ends with the feed, after ``wait`` seconds in which nothing was taken, or by ``stop``,
    which ends the stream with the next frame. News go to ``say``, a line each.
    """

    def __init__(
        self, sending: SendingEnd, pipe: Pipe, wait: float, say: Callable[[str], None], frame_rate: float = 0.0
    ):
        if frame_rate < 0:
            raise LinkError(f"frame rate {frame_rate:g} is negative; give frames a second, or 0 for no limit")
        self.sending, self.wait, self.say = sending, wait, say
        self.interval = 1 / frame_rate if frame_rate else 0.0
        self.frames = 0  # sent
        self.stopped = self.ended = False
        self._pipe = pipe

    def stop(self) -> None:
        self.stopped = True

    def run(self, progress: Callable[[int], None] = lambda frames: None) -> None:
        """``progress`` is called with the number of frames sent."""
        try:
            due = time.monotonic()
            while not self.ended and self._next_frame():
                progress(self.frames)
                due = max(due + self.interval, time.monotonic())
                while not self.stopped and (left := due - time.monotonic()) > 0:
                    time.sleep(min(left, POLL_SECONDS))
        finally:
            self._pipe.close(self.wait if self.ended else 0)

    def _next_frame(self) -> bool:
        sending, number = self.sending, self.sending.frame
        encoded = sending.next_frame()
        last = self.stopped or (not sending.feed.repeat and sending.frame == len(sending.feed.paths))
        for message in frame_messages(sending.codec.stream, number, encoded.blocks, last):
            if not self._send(message):
                return False
        self.frames += 1
        self.ended = last
        return True

    def _send(self, message: bytes) -> bool:
        until = time.monotonic() + self.wait
        # Who is stopped while nobody takes its frames has nobody to tell.
        while time.monotonic() < until and not (self.stopped and not self._pipe.peers):
            for line in self._pipe.news():
                self.say(line)
            if self._pipe.send(message, POLL_SECONDS):
                return True
        return False


class DecodeHost:
    """Decodes the frames that come. Ends with the stream, after ``wait`` seconds without a message, or by
    ``stop``.

    ``stream`` may be None: then it is the one that the first frame names. ``receiver`` makes the decoder
    of a stream; where it goes on in another folder, as when a sender starts over, that is said. News go
    to ``say``, results to ``show``.
    """

    def __init__(
        self,
        receiver: Callable[[StreamFormat], ReceivingEnd],
        pipe: Pipe,
        wait: float,
        say: Callable[[str], None],
        show: Callable[[FrameResult], None],
        stream: StreamFormat | None = None,
    ):
        self.wait, self.say, self.show = wait, say, show
        self.stopped = self.gave_up = False
        self.left = 0  # messages that came and were not looked at
        self.receiving = receiver(stream) if stream else None
        self.reader = FrameReader(self.receiving.codec.stream if self.receiving else None)
        self._receiver, self._pipe = receiver, pipe

    def stop(self) -> None:
        self.stopped = True

    def run(self) -> None:
        """Raises ``FormatError`` and ``LinkError`` when the flowgraph is set up otherwise."""
        inbox = Inbox(self._pipe)
        try:
            heard = time.monotonic()
            while not (self.reader.ended or self.stopped or self.gave_up):
                item = inbox.get(POLL_SECONDS)
                if item is None:
                    self.gave_up = time.monotonic() - heard > self.wait
                    continue
                if isinstance(item, str):
                    self.say(item)
                else:
                    for number, soft in self.reader.push(item):
                        self._decode(number, soft)
                heard = time.monotonic()
            self.left = inbox.waiting
        finally:
            inbox.close()
            self.reader.close()

    def _decode(self, number: int, soft) -> None:  # noqa: ANN001 - int8[N, 8 * block_size]
        if self.receiving is None:
            self.receiving = self._receiver(self.reader.stream)
        receiving = self.receiving
        folder = receiving.folder
        result = receiving.take(number, soft)
        if receiving.folder != folder:
            self.say(f"frame {number} is there already: going on in {receiving.folder}")
        self.show(result)
