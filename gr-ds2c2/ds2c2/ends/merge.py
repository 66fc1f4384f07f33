# SPDX-License-Identifier: GPL-3.0-or-later
"""What several stations heard of one stream, put together: a code block that any of them received is there.

Stations lose packets for reasons of their own, an aerial behind a hill or a fade, so together they lose little. Each
recording is sorted by itself first: a station's packets come in its order, and a sender that restarted does so in all
of them. Packets stay whole, so what comes out is a recording like any other, a signed one still signed.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ds2c2.errors import FormatError, LinkError
from ds2c2.stream.assembler import Frame, FrameAssembler, LinkCounts
from ds2c2.stream.formatwords import differences
from ds2c2.stream.packets import END_COPIES, TYPE_END, ParsedPackets
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import RecordingSource


class _WholePackets(FrameAssembler):
    """Frames of whole packets, ``uint8[N, packet_bytes]``; ``released``, each after how many restarts of the sender."""

    def __init__(self, stream: StreamFormat, stream_number: int, key: bytes):
        FrameAssembler.__init__(self, stream, stream_number, key=key)
        self.released: list[tuple[int, Frame]] = []
        self._nothing = np.broadcast_to(np.uint8(0), (stream.blocks, stream.packet_bytes))

    def _kept(self, piece: ParsedPackets, packets: np.ndarray) -> np.ndarray:
        return packets[piece.places]

    def _release(self) -> Frame:
        frame = super()._release()
        self.released.append((self.counts.resyncs, frame))
        return frame


@dataclass
class Run:
    """A sender from where it was joined to its end or its restart: its frames by their numbers, how many stations
    have each packet of them ``int[N]``, and the packets that announced its end."""

    frames: dict[int, Frame] = field(default_factory=dict)
    had: dict[int, np.ndarray] = field(default_factory=dict)
    ends: np.ndarray | None = None

    @property
    def blocks(self) -> int:
        """Code blocks that arrived."""
        return sum(int(frame.arrived.sum()) for frame in self.frames.values())

    def likeness(self, other: "Run") -> tuple[int, int]:
        """Of the packets that both have: how many are the same, how many are not."""
        same = different = 0
        for number in self.frames.keys() & other.frames.keys():
            mine, theirs = self.frames[number], other.frames[number]
            both = mine.arrived & theirs.arrived
            equal = (mine.blocks[both] == theirs.blocks[both]).all(axis=1)
            same += int(equal.sum())
            different += len(equal) - int(equal.sum())
        return same, different


@dataclass
class Station:
    """A recording, and what it brought: ``blocks`` received, of them ``alone`` by no other station, and ``differing``
    ones, of which a station before it has another version, which is kept."""

    name: str
    counts: LinkCounts
    runs: list[Run]
    alone: int = 0
    differing: int = 0

    @property
    def blocks(self) -> int:
        return sum(run.blocks for run in self.runs)


@dataclass
class Merged:
    """All stations together: they, in the order given, and the runs of the sender in the order of sending."""

    stream: StreamFormat
    stations: list[Station] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def blocks(self) -> int:
        """Code blocks that any station received."""
        return sum(run.blocks for run in self.runs)

    @property
    def expected(self) -> int:
        """Code blocks from the first frame of a run that anybody heard to its last."""
        return sum((max(run.frames) - min(run.frames) + 1) * self.stream.blocks for run in self.runs)

    def packets(self, run: Run) -> Iterator[np.ndarray]:
        """Packets ``uint8[n, packet_bytes]`` of a run in the order of sending, a frame at a time, and its end."""
        for number in sorted(run.frames):
            frame = run.frames[number]
            yield frame.blocks[frame.arrived]
        if run.ends is not None:
            yield run.ends[:END_COPIES]


def merge(paths: list[str], stream: StreamFormat | None = None, stream_number: int = 0, key: bytes = b"") -> Merged:
    """Read recordings and put them together. ``stream``: the format of files of packets alone. Raises ``LinkError``
    for a file that cannot be read, and ``FormatError`` where they are not of one stream format or have another key.

    All packets are held in memory at once.
    """
    merged: Merged | None = None
    real = [os.path.realpath(path) for path in paths]
    for place, path in enumerate(paths):
        if real[place] in real[:place]:
            raise LinkError(f"{path}: given twice; merge recordings of several stations")
        with RecordingSource(path, stream) as source:
            if merged is None:
                merged = Merged(source.stream)
            elif not source.stream.agrees(merged.stream):
                words = differences(source.stream.text, merged.stream.text)
                raise FormatError(
                    f"{path}: of another stream format than {paths[0]}, {words}; merge recordings of one stream"
                )
            merged.stations.append(_read(path, source, stream_number, key))
    joined = []
    for station in merged.stations:
        before = None
        for place, run in enumerate(station.runs):
            before = _join(merged, station, place, run, before)
            joined.append((station, run, before))
    for station, run, whole in joined:
        station.alone += sum(int((frame.arrived & (whole.had[n] == 1)).sum()) for n, frame in run.frames.items())
    return merged


def _read(path: str, source: RecordingSource, stream_number: int, key: bytes) -> Station:
    """A recording's packets in frames, a run for each time that its sender began."""
    assembler = _WholePackets(source.stream, stream_number, key)
    ends: dict[int, np.ndarray] = {}
    while (arrivals := source.read(0.0)) is not None:
        if arrivals.pause:
            assembler.flush(pause=True)
            continue
        last = arrivals.packets[:, 0] & 0x0F == TYPE_END
        # A piece goes to an end of the stream, so that what it announces is of the run that is under way.
        for piece in np.split(arrivals.packets, np.flatnonzero(last[:-1] & ~last[1:]) + 1):
            assembler.push(piece)
            if piece[-1, 0] & 0x0F == TYPE_END and assembler.total_frames is not None:
                ends[assembler.counts.resyncs] = _announcing(piece, assembler.total_frames)
    assembler.flush()
    runs: list[Run] = []
    began, number = -1, -1
    for restarts, frame in assembler.released:
        if restarts != began:
            # A station that heard nothing for long goes on with the same run.
            if not runs or frame.number <= number or runs[-1].ends is not None:
                runs.append(Run())
            runs[-1].ends = ends.get(restarts)
        began, number = restarts, frame.number
        if frame.arrived.any():
            runs[-1].frames[number] = frame
    return Station(path, assembler.counts, [run for run in runs if run.frames])


def _announcing(packets: np.ndarray, total: int) -> np.ndarray:
    """Those that say that so many frames were sent."""
    number = np.array([total % (1 << 32)], ">u4").view(np.uint8)
    return packets[(packets[:, 0] & 0x0F == TYPE_END) & (packets[:, 2:6] == number).all(axis=1)]


def _join(merged: Merged, station: Station, place: int, run: Run, before: Run | None) -> Run:
    """Put a station's run into the one of the sender that it is a part of, or begin another, behind the one that the
    station heard ``before``."""
    alike = [whole.likeness(run) for whole in merged.runs]
    # A sender may send the same pictures again: of one station's runs none is a part of one before.
    first = 0 if before is None else next(n for n, one in enumerate(merged.runs, 1) if one is before)
    best = max(range(first, len(alike)), key=lambda one: alike[one], default=None)
    if best is None or alike[best][0] <= alike[best][1]:
        # Nothing in common says which: then as many runs were before it here as there.
        best = place if first <= place < len(alike) and alike[place] == (0, 0) else None
    if best is None:
        best = len(merged.runs) if before is None else first
        merged.runs.insert(best, Run())
    whole = merged.runs[best]
    station.differing += whole.likeness(run)[1]
    for number, frame in run.frames.items():
        held = whole.frames.get(number)
        if held is None:
            held = whole.frames[number] = Frame(number, frame.blocks.copy(), np.zeros_like(frame.arrived))
            whole.had[number] = np.zeros(len(frame.arrived), int)
        fresh = frame.arrived & ~held.arrived
        held.blocks[fresh] = frame.blocks[fresh]
        held.arrived |= frame.arrived
        whole.had[number] += frame.arrived
    whole.ends = run.ends if whole.ends is None else whole.ends
    return whole
