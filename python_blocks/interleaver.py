# SPDX-License-Identifier: GPL-3.0-or-later
"""Interleaver: code blocks to code blocks, so that a loss costs every region a little."""

import numpy as np

from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.streamformat import StreamFormat

from ._failures import say
from ._stage import END_TAG, Stage, as_format, refuse_tag_header


class interleaver(Stage):
    """Permutes the enhancement layer as the stream format says; base blocks pass.

    ``bit`` permutes the bits of each frame, ``block`` the blocks of ``depth`` frames, ``none``
    nothing. With ``depth`` frames, the last ones of a stream go out at the tag ``ds2c2_end``.

    Input:
        u8[block_size], one item a code block, whole frames from the start

    Output:
        u8[block_size], as many, tags where they were

    Args:
        stream_format: a StreamFormat or its text form
    """

    def __init__(self, stream_format: StreamFormat | str):
        stream_format = as_format(stream_format)
        item = (np.uint8, stream_format.block_size)
        Stage.__init__(self, "interleaver", stream_format, item, item)
        self._interleaver = Interleaver(stream_format)
        self._held = np.empty((0, stream_format.block_size), np.uint8)
        self._tags: list[tuple] = []

    def stop(self) -> bool:
        frames = len(self._held) // self.format.blocks
        if frames:
            say(self.name(), f"frames not sent, of an unfinished group of {self.format.depth}: {frames}")
        return True

    def take(self, rows: np.ndarray, tags: list[tuple]) -> None:
        if self.nitems_read(0) == 0:
            refuse_tag_header(rows)
        held = len(self._held)
        rows = np.concatenate([self._held, rows]) if held else rows
        tags = self._tags + [(held + offset, key, value) for offset, key, value in tags]
        group = self.format.depth * self.format.blocks
        ended = [offset for offset, key, _ in tags if key is END_TAG or key == END_TAG]
        start = 0
        # A group is full, or it is the last of a stream and ends at the tag.
        while start < len(rows):
            last = next((offset for offset in ended if start <= offset < start + group), None)
            stop = start + group if last is None else last + 1
            if stop > len(rows):
                break
            frames = rows[start:stop].reshape(-1, self.format.blocks, self.format.block_size)
            mixed = self._interleaver.interleave(frames).reshape(stop - start, -1)
            self.put(mixed, [(offset - start, key, value) for offset, key, value in tags if start <= offset < stop])
            start = stop
        self._held = rows[start:].copy()
        self._tags = [(offset - start, key, value) for offset, key, value in tags if offset >= start]
