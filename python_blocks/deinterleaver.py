# SPDX-License-Identifier: GPL-3.0-or-later
"""Deinterleaver: soft bits back into the encoder's order."""

import time

import numpy as np

from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.streamformat import StreamFormat

from ._stage import END_TAG, FRAME_TAG, Stage, as_format, frame_number

# Seconds without input after which an unfinished group of frames goes out: its sender has
# gone without an end. A sender gives a group at once, so a pause within one is short.
GROUP_TIMEOUT = 5.0


class deinterleaver(Stage):
    """Undoes the Interleaver on soft bits.

    With ``depth`` frames, groups are found by the frame numbers in the tags ``ds2c2_frame``,
    so a stream may be joined in its middle: frames of a group that never came count as
    erased and are not put out. A last, shorter group goes out at the tag ``ds2c2_end``.

    Input:
        s8[8 * block_size], soft bits of a code block (+1, -1, 0 = erased), whole frames

    Output:
        s8[8 * block_size], as many, tags where they were

    Args:
        stream_format: a StreamFormat or its text form
    """

    def __init__(self, stream_format: StreamFormat | str):
        stream_format = as_format(stream_format)
        self._bits = 8 * stream_format.block_size
        item = (np.int8, self._bits)
        Stage.__init__(self, "deinterleaver", stream_format, item, item)
        self._interleaver = Interleaver(stream_format)
        self._rows = np.empty((0, self._bits), np.int8)  # of a frame that has not fully come
        self._tags: list[tuple] = []
        self._group: list[tuple] = []  # frame number, soft bits, tags; at most depth
        self._next = 0

    @property
    def holding(self) -> bool:
        return bool(self._group)

    def take(self, rows: np.ndarray, tags: list[tuple]) -> None:
        held = len(self._rows)
        rows = np.concatenate([self._rows, rows]) if held else rows
        tags = self._tags + [(held + offset, key, value) for offset, key, value in tags]
        count = self.format.blocks
        whole = len(rows) // count * count
        by_frame: dict[int, list[tuple]] = {}
        for offset, key, value in tags:
            by_frame.setdefault(offset // count, []).append((offset % count, key, value))
        for place in range(whole // count):
            self._take_frame(rows[place * count : (place + 1) * count], by_frame.get(place, []))
        self._rows = rows[whole:].copy()
        self._tags = [(offset - whole, key, value) for offset, key, value in tags if offset >= whole]

    def idle(self) -> None:
        if time.monotonic() - self.quiet_since > GROUP_TIMEOUT:
            self._release(self.format.depth)

    def _take_frame(self, frame: np.ndarray, tags: list[tuple]) -> None:
        number, ended = self._next, False
        for offset, key, value in tags:
            if key == FRAME_TAG and offset == 0:
                number = frame_number(value)
            ended |= key == END_TAG
        self._next = number + 1
        depth = self.format.depth
        if depth == 1:
            self.put(self._interleaver.deinterleave(frame[None])[0], tags)
            return
        if self._group:
            newest = self._group[-1][0]
            if number // depth != newest // depth or number <= newest:
                self._release(depth)
        self._group.append((number, frame.copy(), tags))
        # The sender's last group ends with this frame, and was permuted at this size.
        if ended:
            self._release(number % depth + 1)
        elif number % depth == depth - 1:
            self._release(depth)

    def _release(self, size: int) -> None:
        frames = np.zeros((size, self.format.blocks, self._bits), np.int8)
        for number, frame, _ in self._group:
            frames[number % self.format.depth] = frame
        sorted_ = self._interleaver.deinterleave(frames)
        for number, _, tags in self._group:
            self.put(sorted_[number % self.format.depth], tags)
        self._group.clear()
