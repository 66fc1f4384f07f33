# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from blocks to packets and back, with groups of frames begun, broken off and ended."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from ds2c2.ends.packetstream import PacketsToPictures, pictures_to_packets
from ds2c2.errors import FileError, FormatError, LinkError
from ds2c2.stream.packets import parse_packets
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.recording import RecordingReader, RecordingWriter

DEPTH = 4
STREAM = StreamFormat(96, 64, bpp=0.9, block_size=40, interleave="block", depth=DEPTH, base_redundancy=1)


def blocks_of(frame: int, stream: StreamFormat = STREAM) -> np.ndarray:
    return np.random.default_rng(frame).integers(0, 256, (stream.blocks, stream.block_size), np.uint8)


@dataclass
class Sender:
    """In the place of ``SendingEnd``: numbered frames of random blocks."""

    frames: int
    stream: StreamFormat = STREAM
    frame: int = 0
    captured: float = 0.0

    @property
    def codec(self):
        return SimpleNamespace(stream=self.stream)

    def next_frame(self):
        if self.frame == self.frames:
            return None
        self.frame += 1
        return SimpleNamespace(blocks=blocks_of(self.frame - 1, self.stream))


@dataclass
class Receiver:
    """In the place of ``ReceivingEnd``: keeps what it is given."""

    stream: StreamFormat = STREAM
    taken: dict = field(default_factory=dict)
    lost: list = field(default_factory=list)

    @property
    def frames(self):
        return len(self.taken) + len(self.lost)

    @property
    def written(self):
        return len(self.taken)

    def lose(self, frame):
        self.lost.append(frame)
        return frame

    @property
    def codec(self):
        return SimpleNamespace(stream=self.stream)

    def take(self, frame, soft):
        assert frame not in self.taken
        self.taken[frame] = soft
        return frame

    def take_many(self, frames, together):
        for frame, soft in frames:
            yield self.lose(frame) if soft is None else self.take(frame, soft)


def whole(frame: int, stream: StreamFormat = STREAM) -> np.ndarray:
    return to_soft(blocks_of(frame, stream), np.ones(stream.blocks, bool))


def packets_of(frames: int, stream: StreamFormat = STREAM) -> np.ndarray:
    return np.concatenate(list(pictures_to_packets(Sender(frames, stream))))


@pytest.mark.parametrize(
    "stream",
    [
        STREAM,
        StreamFormat(96, 64, bpp=0.9, block_size=40, interleave="bit", base_redundancy=1),
        StreamFormat(96, 64, bpp=0.9, block_size=40, interleave="none", base_redundancy=1),
    ],
    ids=["groups of 4", "bits", "nothing"],
)
@pytest.mark.parametrize("frames", [1, 3, 4, 6, 9])
@pytest.mark.parametrize("batch", [1, 50, 10_000])
def test_every_frame_comes_out_as_it_went_in(stream, frames, batch):
    packets = packets_of(frames, stream)
    receiver = Receiver(stream)
    way = PacketsToPictures(receiver)
    results = [r for start in range(0, len(packets), batch) for r in way.push(packets[start : start + batch])]
    results += way.flush()
    assert results == list(range(frames))
    for frame in range(frames):
        assert np.array_equal(receiver.taken[frame], whole(frame, stream))


def test_a_lost_block_is_erased_and_nothing_else():
    packets = packets_of(6)
    base, count = STREAM.base_blocks, STREAM.enhancement_blocks
    lost = np.array([2, STREAM.blocks + base + 3])  # a base block of frame 0, an enhancement block sent with frame 1
    receiver = Receiver()
    way = PacketsToPictures(receiver)
    way.push(np.delete(packets, lost, axis=0))
    way.flush()
    erased = {frame: (soft == 0).all(axis=1) for frame, soft in receiver.taken.items()}
    assert erased[0][2]
    assert sum(int(rows.sum()) for rows in erased.values()) == 2
    assert sum(int(rows[base:].sum()) for rows in erased.values()) == 1
    for frame, soft in receiver.taken.items():
        assert np.array_equal(soft[~erased[frame]], whole(frame)[~erased[frame]])
    assert count > 1


def test_joined_within_a_group_gets_what_came_of_it():
    """From frame 2 on: half of the group's blocks, each where it belongs."""
    packets = packets_of(8)[2 * STREAM.blocks :]
    receiver = Receiver()
    way = PacketsToPictures(receiver)
    way.push(packets)
    way.flush()
    assert sorted(receiver.taken) == [2, 3, 4, 5, 6, 7]
    for frame, soft in receiver.taken.items():
        known = soft != 0
        assert np.array_equal(soft[known], whole(frame)[known])
        assert known.all() == (frame >= 4)
    assert any((receiver.taken[frame][STREAM.base_blocks :] != 0).any() for frame in (2, 3))


def test_a_silence_within_a_group_does_not_scramble_it():
    """What the time-out gives out is of a whole group: its permutation, not a shorter one."""
    packets = packets_of(8)
    receiver = Receiver()
    way = PacketsToPictures(receiver)
    assert way.push(packets[: 2 * STREAM.blocks]) == []
    assert way.flush() == [0, 1]
    way.push(packets[2 * STREAM.blocks :])
    way.flush()
    assert sorted(receiver.taken) == list(range(8))
    for frame, soft in receiver.taken.items():
        known = soft != 0
        assert np.array_equal(soft[known], whole(frame)[known])
        assert known[: STREAM.base_blocks].all()


def test_a_restart_within_a_group_does_not_mix_the_two():
    stream = StreamFormat(256, 192, bpp=1.0, block_size=40, interleave="block", depth=DEPTH, base_redundancy=1)
    packets = packets_of(4, stream)
    receiver = Receiver(stream)
    way = PacketsToPictures(receiver)
    assert way.push(packets[: 3 * stream.blocks]) == []
    before = way.push(packets[: 2 * stream.blocks])
    assert before == [0, 1, 2]
    receiver.taken.clear()
    assert way.push(packets[2 * stream.blocks :]) + way.flush() == [0, 1, 2, 3]
    for frame in range(4):
        assert np.array_equal(receiver.taken[frame], whole(frame, stream))


def test_a_recording_comes_back_with_its_format(tmp_path):
    packets = packets_of(3)
    with RecordingWriter(tmp_path / "a.bin", STREAM) as writer:
        writer.write(packets[:10])
        assert not (tmp_path / "a.bin").exists()
        writer.write(packets[10:])
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]
    reader = RecordingReader(tmp_path / "a.bin")
    assert reader.stream == STREAM
    assert np.array_equal(np.concatenate(list(reader)), packets)
    assert reader.torn_bytes == 0


def test_a_recording_says_where_nothing_came_for_a_while(tmp_path):
    packets = packets_of(2)
    with RecordingWriter(tmp_path / "a.bin", STREAM) as writer:
        writer.silence()  # before the first packet there is nothing to part
        writer.write(packets[:5])
        writer.write(packets[:0])
        writer.silence()
        writer.silence()
        writer.write(packets[5:])
    pieces = list(RecordingReader(tmp_path / "a.bin"))
    assert [len(piece) for piece in pieces] == [5, 0, len(packets) - 5]
    assert np.array_equal(np.concatenate(pieces), packets)
    # To who does not know of it, it is one malformed packet.
    assert (tmp_path / "a.bin").stat().st_size == len(f"ds2c2-packets/1\n{STREAM.text}\n") + (
        len(packets) + 1
    ) * STREAM.packet_bytes
    nothing = np.zeros((1, STREAM.packet_bytes), np.uint8)
    assert parse_packets(nothing, STREAM).malformed == 1


def test_a_packet_of_zeros_that_somebody_sends_is_no_silence(tmp_path):
    packets = packets_of(1)
    forged = np.insert(packets, 3, 0, axis=0)
    with RecordingWriter(tmp_path / "a.bin", STREAM) as writer:
        writer.write(forged)
    (read,) = RecordingReader(tmp_path / "a.bin")
    assert not forged[3].any()  # the writer left it as it was
    assert len(read) == len(forged) and read[3].any() and parse_packets(read, STREAM).malformed == 1


def test_a_torn_recording_is_read_as_far_as_it_goes(tmp_path):
    with RecordingWriter(tmp_path / "a.bin", STREAM) as writer:
        writer.write(packets_of(1))
    (tmp_path / "a.bin").write_bytes((tmp_path / "a.bin").read_bytes()[:-1])
    reader = RecordingReader(tmp_path / "a.bin")
    assert sum(len(packets) for packets in reader) == len(packets_of(1)) - 1
    assert reader.torn_bytes == 8 + STREAM.block_size - 1


def test_a_recording_that_breaks_off_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), RecordingWriter(tmp_path / "a.bin", STREAM) as writer:
        writer.write(packets_of(1))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"ds2c2-packets/2\nx\n", b"\x89PNG\r\n", b"ds2c2-packets/1\n", b"ds2c2-packets/1\n\xff\xfe\n"]
)
def test_a_file_that_is_no_recording_is_refused(tmp_path, content):
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(FormatError):
        RecordingReader(tmp_path / "a.bin")


@pytest.mark.parametrize("name", ["missing.bin", "."])
def test_a_recording_that_cannot_be_opened_is_named(tmp_path, name):
    with pytest.raises(LinkError, match="no recording to read"):
        RecordingReader(tmp_path / name)
    with pytest.raises(FileError, match="cannot be written"):
        RecordingWriter(tmp_path / "no folder" / "a.bin", STREAM)


@pytest.mark.parametrize(
    ("most_frames", "most_pictures", "handed_on"), [(3, 0, [0, 1, 2]), (0, 2, [0, 1, 2, 3]), (9, 9, None)]
)
def test_no_more_is_handed_on_than_asked_for(most_frames, most_pictures, handed_on):
    """Frames 1 and 2 are wholly lost; they count as frames and are no pictures."""
    stream = StreamFormat(96, 64, bpp=0.9, block_size=40, interleave="none")
    packets = packets_of(6, stream)
    receiver = Receiver(stream)
    way = PacketsToPictures(receiver, most_frames=most_frames, most_pictures=most_pictures)
    results = way.push(np.delete(packets, np.arange(stream.blocks, 3 * stream.blocks), axis=0)) + way.flush()
    assert results == (handed_on or list(range(6))) and way.full == (handed_on is not None)
    assert receiver.lost == [1, 2]
