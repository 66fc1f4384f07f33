# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames in messages: code blocks to what a ZMQ PULL Source reads, what a ZMQ PUSH Sink writes to soft bits."""

from dataclasses import dataclass

import numpy as np

from ds2c2.errors import FormatError, LinkError
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.stream.streamtags import END, FORMAT, FRAME, Tag, TagHeaderError, pack_message, unpack_message


def frame_messages(stream: StreamFormat, number: int, blocks: np.ndarray, last: bool = False) -> list[bytes]:
    """A frame's code blocks ``uint8[N, block_size]`` in one message: what is cut off is whole frames.

    The last frame comes in two, the second with its last block alone: so each tag stands at the start of a
    message, and it does not matter whether the source counts blocks or bytes.
    """
    tags = [Tag(0, FRAME, (number, stream.base_blocks)), Tag(0, FORMAT, stream.text)]
    if not last:
        return [pack_message(tags, blocks.tobytes(), stream.block_size)]
    return [
        pack_message(tags, blocks[:-1].tobytes(), stream.block_size),
        pack_message([Tag(0, END, True)], blocks[-1:].tobytes(), stream.block_size),
    ]


@dataclass
class MessageCounts:
    """What became of the messages and frames: ``torn`` frames began and did not come whole, ``skipped``
    blocks belonged to no frame that began, ``lost`` ones are missing in the stream's numbering."""

    messages: int = 0
    malformed: int = 0
    frames: int = 0
    torn: int = 0
    skipped: int = 0
    lost: int = 0
    restarts: int = 0

    def line(self) -> str:
        shown = {
            "messages": self.messages,
            "malformed": self.malformed,
            "frames": self.frames,
            "torn frames": self.torn,
            "blocks outside of frames": self.skipped,
            "blocks lost": self.lost,
            "restarts of the flowgraph": self.restarts,
        }
        return ", ".join(f"{value} {name}" for name, value in shown.items() if value) or "nothing came"


class FrameReader:
    """Puts frames of soft bits back from messages of any length.

    ``stream`` may be None: then the first one's is taken. ``ended``: the last block has come.
    """

    def __init__(self, stream: StreamFormat | None = None):
        self.stream = stream
        self.ended = False
        self.counts = MessageCounts()
        self._text = ""  # the format tag that was last found to be ours
        self._next: int | None = None  # offset of the next block
        self._open: np.ndarray | None = None
        self._number = 0
        self._filled = 0

    def push(self, message: bytes) -> list[tuple[int, np.ndarray]]:
        """Frame numbers and soft bits ``int8[N, 8 * block_size]`` of the frames that became whole.

        Raises ``FormatError`` when the stream is of another format, ``LinkError`` when the first
        message of all has no tags; a later one that makes no sense is counted.
        """
        self.counts.messages += 1
        try:
            offset, tags, items = unpack_message(message)
        except TagHeaderError as error:
            return self._malformed(f"{error}: set Pass Tags to Yes in the ZMQ PUSH Sink")
        for tag in tags:
            if tag.key == FORMAT and tag.value != self._text:
                self._agree(str(tag.value))
        if self.stream is None:
            # Joined inside a frame: how many blocks these are is not known.
            return []
        size = 8 * self.stream.block_size
        if len(items) % size:
            return self._malformed(f"{len(items)} bytes are no whole soft bits of code blocks, {size} bytes each")
        rows = np.frombuffer(items, np.int8).reshape(-1, size)
        self._continue_at(offset, len(rows))
        places = {tag.offset - offset: tag for tag in tags if tag.key == FRAME}
        ends = [tag.offset - offset + 1 for tag in tags if tag.key == END and 0 <= tag.offset - offset < len(rows)]
        cuts = sorted({0, len(rows), *(place for place in places if 0 <= place < len(rows)), *ends[:1]})
        frames = []
        for start, stop in zip(cuts, cuts[1:], strict=False):
            if start in places:
                self._begin(places[start].value)
            frames += self._add(rows[start:stop])
            if stop in ends:
                self.ended = True
                break
        return frames

    def close(self) -> None:
        """No more messages: what began is torn."""
        if self._open is not None:
            self.counts.torn += 1
            self._open = None

    def _malformed(self, why: str) -> list:
        if self._next is None:
            raise LinkError(f"the flowgraph's first message makes no sense: {why}")
        self.counts.malformed += 1
        return []

    def _agree(self, text: str) -> None:
        came = StreamFormat.parse(text)
        if self.stream is None:
            self.stream = came
        elif not came.agrees(self.stream):
            raise FormatError(f"the flowgraph's stream is {came.text}, not {self.stream.text}: give both the same")
        self._text = text

    def _continue_at(self, offset: int, count: int) -> None:
        if self._next is not None and offset != self._next:
            self.close()
            if offset > self._next:
                self.counts.lost += offset - self._next
            else:
                self.counts.restarts += 1
        self._next = offset + count

    def _begin(self, value: object) -> None:
        self.close()
        self._number = value[0] if isinstance(value, tuple) and isinstance(value[0], int) else self._number + 1
        self._open = np.empty((self.stream.blocks, 8 * self.stream.block_size), np.int8)
        self._filled = 0

    def _add(self, rows: np.ndarray) -> list[tuple[int, np.ndarray]]:
        if self._open is None:
            self.counts.skipped += len(rows)
            return []
        count = min(len(rows), len(self._open) - self._filled)
        self._open[self._filled : self._filled + count] = rows[:count]
        self._filled += count
        self.counts.skipped += len(rows) - count
        if self._filled < len(self._open):
            return []
        frame, self._open = self._open, None
        self.counts.frames += 1
        return [(self._number, frame)]
