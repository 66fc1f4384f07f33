# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way without GNU Radio: pictures to packets, packets to pictures.

The same parts in the same order as the flowgraph's blocks, so both ends can be mixed.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from ds2c2.ends.session import FrameResult, ReceivingEnd, SendingEnd
from ds2c2.ends.trial import soft_frames
from ds2c2.stream.assembler import Frame, FrameAssembler
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.packets import Packetizer

Received = tuple[int, np.ndarray | None]  # a frame's number and its soft bits; None: nothing came


def pictures_to_packets(
    sending: SendingEnd, stream_number: int = 0, key: bytes = b"", stamped: bool = False, call: str = ""
) -> Iterator[np.ndarray]:
    """Packets ``uint8[n, header_bytes + block_size]``, a group of ``depth`` frames at a time, the
    end-of-stream packets last; ``key`` is a signed stream's. ``stamped``: before each group is said when its pictures
    were there, and the station's ``call`` sign. Raises ``FormatError`` for another key."""
    stream = sending.codec.stream
    interleaver, packetizer = Interleaver(stream), Packetizer(stream, stream_number, key)
    group: list[np.ndarray] = []
    times: list[float] = []

    def packed() -> np.ndarray:
        said = [packetizer.stamp(times, call)] if stamped else []
        packets = [*said, packetizer.pack(np.concatenate(interleaver.interleave(np.stack(group))))]
        group.clear()
        times.clear()
        return np.concatenate(packets)

    while (encoded := sending.next_frame()) is not None:
        group.append(encoded.blocks)
        times.append(sending.captured)
        if len(group) == stream.depth:
            yield packed()
    if group:
        yield packed()
    yield packetizer.end()


class PacketsToPictures:
    """Assembles frames from packets, deinterleaves groups and hands frames to the decoder.

    ``full`` once ``most_frames`` frames were handed on, lost ones among them, or ``most_pictures`` pictures were
    written (0: no limit): nothing more is. ``ordered``: the link keeps packets in order (``FrameAssembler``).
    """

    def __init__(
        self,
        receiving: ReceivingEnd,
        stream_number: int = 0,
        key: bytes = b"",
        most_frames: int = 0,
        most_pictures: int = 0,
        ordered: bool = False,
    ):
        self.receiving = receiving
        self.most_frames, self.most_pictures = most_frames, most_pictures
        self.stream = receiving.codec.stream
        self.assembler = FrameAssembler(self.stream, stream_number, key=key, ordered=ordered)
        self._interleaver = Interleaver(self.stream)
        self._group: list[Frame] = []

    @property
    def full(self) -> bool:
        receiving = self.receiving
        return (0 < self.most_frames <= receiving.frames) or (0 < self.most_pictures <= receiving.written)

    def push(self, packets: np.ndarray) -> list[FrameResult]:
        """Packets in, results of the frames that became complete (or overdue) out. Where several did, as from a
        recording or behind a sender that is faster, they are decoded together."""
        frames = self.assembler.push(packets)
        return self._hand_on(self._groups(frames), len(frames))

    def flush(self) -> list[FrameResult]:
        """Everything that is still under way; call at the end and after a long silence."""
        frames = self.assembler.flush()
        return self._hand_on(chain(self._groups(frames), self._close_group()), len(frames) + len(self._group))

    def _groups(self, frames: list[Frame]) -> Iterator[Received]:
        for frame in frames:
            # Groups stand at multiples of the depth in the numbering, wherever one joined.
            # A number that does not rise is that of a sender that restarted.
            if self._group and (
                frame.number // self.stream.depth != self._group[0].number // self.stream.depth
                or frame.number <= self._group[-1].number
            ):
                yield from self._close_group()
            self._group.append(frame)
            if (frame.number + 1) % self.stream.depth == 0:
                yield from self._close_group()

    def _close_group(self) -> Iterator[Received]:
        if not self._group:
            return
        frames, self._group = self._group, []
        if not any(frame.arrived.any() for frame in frames):
            yield from ((frame.number, None) for frame in frames)
            return
        depth, total = self.stream.depth, self.assembler.total_frames
        start = frames[0].number // depth * depth
        # Only the announced end makes a group shorter: after a silence, or where one joined,
        # the sender's group was whole, and its permutation that of a whole group.
        size = total - start if total is not None and frames[-1].number < total < start + depth else depth
        blocks = np.zeros((size, self.stream.blocks, self.stream.block_size), np.uint8)
        arrived = np.zeros(blocks.shape[:2], bool)
        for frame in frames:
            blocks[frame.number - start], arrived[frame.number - start] = frame.blocks, frame.arrived
        sorted_ = soft_frames(self._interleaver, blocks, arrived)
        yield from ((frame.number, sorted_[frame.number - start]) for frame in frames)

    def _hand_on(self, frames: Iterator[Received], count: int) -> list[FrameResult]:
        results = []
        taken = self.receiving.take_many(frames, together=count > 1)
        while not self.full and (result := next(taken, None)) is not None:
            results.append(result)
        return results
