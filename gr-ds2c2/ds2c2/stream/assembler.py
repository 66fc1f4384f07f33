# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's side of the packets: frames put back from whatever arrives."""

from dataclasses import dataclass, fields

import numpy as np

from ds2c2.stream.numbering import REORDER_PACKETS, Judgement, Ours, Recall, Restart, SequenceTracker
from ds2c2.stream.packets import FRAME_MODULUS, PacketParser, ParsedPackets
from ds2c2.stream.sessions import Sessions
from ds2c2.stream.stamps import Stamp
from ds2c2.stream.strays import Stray
from ds2c2.stream.streamformat import StreamFormat

KEPT_STAMPS = 256  # of the frames that were stamped last


@dataclass
class LinkCounts:
    """What became of every packet: ``received`` is the sum of ``used`` to ``end``. ``damaged`` are not as
    they were sent, ``forged`` not signed by the key, ``replayed`` of a sender that ended long ago. The rest
    counts blocks that never came (``missing``), frames released, those of them without any
    packet (``lost_frames``), and restarts of the sender that were followed (``resyncs``)."""

    received: int = 0
    used: int = 0
    duplicate: int = 0
    late: int = 0
    malformed: int = 0
    damaged: int = 0
    forged: int = 0
    replayed: int = 0
    foreign: int = 0
    other_format: int = 0
    out_of_range: int = 0
    stamps: int = 0
    end: int = 0
    missing: int = 0
    frames: int = 0
    lost_frames: int = 0
    resyncs: int = 0

    def line(self) -> str:
        """All counts that are not zero, in words."""
        shown = {name.replace("_", " "): value for name, value in vars(self).items() if value}
        return ", ".join(f"{value} {name}" for name, value in shown.items()) or "nothing received"


# What becomes of a packet that was received: each has one of these.
FATES = tuple(field.name for field in fields(LinkCounts))
FATES = FATES[FATES.index("used") : FATES.index("end") + 1]


@dataclass
class Frame:
    """A frame as received: blocks ``uint8[N, block_size]`` and ``bool[N]`` of what arrived. Frames of
    which nothing arrived share theirs, which cannot be written to."""

    number: int
    blocks: np.ndarray
    arrived: np.ndarray


class FrameAssembler:
    """Puts frames back and releases them in order, each once, lost ones included.

    A frame is released when it is complete and all before it are, when the stream is more than
    ``reorder`` packets behind its end, or by ``flush`` (end of input, silence). Of a link that keeps the packets
    ``ordered`` nothing more comes of a frame once a few packets have come from its end or from behind it.
    Frame numbers are continued beyond 16 bits. ``counts`` says what became of each packet. Of a signed stream
    (``key``) only the newest sender that the key has signed is heard. What is kept and the work a packet have
    bounds: a packet alone releases nothing but what it completes (``ds2c2.stream.numbering``).

    Attributes:
        other_digest: of the stream format that packets showed before any of ours came, None where none did

    Raises ``FormatError`` when the format names another key.
    """

    def __init__(
        self,
        stream_format: StreamFormat,
        stream_number: int = 0,
        reorder: int = REORDER_PACKETS,
        key: bytes = b"",
        ordered: bool = False,
    ):
        self.format = stream_format
        self.parser = PacketParser(stream_format, stream_number, key)
        self._sessions = Sessions()
        self.stream_number = stream_number
        self.reorder, self.ordered = reorder, ordered
        self.counts = LinkCounts()
        self.other_digest: int | None = None
        self._tracker = SequenceTracker(stream_format.blocks, reorder)
        self._open: dict[int, Frame] = {}
        self._released: dict[int, np.ndarray] = {}  # what arrived of the frames released last
        self._next: int | None = None  # the next frame to release
        self._stamps: dict[int, Stamp] = {}
        # A run of missing frames costs no more than their numbers.
        self._nothing = np.broadcast_to(np.uint8(0), (stream_format.blocks, stream_format.block_size))
        self._none = np.broadcast_to(np.False_, stream_format.blocks)

    @property
    def total_frames(self) -> int | None:
        """Frames that the sender's end announced, None before it, and where it does not agree with what came."""
        return self._tracker.total

    @property
    def waiting(self) -> bool:
        """Frames are under way, or packets of which silence decides whether they begin something."""
        return bool(self._open) or self._tracker.undecided

    @property
    def ended(self) -> bool:
        """The sender's end was announced and every frame up to it is released. Of a stream that is not signed anybody
        can say that: it is so when silence follows."""
        return self.total_frames is not None and self._next is not None and self._next >= self.total_frames

    @property
    def signed(self) -> bool:
        """Nobody but the sender can have announced an end."""
        return bool(self.format.key)

    def push(self, packets: np.ndarray) -> list[Frame]:
        """Take packets ``uint8[n, header_bytes + block_size]``, return the frames that are due."""
        parsed = self.parser.parse(packets)
        counts = self.counts
        counts.received += len(packets)
        for name in ("malformed", "damaged", "forged", "foreign", "other_format"):
            setattr(counts, name, getattr(counts, name) + getattr(parsed, name))
        if parsed.other_format and not counts.used:
            digests, seen = np.unique(self.parser.other_digests(packets), return_counts=True)
            self.other_digest = int(digests[seen.argmax()])
        frames: list[Frame] = []
        for begins, piece in self._sessions.sort(parsed):
            if begins:
                frames += self._begin_anew()
            counts.end += len(piece.ends)
            for judged in self._tracker.judge(piece, self._kept(piece, packets)):
                frames += self._take(judged)
        counts.replayed = self._sessions.replayed
        for number, session, stamp in parsed.stamps:
            counts.stamps += 1
            if not self.signed or session == self._sessions.newest:
                self._stamps[number] = stamp
        while len(self._stamps) > KEPT_STAMPS:
            del self._stamps[next(iter(self._stamps))]
        return frames

    def _kept(self, piece: ParsedPackets, packets: np.ndarray) -> np.ndarray:
        """What frames hold of each code block's packet among ``packets``."""
        return piece.blocks

    def stamp(self, frame: int) -> Stamp | None:
        """What the sender said of a frame in a packet of its own, None where it said nothing or that was lost. Unless
        the stream is signed, anybody can have said it."""
        return self._stamps.get(frame % FRAME_MODULUS)

    def _begin_anew(self) -> list[Frame]:
        """A newer sender is heard from now on, wherever its numbers are."""
        frames = self.flush()
        self.counts.resyncs += 1
        self._tracker = SequenceTracker(self.format.blocks, self.reorder)
        self._open.clear()
        self._next = None
        return frames

    def flush(self) -> list[Frame]:
        """Silence, or the end of what comes: release everything that is under way, and lost frames up to an
        announced end; a few packets that agree are followed now."""
        frames = [frame for judged in self._tracker.settle() for frame in self._take(judged)]
        return frames + self._release_all()

    def _release_all(self) -> list[Frame]:
        total, last = self.total_frames, max(self._open, default=-1)
        if total is not None:
            last = total - 1
            for number in [number for number in self._open if number > last]:
                # A few packets of frames that the sender does not have.
                strange = int(self._open.pop(number).arrived.sum())
                self._count("used", -strange)
                self._count("out_of_range", strange)
        frames = []
        while self._next is not None and self._next <= last:
            frames.append(self._release())
        return frames

    def _take(self, judged: Judgement) -> list[Frame]:
        match judged:
            case Stray(frame, packets):
                judged.note = "out_of_range" if frame is None else self._unused(frame, packets.indices)[0]
                self._count(judged.note, 1)
            case Restart(strays, frame):
                frames = self._release_all()
                self.counts.resyncs += 1
                self._recall(strays)
                self._begin(frame)
                return frames
            case Recall(strays):
                self._recall(strays)
            case Ours(frame, packets):
                if self._next is None:
                    self._begin(frame)
                if not self._released:
                    # A reordered start may bring an earlier frame.
                    self._next = min(self._next, frame)
                if frame < self._next:
                    for kind in self._unused(frame, packets.indices):
                        self._count(kind, 1)
                    return []
                self._store(frame, packets.indices, packets.payload)
                return self._release_due()
        return []

    def _recall(self, strays: tuple[Stray, ...]) -> None:
        for stray in strays:
            self._count(stray.note, -1)

    def _unused(self, frame: int, indices: np.ndarray) -> list[str]:
        """What packets of a frame that was released are counted as."""
        seen = self._released.get(frame, self._none)
        return ["duplicate" if twice else "late" for twice in seen[indices]]

    def _count(self, kind: str, change: int) -> None:
        setattr(self.counts, kind, getattr(self.counts, kind) + change)

    def _begin(self, frame: int) -> None:
        self._next = frame
        self._released.clear()

    def _store(self, frame: int, indices: np.ndarray, blocks: np.ndarray) -> None:
        if frame not in self._open:
            self._open[frame] = Frame(frame, np.zeros(self._nothing.shape, np.uint8), np.zeros(self._none.shape, bool))
        target = self._open[frame]
        # First come, first kept: a duplicate never overwrites.
        unique, first = np.unique(indices, return_index=True)
        fresh = ~target.arrived[unique]
        chosen = unique[fresh]
        target.blocks[chosen] = blocks[first[fresh]]
        target.arrived[chosen] = True
        self.counts.used += len(chosen)
        self.counts.duplicate += len(indices) - len(chosen)

    def _release_due(self) -> list[Frame]:
        frames = []
        while self._next <= self._tracker.newest:
            target = self._open.get(self._next)
            overdue = self._tracker.newest_sequence >= (self._next + 1) * self.format.blocks + self.reorder
            overdue |= self.ordered and self._tracker.passed(self._next)
            # The first frame of all waits: a reordered start may still bring an earlier one.
            begun = self._released or self._next <= self._tracker.floor
            if not (overdue or (begun and target is not None and target.arrived.all())):
                break
            frames.append(self._release())
        return frames

    def _release(self) -> Frame:
        number = self._next
        frame = self._open.pop(number, None)
        if frame is None:
            frame = Frame(number, self._nothing, self._none)
            self.counts.lost_frames += 1
        self.counts.frames += 1
        self.counts.missing += int(np.count_nonzero(~frame.arrived))
        self._released[number] = frame.arrived
        self._released.pop(number - self._tracker.history, None)
        self._next = number + 1
        return frame
