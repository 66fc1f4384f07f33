# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's side of the packets: frames put back from whatever arrives."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from ds2c2.stream.packets import FRAME_MODULUS, parse_packets
from ds2c2.stream.streamformat import StreamFormat

# A frame is given up when a packet this far behind its end has come: packets that a link
# reorders within so many are all used.
REORDER_PACKETS = 256
# A frame number further ahead than this is another stream's, or damaged, until many agree.
MAX_GAP_FRAMES = 64
# So many packets in a row from one elsewhere in the numbering mean that the sender restarted.
RESYNC_PACKETS = 32
# Released frames whose packets are still told apart as duplicate or late.
HISTORY_FRAMES = 64


@dataclass
class LinkCounts:
    """What became of every packet: ``received`` is the sum of ``used`` to ``end``. The rest
    counts blocks that never came (``missing``), frames released, those of them without any
    packet (``lost_frames``), and restarts of the sender that were followed (``resyncs``)."""

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


@dataclass
class _Stray:
    """One packet far from where the stream is, and the count that it went into."""

    number: int
    indices: np.ndarray
    blocks: np.ndarray
    counted_as: str


def _steps(origin: int, number: int) -> int:
    """Steps from one frame number to another, modulo 65536, the shorter way (RFC 1982)."""
    return (number - origin + FRAME_MODULUS // 2) % FRAME_MODULUS - FRAME_MODULUS // 2


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
        # How far from where the stream is a frame may still be one of its frames.
        reach = -(-reorder // stream_format.blocks)
        self._history = max(HISTORY_FRAMES, reach)
        self._gap = max(MAX_GAP_FRAMES, reach)
        self._reach = reach
        # The last packets, all of them far from where the stream is.
        self._strays: deque[_Stray] = deque(maxlen=RESYNC_PACKETS)

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
        for run in np.split(np.arange(len(parsed.frames)), np.flatnonzero(np.diff(parsed.frames)) + 1):
            if len(run):
                frames += self._take(int(parsed.frames[run[0]]), parsed.indices[run], parsed.blocks[run])
        for total in parsed.ends:
            self._end(total)
        return frames + self._release_due()

    def flush(self) -> list[Frame]:
        """Release everything that is under way, and lost frames up to an announced end."""
        last = max(self._open, default=-1)
        if self.total_frames is not None and self._next is not None:
            last = max(last, min(self.total_frames, self._newest + 1 + self._gap) - 1)
        frames = []
        while self._next is not None and self._next <= last:
            frames.append(self._release())
        return frames

    def _take(self, number: int, indices: np.ndarray, blocks: np.ndarray) -> list[Frame]:
        absolute = self._place(number)
        if absolute is None:
            return self._stray(number, indices, blocks, ["out_of_range"] * len(indices))
        if self._next is None:
            self._join(absolute)
        if absolute < self._next and not self._lower(absolute):
            seen = self._released.get(absolute)
            again = seen[indices] if seen is not None else np.zeros(len(indices), bool)
            kinds = ["duplicate" if twice else "late" for twice in again]
            if self._newest_sequence - (absolute + 1) * self.format.blocks > self.reorder:
                return self._stray(number, indices, blocks, kinds)
            for kind in kinds:
                self._count(kind, 1)
            return []
        self._strays.clear()
        self._store(absolute, indices, blocks)
        return self._release_due()

    def _stray(self, number: int, indices: np.ndarray, blocks: np.ndarray, kinds: list[str]) -> list[Frame]:
        """Packets further off than a link reorders; enough of them in a row show that the
        sender has restarted there, and are then used."""
        for place, kind in enumerate(kinds):
            self._count(kind, 1)
            self._strays.append(_Stray(number, indices[place : place + 1], blocks[place : place + 1].copy(), kind))
            if self._restarted():
                frames = self._restart()
                rest = slice(place + 1, None)
                return frames + self._take(number, indices[rest], blocks[rest]) if place + 1 < len(kinds) else frames
        return []

    def _restart(self) -> list[Frame]:
        frames = self.flush()
        self.counts.resyncs += 1
        kept = list(self._strays)
        self._strays.clear()
        self.total_frames = None
        self._join(kept[0].number)
        for stray in kept:
            self._count(stray.counted_as, -1)
            frames += self._take(stray.number, stray.indices, stray.blocks)
        return frames

    def _count(self, kind: str, change: int) -> None:
        setattr(self.counts, kind, getattr(self.counts, kind) + change)

    def _join(self, frame: int) -> None:
        """Begin at this frame; until the first release, earlier ones within reach are taken."""
        self._next = frame
        self._newest, self._newest_sequence = frame, frame * self.format.blocks
        self._floor = max(0, frame - self._reach)
        self._released.clear()
        announced, self.total_frames = self.total_frames, None
        if announced is not None:
            self._end(announced)

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
        absolute = self._newest + _steps(self._newest, number)
        if absolute < 0 or not self._next - self._history <= absolute <= self._newest + self._gap:
            return None
        return absolute

    def _restarted(self) -> bool:
        if len(self._strays) < RESYNC_PACKETS:
            return False
        places = [_steps(self._strays[0].number, stray.number) for stray in self._strays]
        return max(places) - min(places) <= 1 + self._reach

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
        self._released.pop(number - self._history, None)
        self._next = number + 1
        return Frame(number, target.blocks, target.arrived)

    def _end(self, total: int) -> None:
        if self._next is None:
            self.total_frames = total
            return
        # Our numbers may be 65536s away from the sender's: we may have joined after a wrap.
        absolute = self._newest + _steps(self._newest, total)
        # An end far from where the stream is belongs to a sender before or after a restart.
        if self._next - self._history <= absolute <= self._newest + 1 + self._gap:
            self.total_frames = absolute
