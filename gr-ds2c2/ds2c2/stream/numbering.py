# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a stream is in its numbering: which packets are its own, which stray, when its sender restarts.

Frame numbers on the air have 16 bits; here they go on beyond. Whoever receives packets asks one
``SequenceTracker``, so that the pictures and the loss trace tell the same story.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ds2c2.stream.packets import FRAME_MODULUS, ParsedPackets

# Packets that a link reorders within so many are all of the stream.
REORDER_PACKETS = 256
# A frame number further ahead than this is another stream's, or damaged, until many agree.
MAX_GAP_FRAMES = 64
# So many packets in a row from one elsewhere in the numbering mean that the sender restarted.
RESYNC_PACKETS = 32
# So far behind the newest frame a packet is known as late; before that it is out of range.
HISTORY_FRAMES = 64


@dataclass(frozen=True)
class Packets:
    """Packets of one frame: its 16-bit number, their indices ``int[n]`` in it, and what the receiver
    keeps of each, ``[n, ...]``."""

    number: int
    indices: np.ndarray
    payload: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Ours:
    """Packets of this frame of the stream."""

    frame: int
    packets: Packets


@dataclass(frozen=True)
class Stray:
    """One packet further off than a link reorders: late by more than that (``frame`` says of which
    frame) or out of range (None)."""

    frame: int | None
    packets: Packets


@dataclass(frozen=True)
class Restart:
    """The last ``strays`` packets, judged as stray, show that the sender begins anew at this frame; they are
    judged again behind this."""

    frame: int
    strays: int


Judgement = Ours | Stray | Restart


def steps_between(origin: int, number: int) -> int:
    """Steps from one frame number to another, modulo 65536, the shorter way (RFC 1982)."""
    return (number - origin + FRAME_MODULUS // 2) % FRAME_MODULUS - FRAME_MODULUS // 2


class SequenceTracker:
    """Follows one stream by the numbers of its packets.

    The first packet is the stream's beginning. From there each packet either belongs to it, and may
    move it on, or is a stray; ``RESYNC_PACKETS`` strays in a row that agree are a sender that has restarted.
    What is kept, and the work a packet, do not grow with what comes.

    Args:
        blocks: code blocks a frame, N
        reorder: packets that a link may reorder

    Attributes:
        newest: highest frame seen, None before the first packet
        newest_sequence: packets of the stream up to and including the newest seen
        floor: the earliest frame that may still turn up where the stream was joined
        total: frames that the sender has announced as sent, None where it has not
        reach: frames that reordering spans
        gap: frames that the stream may move on at once
        history: frames behind the newest of which a packet is still known as late
    """

    def __init__(self, blocks: int, reorder: int = REORDER_PACKETS):
        self.blocks = blocks
        self.reorder = reorder
        self.reach = -(-reorder // blocks)
        self.gap = max(MAX_GAP_FRAMES, self.reach)
        self.history = max(HISTORY_FRAMES, self.reach)
        self.newest: int | None = None
        self.newest_sequence = 0
        self.floor = 0
        self.total: int | None = None
        self._strays: deque[Packets] = deque(maxlen=RESYNC_PACKETS)

    def judge(self, parsed: ParsedPackets, payload: np.ndarray) -> Iterator[Judgement]:
        """Judge packets in the order in which they came, ``payload[n, ...]`` what is kept of each code block.

        Use up the iterator. While it stands at ``Ours`` the tracker has moved on with those packets; at
        ``Restart`` it still stands where the old sender ended.
        """
        # Runs of one frame number are taken at once; interleaved numbers make more runs.
        cuts = (np.flatnonzero(np.diff(parsed.frames)) + 1).tolist()
        ends = deque(zip(parsed.end_places, parsed.ends, strict=True))
        for start, stop in pairwise(sorted({0, *cuts, *parsed.end_places, len(parsed.frames)})):
            while ends and ends[0][0] <= start:
                self._end(ends.popleft()[1])
            number = int(parsed.frames[start])
            yield from self._take(Packets(number, parsed.indices[start:stop], payload[start:stop]))
        for _, total in ends:
            self._end(total)

    def near(self, number: int) -> int | None:
        """The frame of a 16-bit number, continued from where the stream is, None if that is far. For what
        must not move the stream: numbers of damaged packets."""
        frame = self._continued(number)
        return frame if max(self.floor, self.newest - self.history) <= frame <= self.newest + self.gap else None

    def _continued(self, number: int) -> int:
        return self.newest + steps_between(self.newest, number)

    def _take(self, packets: Packets) -> Iterator[Judgement]:
        if self.newest is None:
            self._join(packets.number)
        frame = self._continued(packets.number)
        late = self.newest_sequence - (frame + 1) * self.blocks > self.reorder
        if frame < self.floor or late or frame > self.newest + self.gap:
            yield from self._stray(packets)
            return
        self._strays.clear()
        self.newest = max(self.newest, frame)
        self.newest_sequence = max(self.newest_sequence, frame * self.blocks + int(packets.indices.max()) + 1)
        yield Ours(frame, packets)

    def _stray(self, packets: Packets) -> Iterator[Judgement]:
        frame = self.near(packets.number)
        for place in range(len(packets)):
            this, rest = slice(place, place + 1), slice(place + 1, None)
            # A copy: what waits must not keep all that came with it.
            one = Packets(packets.number, packets.indices[this].copy(), packets.payload[this].copy())
            self._strays.append(one)
            yield Stray(frame, one)
            if self._restarted():
                yield from self._restart()
                if place + 1 < len(packets):
                    yield from self._take(Packets(packets.number, packets.indices[rest], packets.payload[rest]))
                return

    def _restarted(self) -> bool:
        if len(self._strays) < RESYNC_PACKETS:
            return False
        places = [steps_between(self._strays[0].number, stray.number) for stray in self._strays]
        return max(places) - min(places) <= 1 + self.reach

    def _restart(self) -> Iterator[Judgement]:
        strays = list(self._strays)
        self._strays.clear()
        yield Restart(strays[0].number, len(strays))
        self.total = None
        self._join(strays[0].number)
        for stray in strays:
            yield from self._take(stray)

    def _join(self, number: int) -> None:
        self.newest, self.newest_sequence = number, number * self.blocks
        self.floor = max(0, number - self.reach)
        announced, self.total = self.total, None
        if announced is not None:
            self._end(announced)

    def _end(self, total: int) -> None:
        if self.newest is None:
            self.total = total
            return
        # Our numbers may be 65536s away from the sender's: we may have joined after a wrap.
        frame = self._continued(total)
        # An end far from where the stream is belongs to a sender before or after a restart.
        if -self.history <= frame - self.newest <= self.gap + 1:
            self.total = frame
