# SPDX-License-Identifier: GPL-3.0-or-later
"""Depacketizer: whatever packets arrive to whole frames of soft bits."""

import time

import numpy as np
import pmt

from ds2c2.assembler import REORDER_PACKETS, Frame, FrameAssembler, LinkCounts
from ds2c2.errors import FormatError
from ds2c2.packets import HEADER_BYTES, MAX_STREAM, VERSION, crc16
from ds2c2.softbits import to_soft
from ds2c2.streamformat import StreamFormat

from ._failures import say
from ._stage import END_TAG, Stage, as_format, frame_tag

# Packets of another format, and none of ours, after which the user is told: not one by accident.
TELL_AFTER = 32

ENDED_PORT = pmt.intern("ended")


class depacketizer(Stage):
    """Puts frames back from packets that come reordered, twice, damaged, or not at all.

    A frame goes out when it is complete and all before it are out, when a packet more than
    ``reorder`` behind its end has come, or after ``timeout`` seconds without packets. It ends
    with the last frame that an end-of-stream packet announces.

    Input:
        u8[8 + block_size], one item a packet; any bytes may come

    Output:
        s8[8 * block_size], soft bits of a code block (+1, -1, 0 = erased), N a frame, in
        order; the first block of a frame carries the tag ``ds2c2_frame`` (frame number, N_b),
        the last of all the tag ``ds2c2_end`` where frames must wait for it (``depth`` above 1);
        message port ``ended``: to be connected to the port ``system`` of a source that never
        ends (ZMQ, UDP), which GNU Radio then finishes when this block is finished

    Args:
        stream_format: a StreamFormat or its text form
        stream: number of the stream to receive, 0 to 255
        timeout: seconds without packets after which unfinished frames go out
        reorder: packets that a link may reorder
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        stream: int = 0,
        timeout: float = 1.0,
        reorder: int = REORDER_PACKETS,
    ):
        stream_format = as_format(stream_format)
        if not 0 <= stream <= MAX_STREAM:
            raise FormatError(f"stream {stream} is out of range: 0 to {MAX_STREAM}")
        size = stream_format.block_size
        Stage.__init__(self, "depacketizer", stream_format, (np.uint8, HEADER_BYTES + size), (np.int8, 8 * size))
        self.message_port_register_out(ENDED_PORT)
        self.timeout = timeout
        self._assembler = FrameAssembler(stream_format, stream, reorder)
        self._last: tuple | None = None  # last block of a frame, kept back for the end tag
        self._other_digest: int | None = None  # of packets of our stream in another format
        self._told = False

    @property
    def counts(self) -> LinkCounts:
        """What became of the packets so far."""
        return self._assembler.counts

    @property
    def holding(self) -> bool:
        assembler = self._assembler
        return self._last is not None or assembler.waiting or assembler.total_frames is not None

    def take(self, rows: np.ndarray, tags: list[tuple]) -> None:
        frames = self._assembler.push(rows)
        if not self._told and self.counts.used == 0 and self.counts.other_format:
            self._note_other_format(rows)
            if self.counts.other_format >= TELL_AFTER:
                self._tell_other_format()
        self._release(frames)

    def idle(self) -> None:
        if time.monotonic() - self.quiet_since > self.timeout:
            self._release(self._assembler.flush())
            self._let_go([])
            # The end was announced and all there was is out.
            if self._assembler.total_frames is not None:
                self.end()

    def stop(self) -> bool:
        if self._other_digest is not None and self.counts.used == 0:
            self._tell_other_format()
        say(self.name(), self.counts.line())
        return True

    def _release(self, frames: list[Frame]) -> None:
        ended = self._assembler.ended
        for frame in frames:
            self._let_go([])
            soft = to_soft(frame.blocks, frame.arrived)
            tags = [(0, *frame_tag(frame.number, self.format.base_blocks))]
            # The Deinterleaver must learn at which frame a stream ends when that does not fill
            # a group: such a frame's last block waits for the next frame or for the end.
            if (frame.number + 1) % self.format.depth:
                self._last = soft[-1:]
                soft = soft[:-1]
            elif ended and frame is frames[-1]:
                tags.append((len(soft) - 1, END_TAG, pmt.PMT_T))
            self.put(soft, tags)
        if ended:
            self._let_go([(0, END_TAG, pmt.PMT_T)])
            self.end()

    def _let_go(self, tags: list[tuple]) -> None:
        if self._last is not None:
            self.put(self._last, tags)
            self._last = None

    def _note_other_format(self, rows: np.ndarray) -> None:
        rows = rows[(rows[:, 0] >> 4 == VERSION) & (rows[:, 1] == self._assembler.stream)]
        if len(rows):
            check = rows[:, 6].astype(np.uint16) << 8 | rows[:, 7]
            digests, seen = np.unique(check ^ crc16(rows[:, :6]), return_counts=True)
            self._other_digest = int(digests[seen.argmax()])

    def _tell_other_format(self) -> None:
        if not self._told:
            say(
                self.name(),
                f"the sender uses another stream format: its digest is {self._other_digest:04x}, "
                f"ours {self.format.digest:04x} ({self.format.text}); give both ends the same",
            )
        self._told = True
