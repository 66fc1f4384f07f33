# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a stream is in its numbering: which packets are its own, which stray, when its sender restarts.

Frame numbers on the air have 16 bits; here they go on beyond. Whoever receives packets asks one
``SequenceTracker``, so that the pictures and the loss trace tell the same story.

A header can be damaged by accident or forged on purpose, so no packet alone moves anything: where a stream
begins, jumps or ends is what several packets agree on, more than say otherwise, or a few and silence beside them.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np

from ds2c2.stream.packets import ParsedPackets
from ds2c2.stream.strays import HeldStrays, Packets, Stray, steps_between

# Packets that a link reorders within so many are all of the stream.
REORDER_PACKETS = 256
# A frame number further ahead than this is another stream's, or its sender has begun anew.
MAX_GAP_FRAMES = 64
# So many packets from one elsewhere in the numbering move the stream there.
RESYNC_PACKETS = 32
# So many do where nothing says otherwise: before the stream was joined, or in a silence.
SEVERAL_PACKETS = 4
# Where the stream is, is the median of so many packets: a third of them may be forged.
RECENT_PACKETS = 64
# Different ends that are remembered; a sender announces one.
MAX_ENDS = 16
# So far behind the newest frame a packet is known as late; before that it is out of range.
HISTORY_FRAMES = 64


@dataclass(frozen=True)
class Ours:
    """Packets of this frame of the stream."""

    frame: int
    packets: Packets


@dataclass(frozen=True)
class Recall:
    """These strays are of the stream after all, which begins or goes on with them; they are judged again
    behind this."""

    strays: tuple[Stray, ...]


@dataclass(frozen=True)
class Restart(Recall):
    """These strays show that the sender begins anew at this frame; they are judged again behind this."""

    frame: int


@dataclass(frozen=True)
class Dropped:
    """A stray that is one for good."""

    stray: Stray


Judgement = Ours | Stray | Recall | Dropped


class SequenceTracker:
    """Follows one stream by the numbers of its packets.

    The stream begins where the first few packets agree that it does. From there each packet either belongs to it,
    and may move it on, or is a stray; ``RESYNC_PACKETS`` strays that agree, with less than half as many packets of
    the stream among them, move it on to a frame ahead (``Recall``) or are a sender that has restarted (``Restart``).
    Behind silence the first few that agree are enough, and nothing that lies before where the stream stood is its own
    any more: no link holds packets back for so long, but a sender that was killed begins again there. A second path may
    bring copies so late: what equals what was received in its place says nothing, but of the sender's first frame, for
    a sender may begin again with the same pictures. What is kept, and the work a packet, do not grow with what comes.

    Args:
        blocks: code blocks a frame, N
        reorder: packets that a link may reorder
        signed: the packets are of one session that its sender signed: it never goes back, so who plays some of them
            again moves nothing

    Attributes:
        newest: highest frame that the stream has reached, None before it was joined
        newest_sequence: packets of the stream up to where it is
        floor: the earliest frame that may still turn up where the stream was joined
        reach: frames that reordering spans
        ahead: frames beyond the newest that packets may be of without further question
        gap: frames that the stream may move on at once
        history: frames behind the newest of which a packet is still known as late
    """

    def __init__(self, blocks: int, reorder: int = REORDER_PACKETS, signed: bool = False):
        self.blocks = blocks
        self.signed = signed
        self.reorder = reorder
        self.reach = -(-reorder // blocks)
        self.ahead = 1 + 2 * self.reach
        self.gap = max(MAX_GAP_FRAMES, self.ahead)
        self.history = max(HISTORY_FRAMES, self.reach)
        self.newest: int | None = None
        self.newest_sequence = 0
        self.floor = 0
        self._several = min(SEVERAL_PACKETS, blocks)
        self._again = max(self._several, 2)  # a stream that is known is moved by no packet alone
        self._recent: deque[int] = deque(maxlen=RECENT_PACKETS)  # sequence numbers
        self._ours = 0  # packets of the stream so far
        self._clock = 0  # packets so far
        self._ends: dict[int, tuple[int, int]] = {}  # frames announced: how often, and when last
        self._held = HeldStrays(2 * (1 + self.reach))
        self._over = False  # silence has followed the stream's end
        self._stood: int | None = None  # where silence found the stream, until it has gone on
        self._gone_on = 0  # packets of the stream since
        self._settled = 0  # packets that had come when silence was last told
        # Of the packets received last, by their sequence numbers modulo the length, which they were and their marks.
        count = max(reorder, 2 * blocks)
        self._received = np.full(count, -1, np.int64), np.zeros(count, np.uint32)

    @property
    def total(self) -> int | None:
        """Frames that the sender has announced as sent, None where no end agrees with what was seen of the stream:
        it lies far off, or several packets are beyond it. The one that came most often counts."""
        if self.newest is None:
            return None
        agreed = []
        for number, said in self._ends.items():
            # Our numbers may be 65536s away from the sender's: we may have joined after a wrap.
            frame = self._continued(number)
            beyond = sum(sequence >= frame * self.blocks for sequence in self._recent)
            if beyond < max(1, min(self._several, len(self._recent))) and frame <= self.newest + self.gap + 1:
                agreed.append((said, frame))
        return max(agreed)[1] if agreed else None

    @property
    def undecided(self) -> bool:
        """Strays have come that silence would decide upon."""
        last = self._held.last
        return last is not None and self._held.newest > self._settled and (self._waiting or last.frame is None)

    @property
    def _between(self) -> bool:
        """No stream is under way: it was not joined yet, or has ended."""
        return self.newest is None or self._over

    @property
    def _waiting(self) -> bool:
        """The first few that agree decide: no stream is under way, or it was silent and has not gone on."""
        return self._between or self._stood is not None

    @property
    def sure(self) -> int | None:
        """The highest frame that more than one packet says was reached, or one where no others came."""
        if self.newest is None:
            return None
        return (self._highest() - 1) // self.blocks

    def _highest(self) -> int:
        """Packets of the stream up to where a few together say that it is."""
        last = sorted(set(self._recent))[-self._again :]
        return last[0] + 1 if last else self.newest_sequence

    def judge(self, parsed: ParsedPackets, payload: np.ndarray) -> Iterator[Judgement]:
        """Judge packets in the order in which they came, ``payload[n, ...]`` what is kept of each code block.

        Use up the iterator. While it stands at ``Ours`` the tracker has moved on with those packets; at
        ``Restart`` it still stands where the old sender ended.
        """
        marks = np.fromiter(map(crc32, parsed.blocks), np.uint32, len(parsed.blocks))
        # Runs of one frame number are taken at once; interleaved numbers make more runs.
        cuts = (np.flatnonzero(np.diff(parsed.frames)) + 1).tolist()
        ends = deque(zip(parsed.end_places, parsed.ends, strict=True))
        for start, stop in pairwise(sorted({0, *cuts, *parsed.end_places, len(parsed.frames)})):
            while ends and ends[0][0] <= start:
                self._end(ends.popleft()[1])
            number = int(parsed.frames[start])
            some = slice(start, stop)
            yield from self._take(Packets(number, parsed.indices[some], payload[some], marks[some]))
        for _, total in ends:
            self._end(total)

    def settle(self, final: bool = False) -> Iterator[Judgement]:
        """Silence, or (``final``) nothing will come any more: a few strays that agree are enough now. The others are
        dropped, but where the first few decide they wait for more of their kind."""
        group = self._held.largest() if self._between else self._last_word()
        waited = self.newest is not None and self._waiting
        if self.newest is None and group:
            yield from self._follow(group)
        elif len(group) >= self._again and self._mostly(group[-self._again :]):
            yield from self._follow(group)
        if final or not waited:
            for stray in self._held.take(self._held.all()):
                yield Dropped(stray)
        self._over = self.total is not None
        if self.newest is not None:
            self._stood, self._gone_on = self._highest(), 0
        self._settled = self._clock

    def passed(self, frame: int) -> bool:
        """Where packets keep their order: nothing more comes of a frame. The last few packets say so together: all of
        them are of its end, or of later frames, and the last one is none before its last."""
        last, end = list(self._recent)[-self._several :], (frame + 1) * self.blocks
        return len(last) == self._several and last[-1] >= end - 1 and min(last) >= end - 2 * self._several

    def near(self, number: int) -> int | None:
        """The frame of a 16-bit number, continued from where the stream is, None if that is far. For what
        must not move the stream: numbers of damaged packets."""
        frame = self._continued(number)
        return frame if max(self.floor, self.newest - self.history) <= frame <= self.newest + self.gap else None

    def _continued(self, number: int) -> int:
        return self.newest + steps_between(self.newest, number)

    def _take(self, packets: Packets) -> Iterator[Judgement]:
        if self.newest is None and self._held.last is None and len(packets) >= self._several:
            self._join(packets.number)
        if not self._between:
            frame = self._continued(packets.number)
            sequences = frame * self.blocks + packets.indices
            late = self.newest_sequence - (frame + 1) * self.blocks > self.reorder
            if self.floor <= frame <= self.newest + self.ahead and not late:
                back = np.zeros(len(packets), bool) if self._stood is None else sequences < self._stood
                if back.any() and not back.all():
                    for piece in np.split(np.arange(len(packets)), np.flatnonzero(np.diff(back)) + 1):
                        yield from self._take(packets.some(piece))
                    return
                where, marks = self._received
                at = sequences % len(where)
                if back.any():
                    copies = (where[at] == sequences) & (marks[at] == packets.marks) & (packets.number > 0)
                    copies |= self.signed
                    yield from self._stray(packets, copies)
                    return
                where[at], marks[at] = sequences, packets.marks
                self._ours += len(packets)
                self._clock += len(packets)
                self._go_on(len(packets))
                self._advance(sequences)
                yield Ours(frame, packets)
                return
        again = self.signed and self.newest is not None and self._continued(packets.number) <= self.newest
        yield from self._stray(packets, np.full(len(packets), again))

    def _go_on(self, count: int) -> None:
        self._gone_on += count
        if self._gone_on >= self._again:
            self._stood = None

    def _advance(self, sequences: np.ndarray) -> None:
        self._recent.extend(sequences[-RECENT_PACKETS:].tolist())
        highest = int(sequences.max()) + 1
        if highest <= self.newest_sequence:
            return
        # What lies further from the many than a link reorders is claimed by a few alone. In order the median is half of
        # the recent ones back.
        here = sorted(self._recent)[len(self._recent) // 2]
        limit = here + 1 + max(self.reorder, RECENT_PACKETS // 2)
        self.newest_sequence = max(self.newest_sequence, min(highest, limit))
        self.newest = max(self.newest, (self.newest_sequence - 1) // self.blocks)

    def _stray(self, packets: Packets, copies: np.ndarray) -> Iterator[Judgement]:
        for place in range(len(packets)):
            # A copy: what waits must not keep all that came with it.
            one = packets.some(np.array([place]))
            late = None if self._between else self.near(packets.number)
            stray = Stray(late if late is None or late <= self.newest else None, one)
            self._clock += 1
            yield stray
            if copies[place]:
                yield Dropped(stray)
                continue
            dropped = self._held.add(stray, self._clock, self._ours)
            if dropped is not None:
                yield Dropped(dropped)
            group = self._agreed(one)
            if group:
                yield from self._follow(group)
                if place + 1 < len(packets):
                    yield from self._take(packets.some(slice(place + 1, None)))
                return

    def _agreed(self, one: Packets) -> list[int]:
        """Places of enough strays that agree with this packet's, in the order of arrival."""
        held = self._held
        places = held.agreeing(one.number)
        many = places[-RESYNC_PACKETS:]
        if len(many) == RESYNC_PACKETS and self._ours - held.ours[many[0]] < RESYNC_PACKETS // 2:
            return many
        if not self._waiting:
            return []
        few: list[int] = []
        enough = self._several if self.newest is None else self._again
        for place in reversed(places):
            # What came before the last silence from further on is of a sender before.
            if held.clock[place] > self._settled or held.is_before(place, one):
                few.insert(0, place)
                if len(few) == enough:
                    return few if self._mostly(few) else []
        return []

    def _mostly(self, places: list[int]) -> bool:
        """Whether these strays are the majority of what came since the first of them."""
        return self._clock - self._held.clock[places[0]] < 2 * len(places)

    def _last_word(self) -> list[int]:
        """Places of the last strays that agree, and are not contradicted by what came between."""
        held, last = self._held, self._held.last
        if last is None or (last.frame is not None and self._stood is None):
            return []
        places = held.agreeing(last.packets.number)
        while len(places) >= self._again and 2 * (self._ours - held.ours[places[0]]) >= len(places):
            places = places[1:]
        return places if len(places) >= self._again else []

    def _follow(self, places: list[int]) -> Iterator[Judgement]:
        began = int(self._held.clock[places[0]])
        strays = tuple(self._held.take(places))
        number = strays[0].packets.number
        if self.newest is None:
            yield Recall(strays)
            self._join(number)
        elif not self._over and self.newest < (frame := self._continued(number)) <= self.newest + self.gap:
            yield Recall(strays)
            self._stand_at(frame)
        else:
            # What was late is late of the old sender.
            for stray in self._held.take([place for place in self._held.all() if self._held.is_late(place)]):
                yield Dropped(stray)
            yield Restart(strays, number)
            self._ends = {total: said for total, said in self._ends.items() if said[1] >= began}
            self._join(number)
        for stray in strays:
            yield from self._take(stray.packets)

    def _join(self, number: int) -> None:
        self._over = False
        self._received[0].fill(-1)  # what an older sender sent says nothing of this one's
        self._stand_at(number)
        self.floor = max(0, number - self.reach)

    def _stand_at(self, frame: int) -> None:
        self.newest, self.newest_sequence = frame, frame * self.blocks
        self._recent.clear()
        self._stood = None

    def _end(self, total: int) -> None:
        copies, _ = self._ends.pop(total, (0, 0))
        if len(self._ends) >= MAX_ENDS:
            del self._ends[min(self._ends, key=self._ends.get)]
        self._ends[total] = copies + 1, self._clock
