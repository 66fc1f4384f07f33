# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's side of the packets, fed with everything a link can do to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.numbering import RESYNC_PACKETS
from ds2c2.stream.packets import END_COPIES, FRAME_MODULUS, HEADER_BYTES, TYPE_BLOCK, Packetizer, build_headers
from ds2c2.stream.strays import HELD_STRAYS
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(64, 64, bpp=1.0, block_size=32, base_redundancy=1)
N = STREAM.blocks
# 40 frames of 3 blocks fit into the reordering window: what is small must not be special.
FEW_BLOCKS = StreamFormat(64, 64, bpp=0.6, block_size=100, base_redundancy=1)


def content(frame: int, stream: StreamFormat = STREAM) -> np.ndarray:
    """Blocks that tell which frame and place they belong to."""
    blocks = np.zeros((stream.blocks, stream.block_size), np.uint8)
    blocks[:, :4] = np.frombuffer(frame.to_bytes(4, "big"), np.uint8)
    blocks[:, 4:6] = np.arange(stream.blocks).astype(">u2")[:, None].view(np.uint8)
    return blocks


def packets_of(first: int, count: int, stream: StreamFormat = STREAM) -> np.ndarray:
    """Packets of frames first to first + count - 1."""
    packetizer = Packetizer(stream)
    packetizer.sent = first * stream.blocks
    return packetizer.pack(np.concatenate([content(frame, stream) for frame in range(first, first + count)]))


def end_of(frames: int, stream: StreamFormat = STREAM) -> np.ndarray:
    packetizer = Packetizer(stream)
    packetizer.sent = frames * stream.blocks
    return packetizer.end()


def push_singly(assembler: FrameAssembler, packets: np.ndarray) -> list:
    return [frame for packet in packets for frame in assembler.push(packet[None])]


def sorted_out(counts) -> int:
    """Packets by what became of them; must be all that were received."""
    return (
        counts.used
        + counts.duplicate
        + counts.late
        + counts.malformed
        + counts.foreign
        + counts.stamps
        + counts.other_format
        + counts.out_of_range
        + counts.end
    )


def assert_frames(frames: list, numbers: range | list[int], first: int = 0, stream: StreamFormat = STREAM) -> None:
    """Frames carry these numbers, and each block that arrived is the sender's."""
    assert [frame.number for frame in frames] == list(numbers)
    for frame in frames:
        expected = content(frame.number + first, stream)
        assert np.array_equal(frame.blocks[frame.arrived], expected[frame.arrived])
        assert not frame.blocks[~frame.arrived].any()


@pytest.mark.parametrize("batch", [1, 7, N, 1000])
def test_frames_in_order_come_out_whole_as_soon_as_they_are_complete(batch):
    assembler = FrameAssembler(STREAM)
    packets = packets_of(0, 5)
    frames = []
    for start in range(0, len(packets), batch):
        frames += assembler.push(packets[start : start + batch])
        assert len(frames) == min(start + batch, len(packets)) // N
    assert_frames(frames, range(5))
    assert all(frame.arrived.all() for frame in frames)
    assert (assembler.counts.used, assembler.counts.received, assembler.counts.missing) == (5 * N, 5 * N, 0)
    assert not assembler.waiting
    assert assembler.flush() == []


def test_nothing_pushed_is_nothing():
    assembler = FrameAssembler(STREAM)
    assert assembler.push(np.zeros((0, HEADER_BYTES + STREAM.block_size), np.uint8)) == []
    assert assembler.flush() == []
    assert not assembler.ended
    assert assembler.counts.line() == "nothing received"


def test_a_batch_without_one_code_block_is_counted():
    """End packets alone, or noise alone, are an ordinary batch."""
    assembler = FrameAssembler(STREAM)
    assert assembler.push(end_of(0)) == []
    assert assembler.push(np.zeros((3, HEADER_BYTES + STREAM.block_size), np.uint8)) == []
    assert (assembler.counts.end, assembler.counts.malformed) == (END_COPIES, 3)
    # An end of a stream of which nothing was seen says nothing: anybody can send it.
    assert not assembler.ended


def shuffled_within(packets: np.ndarray, window: int, seed: int) -> np.ndarray:
    """Each packet delayed by 0 to window - 1 places."""
    delays = np.random.default_rng(seed).integers(0, window, len(packets))
    return packets[np.argsort(np.arange(len(packets)) + delays, kind="stable")]


@pytest.mark.parametrize("stream", [STREAM, FEW_BLOCKS], ids=["16 blocks", "3 blocks"])
@pytest.mark.parametrize("first", [0, 500])
@pytest.mark.parametrize("seed", range(3))
def test_packets_reordered_within_200_are_all_used(stream, first, seed):
    assembler = FrameAssembler(stream)
    count = 120
    frames = push_singly(assembler, shuffled_within(packets_of(first, count, stream), 200, seed))
    frames += assembler.flush()
    assert_frames(frames, range(first, first + count), stream=stream)
    assert all(frame.arrived.all() for frame in frames)
    assert assembler.counts.used == count * stream.blocks == assembler.counts.received


def test_a_reversed_start_is_put_right():
    assembler = FrameAssembler(STREAM)
    frames = push_singly(assembler, packets_of(0, 3)[::-1])
    frames += assembler.flush()
    assert_frames(frames, range(3))
    assert assembler.counts.used == 3 * N


def test_duplicates_are_counted_and_change_nothing():
    assembler = FrameAssembler(STREAM)
    packets = packets_of(0, 3)
    twice = np.repeat(packets, 2, axis=0)
    # The second copy is another content: first come, first kept.
    twice[1::2, HEADER_BYTES:] = 0xEE
    frames = push_singly(assembler, twice) + assembler.flush()
    assert_frames(frames, range(3))
    assert (assembler.counts.used, assembler.counts.duplicate) == (3 * N, 3 * N)
    assert assembler.counts.late == 0


def test_duplicates_in_one_batch_keep_the_first():
    assembler = FrameAssembler(STREAM)
    packets = packets_of(0, 1)
    other = packets.copy()
    other[:, HEADER_BYTES:] = 0xEE
    frames = assembler.push(np.concatenate([packets[: N - 1], other[: N - 1], packets[N - 1 :]]))
    assert_frames(frames, [0])
    assert assembler.counts.duplicate == N - 1


def test_lost_frames_in_the_middle_come_out_empty():
    assembler = FrameAssembler(STREAM)
    frames = push_singly(assembler, np.concatenate([packets_of(0, 2), packets_of(5, 30)]))
    frames += assembler.flush()
    assert_frames(frames, range(35))
    assert [frame.number for frame in frames if not frame.arrived.any()] == [2, 3, 4]
    assert (assembler.counts.lost_frames, assembler.counts.missing) == (3, 3 * N)


def test_a_frame_is_given_up_when_packets_256_behind_its_end_have_come():
    assembler = FrameAssembler(STREAM)
    packets = packets_of(0, 40)
    assert assembler.push(packets[1:N]) == []
    # The end of frame 0 is packet N - 1: the packet 256 behind it is number N + 255.
    assert push_singly(assembler, packets[N : N + 255]) == []
    frames = assembler.push(packets[N + 255 : N + 256])
    assert [frame.number for frame in frames] == list(range(256 // N + 1))
    assert frames[0].arrived.tolist() == [False] + [True] * (N - 1)
    # What comes now is late.
    assert assembler.push(packets[:1]) == []
    assert (assembler.counts.late, assembler.counts.missing) == (1, 1)


def test_a_frame_of_an_ordered_link_waits_for_nothing():
    """It is released with its last packet, or with the first of the next frame; one far ahead does not end it."""
    assembler = FrameAssembler(STREAM, ordered=True)
    sent = packets_of(0, 4)
    assert assembler.push(np.delete(sent[: N - 1], 2, axis=0)) == []
    assert [frame.number for frame in assembler.push(sent[N - 1 : N])] == [0]
    assert push_singly(assembler, sent[N : 2 * N - 1]) == []  # without its last
    assert [frame.number for frame in assembler.push(sent[2 * N : 2 * N + 1])] == [1]
    assert assembler.push(sent[3 * N : 3 * N + 1]) == []  # far ahead of all others
    assert [frame.number for frame in assembler.push(sent[2 * N + 1 : 3 * N])] == [2]
    assert assembler.counts.missing == 2 and assembler.counts.late == 0


def test_joined_in_the_middle_begins_with_what_comes():
    assembler = FrameAssembler(STREAM)
    frames = push_singly(assembler, packets_of(1000, 30)[5:]) + assembler.flush()
    assert_frames(frames, range(1000, 1030))
    assert frames[0].arrived.sum() == N - 5


def test_two_streams_do_not_mix():
    ours = packets_of(0, 4)
    other = Packetizer(STREAM, stream_number=9)
    theirs = other.pack(np.full((4 * N, STREAM.block_size), 0xEE, np.uint8))
    mixed = np.stack([ours, theirs], axis=1).reshape(-1, ours.shape[1])
    assembler = FrameAssembler(STREAM)
    assert_frames(assembler.push(mixed), range(4))
    assert (assembler.counts.used, assembler.counts.foreign) == (4 * N, 4 * N)
    second = FrameAssembler(STREAM, stream_number=9)
    assert [frame.blocks[0, 0] for frame in second.push(mixed)] == [0xEE] * 4


def test_numbers_go_on_where_16_bits_wrap():
    assembler = FrameAssembler(STREAM)
    first = FRAME_MODULUS - 3
    frames = push_singly(assembler, shuffled_within(packets_of(first, 10), 100, 1)) + assembler.flush()
    assert_frames(frames, range(first, first + 10))
    assert assembler.counts.used == 10 * N


def test_the_end_is_understood_by_who_joined_after_the_numbers_wrapped():
    assembler = FrameAssembler(STREAM)
    first = FRAME_MODULUS + 10
    frames = assembler.push(packets_of(first, 2)) + assembler.push(end_of(first + 3)) + assembler.flush()
    assert_frames(frames, range(10, 13), first=FRAME_MODULUS)
    assert assembler.ended
    assert assembler.counts.lost_frames == 1


@pytest.mark.parametrize("sent", [30, 500], ids=["soon", "after long"])
@pytest.mark.parametrize("batch", [1, 10_000])
def test_a_sender_that_restarts_is_followed_without_losing_a_packet(sent, batch):
    """Its numbers begin at 0 again; the first picture must be whole, base layer and all."""
    assembler = FrameAssembler(STREAM)
    assert_frames(assembler.push(packets_of(0, sent)), range(sent))
    again = packets_of(0, 40)
    frames = []
    for start in range(0, len(again), batch):
        frames += assembler.push(again[start : start + batch])
    assert_frames(frames, range(40))
    assert all(frame.arrived.all() for frame in frames)
    counts = assembler.counts
    assert (counts.resyncs, counts.used, counts.received) == (1, (sent + 40) * N, (sent + 40) * N)
    assert sorted_out(counts) == counts.received


def test_an_end_from_before_a_restart_does_not_end_the_new_stream():
    assembler = FrameAssembler(STREAM)
    assembler.push(packets_of(0, 30))
    assembler.push(end_of(30))
    assert assembler.ended
    assert_frames(assembler.push(packets_of(0, 5)), range(5))
    assert not assembler.ended
    assembler.push(end_of(5))
    assert assembler.ended


def test_a_few_packets_from_far_away_do_not_move_the_stream():
    assembler = FrameAssembler(STREAM)
    far = packets_of(20_000, 2)[: RESYNC_PACKETS - 1]
    frames = assembler.push(packets_of(0, 2))
    assert assembler.push(far) == []
    frames += assembler.push(packets_of(2, 2))
    assert assembler.push(far) == []
    frames += assembler.push(packets_of(4, 2))
    assert_frames(frames, range(6))
    assert (assembler.counts.out_of_range, assembler.counts.resyncs) == (2 * (RESYNC_PACKETS - 1), 0)


def test_endless_far_packets_that_do_not_agree_take_no_memory():
    assembler = FrameAssembler(STREAM)
    assembler.push(packets_of(0, 1))
    numbers = 10_000 + 1000 * np.arange(20)
    noise = np.zeros((len(numbers), STREAM.block_size), np.uint8)
    headers = build_headers(TYPE_BLOCK, 0, numbers, np.zeros(len(numbers), int), STREAM.digest)
    for _ in range(20):
        assert assembler.push(np.concatenate([headers, noise], axis=1)) == []
    for _ in range(100):
        assembler.push(np.concatenate([headers, noise], axis=1))
    assert assembler.counts.out_of_range == 2400
    assert len(assembler._tracker._held.all()) == HELD_STRAYS


def test_few_frames_are_open_at_a_time():
    """A frame holds its N blocks; a window of 256 packets is 16 frames of 16 blocks."""
    assembler = FrameAssembler(STREAM)
    most = 0
    arrived = np.random.default_rng(3).random(300 * N) > 0.5
    for packet in packets_of(0, 300)[arrived]:
        assembler.push(packet[None])
        most = max(most, len(assembler._open))
    assert most <= 256 // N + 2
    assert len(assembler._released) <= 64


def test_flush_after_the_end_gives_trailing_lost_frames():
    assembler = FrameAssembler(STREAM)
    frames = assembler.push(packets_of(0, 3)[: 2 * N + 3])
    assert assembler.push(end_of(6)) == []
    assert assembler.waiting
    assert not assembler.ended
    frames += assembler.flush()
    assert_frames(frames, range(6))
    assert [int(frame.arrived.sum()) for frame in frames] == [N, N, 3, 0, 0, 0]
    assert assembler.ended
    assert assembler.counts.end == END_COPIES


def test_an_end_that_arrives_first_is_remembered():
    assembler = FrameAssembler(STREAM)
    frames = assembler.push(end_of(2)) + assembler.push(packets_of(0, 1)) + assembler.flush()
    assert_frames(frames, range(2))
    assert assembler.ended


def test_without_an_end_packet_flush_gives_what_is_under_way():
    assembler = FrameAssembler(STREAM)
    frames = assembler.push(packets_of(0, 3)[: 2 * N + 3]) + assembler.flush()
    assert_frames(frames, range(3))
    assert not assembler.ended
    assert not assembler.waiting


def test_packets_after_a_time_out_are_late_and_the_stream_goes_on():
    assembler = FrameAssembler(STREAM)
    packets = packets_of(0, 2)
    frames = assembler.push(packets[:3]) + assembler.flush()
    frames += assembler.push(packets[3:])
    assert_frames(frames, range(2))
    assert (assembler.counts.late, assembler.counts.used) == (N - 3, N + 3)


@st.composite
def rough_journeys(draw):
    """Packets of 12 frames: some lost, some twice, each delayed by less than 200 places."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = draw(st.sampled_from([0, 1, 300, FRAME_MODULUS - 5]))
    packets = packets_of(first, 12)
    kept = rng.random(len(packets)) >= draw(st.sampled_from([0.0, 0.1, 0.7]))
    copies = 1 + (rng.random(len(packets)) < draw(st.sampled_from([0.0, 0.3])))
    sequence = np.repeat(np.arange(len(packets)), kept * copies)
    delays = rng.integers(0, draw(st.sampled_from([1, 5, 200])), len(sequence))
    sequence = sequence[np.argsort(sequence + delays, kind="stable")]
    rows = packets[sequence]
    if draw(st.booleans()):
        broken = rng.random(len(rows)) < 0.1
        rows[broken, rng.integers(0, HEADER_BYTES)] ^= rng.integers(1, 256, dtype=np.uint8)
    return first, rows, draw(st.sampled_from([1, 16, 50, 1000])), draw(st.booleans())


@settings(max_examples=60, deadline=None)
@given(rough_journeys())
def test_every_packet_is_accounted_for_and_every_frame_released_once(journey):
    first, rows, batch, ends = journey
    assembler = FrameAssembler(STREAM)
    frames = []
    for start in range(0, len(rows), batch):
        frames += assembler.push(rows[start : start + batch])
        assert sorted_out(assembler.counts) == assembler.counts.received == min(start + batch, len(rows))
    if ends:
        frames += assembler.push(end_of(first + 12))
    frames += assembler.flush()
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert not numbers or numbers[-1] - numbers[0] == len(numbers) - 1
    assert all(first <= number < first + 12 for number in numbers)
    assert_frames(frames, numbers)
    counts = assembler.counts
    assert counts.used == sum(int(frame.arrived.sum()) for frame in frames)
    assert counts.used + counts.missing == len(frames) * N
    assert counts.frames == len(frames)
    assert counts.late == 0
    if ends and frames:
        assert numbers[-1] == first + 11
        assert assembler.ended


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_any_order_at_all_is_accounted_for(seed, batch):
    rng = np.random.default_rng(seed)
    rows = packets_of(int(rng.integers(0, 70_000)), 30)[rng.integers(0, 30 * N, 600)]
    assembler = FrameAssembler(STREAM)
    for start in range(0, len(rows), batch):
        assembler.push(rows[start : start + batch])
        assert sorted_out(assembler.counts) == assembler.counts.received
    assembler.flush()
    assert not assembler.waiting
