# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's side of the packets: frames put back from whatever arrives."""

from dataclasses import dataclass, field

import numpy as np

from ds2c2.packets import FRAME_MODULUS, parse_packets
from ds2c2.streamformat import StreamFormat

# A frame is given up when a packet this far behind its end has come: packets that a link
# reorders within so many are all used.
REORDER_PACKETS = 256
# A frame number further ahead than this is another stream's, or damaged, until many agree.
MAX_GAP_FRAMES = 64
# So many packets in a row from elsewhere in the numbering mean that the sender restarted.
RESYNC_PACKETS = 32
# Released frames whose packets are still told apart as duplicate or late.
HISTORY_FRAMES = 64


@dataclass
class LinkCounts:
    """What became of every packet. ``received`` is the sum of all but ``missing``, ``frames``,
    ``lost_frames`` and ``resyncs``, plus the packets that were used."""

    received: int = 0
    used: int = 0
    duplicate: int = 0
    late: int = 0
    malformed: int = 0
    foreign: int = 0
    other_format: int = 0
    out_of_range: int = 0
    end: int = 0
    missing: int = 0
    frames: int = 0
    lost_frames: int = 0
    resyncs: int = 0

    def line(self) -> str:
        """All counts that are not zero, in words."""
        shown = {name.replace("_", " "): value for name, value in vars(self).items() if value}
        return ", ".join(f"{value} {name}" for name, value in shown.items()) or "nothing received"


@dataclass
class Frame:
    """A frame as received: blocks ``uint8[N, block_size]`` and ``bool[N]`` of what arrived."""

    number: int
    blocks: np.ndarray
    arrived: np.ndarray


@dataclass
class _Open:
    blocks: np.ndarray
    arrived: np.ndarray
    left: int = field(default=0)


class FrameAssembler:
    """Puts frames back and releases them in order, each once, lost ones included.

    A frame is released when it is complete and all before it are, when a packet more than
    ``reorder`` packets behind its end has come, or by ``flush`` (end of input, time-out).
    Frame numbers are continued beyond 16 bits. ``counts`` says what became of each packet.
    """

    def __init__(self, stream_format: StreamFormat, stream: int = 0, reorder: int = REORDER_PACKETS):
        self.format = stream_format
        self.stream = stream
        self.reorder = reorder
        self.counts = LinkCounts()
        self.total_frames: int | None = None
        self._open: dict[int, _Open] = {}
        self._released: dict[int, np.ndarray] = {}
        self._next: int | None = None  # the next frame to release
        self._newest = 0  # highest frame seen
        self._newest_sequence = 0  # packets up to and including the newest seen
        self._floor = 0  # before the first release: earliest frame that may still turn up
        self._strays: list[int] = []

    @property
    def waiting(self) -> bool:
        """Frames are under way."""
        return bool(self._open)

    @property
    def ended(self) -> bool:
        """The sender's end was announced and every frame up to it is released."""
        return self.total_frames is not None and (self._next is None or self._next >= self.total_frames)

    def push(self, packets: np.ndarray) -> list[Frame]:
        """Take packets ``uint8[n, 8 + block_size]``, return the frames that are due."""
        parsed = parse_packets(packets, self.format, self.stream)
        counts = self.counts
        counts.received += len(packets)
        counts.malformed += parsed.malformed
        counts.foreign += parsed.foreign
        counts.other_format += parsed.other_format
        counts.end += len(parsed.ends)
        frames: list[Frame] = []
        # Runs of one frame number are taken at once; interleaved numbers make more runs.
        starts = np.flatnonzero(np.diff(parsed.frames, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(parsed.frames)], strict=True):
            number = int(parsed.frames[start])
            frames += self._take(number, parsed.indices[start:stop], parsed.blocks[start:stop])
        for total in parsed.ends:
            self._end(total)
        return frames + self._release_due()

    def flush(self) -> list[Frame]:
        """Release everything that is under way, and lost frames up to an announced end."""
        last = max(self._open, default=-1)
        if self.total_frames is not None and self._next is not None:
            last = max(last, min(self.total_frames, self._newest + 1 + MAX_GAP_FRAMES) - 1)
        frames = []
        while self._next is not None and self._next <= last:
            frames.append(self._release())
        return frames

    def _take(self, number: int, indices: np.ndarray, blocks: np.ndarray) -> list[Frame]:
        frames: list[Frame] = []
        absolute = self._place(number)
        if absolute is None:
            self.counts.out_of_range += len(indices)
            self._strays += [number] * len(indices)
            if not self._restarted():
                return frames
            frames = self.flush()
            self.counts.resyncs += 1
            self._join(number)
            absolute = number
        self._strays.clear()
        if self._next is None:
            self._join(absolute)
        if absolute < self._next and not self._lower(absolute):
            seen = self._released.get(absolute)
            again = int(seen[indices].sum()) if seen is not None else 0
            self.counts.duplicate += again
            self.counts.late += len(indices) - again
            return frames
        self._store(absolute, indices, blocks)
        return frames + self._release_due()

    def _join(self, frame: int) -> None:
        """Begin at this frame; until the first release, earlier ones within reach are taken."""
        self._next = frame
        self._newest, self._newest_sequence = frame, frame * self.format.blocks
        reach = -(-self.reorder // self.format.blocks)
        self._floor = max(0, frame - reach)
        self._released.clear()
        self.total_frames = None

    def _lower(self, absolute: int) -> bool:
        """Before anything is released, a reordered start may bring an earlier frame."""
        if self._released or absolute < self._floor:
            return False
        self._next = absolute
        return True

    def _place(self, number: int) -> int | None:
        """The 16-bit number continued from where the stream is (RFC 1982), or None if far."""
        if self._next is None:
            return number
        ahead = (number - self._newest + FRAME_MODULUS // 2) % FRAME_MODULUS - FRAME_MODULUS // 2
        absolute = self._newest + ahead
        if absolute < 0 or not self._next - HISTORY_FRAMES <= absolute <= self._newest + MAX_GAP_FRAMES:
            return None
        return absolute

    def _restarted(self) -> bool:
        recent = self._strays[-RESYNC_PACKETS:]
        return len(recent) == RESYNC_PACKETS and max(recent) - min(recent) <= 1 + self.reorder // self.format.blocks

    def _store(self, absolute: int, indices: np.ndarray, blocks: np.ndarray) -> None:
        count = self.format.blocks
        if absolute not in self._open:
            self._open[absolute] = _Open(
                np.zeros((count, self.format.block_size), np.uint8), np.zeros(count, bool), count
            )
        target = self._open[absolute]
        # First come, first kept: a duplicate never overwrites.
        unique, first = np.unique(indices, return_index=True)
        fresh = ~target.arrived[unique]
        chosen = unique[fresh]
        target.blocks[chosen] = blocks[first[fresh]]
        target.arrived[chosen] = True
        target.left -= len(chosen)
        self.counts.used += len(chosen)
        self.counts.duplicate += len(indices) - len(chosen)
        self._newest = max(self._newest, absolute)
        self._newest_sequence = max(self._newest_sequence, absolute * count + int(indices.max()) + 1)

    def _release_due(self) -> list[Frame]:
        frames = []
        while self._next is not None and self._next <= self._newest:
            target = self._open.get(self._next)
            overdue = self._newest_sequence >= (self._next + 1) * self.format.blocks + self.reorder
            # The first frame of all waits: a reordered start may still bring an earlier one.
            complete = target is not None and target.left == 0 and (self._released or self._next <= self._floor)
            if not (complete or overdue):
                break
            frames.append(self._release())
        return frames

    def _release(self) -> Frame:
        count = self.format.blocks
        number = self._next
        target = self._open.pop(number, None)
        if target is None:
            target = _Open(np.zeros((count, self.format.block_size), np.uint8), np.zeros(count, bool), count)
            self.counts.lost_frames += 1
        self.counts.frames += 1
        self.counts.missing += target.left
        self._released[number] = target.arrived
        self._released.pop(number - HISTORY_FRAMES, None)
        self._next = number + 1
        return Frame(number, target.blocks, target.arrived)

    def _end(self, total: int) -> None:
        if self._next is None:
            self.total_frames = total
            return
        # An end far from where the stream is belongs to a sender before or after a restart.
        if self._next - HISTORY_FRAMES <= total <= self._newest + 1 + MAX_GAP_FRAMES:
            self.total_frames = total
