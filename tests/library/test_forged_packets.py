# SPDX-License-Identifier: GPL-3.0-or-later
"""What anybody can send without a key: nothing of it ends, moves or locks out a genuine stream."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.numbering import RESYNC_PACKETS
from ds2c2.stream.packets import FRAME_MODULUS, TYPE_BLOCK, TYPE_END, Packetizer, build_packets
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.tracerecorder import TraceRecorder

FORMATS = {
    "16 blocks": StreamFormat(64, 64, bpp=1.0, block_size=32),
    "3 blocks": StreamFormat(64, 64, bpp=0.6, block_size=100),
    "version 2": StreamFormat(64, 64, bpp=1.0, block_size=32, survive=0.3, layout="spread"),
}
FRAMES = 40


@pytest.fixture(params=FORMATS)
def stream(request) -> StreamFormat:
    return FORMATS[request.param]


def genuine(stream: StreamFormat, frames: int = FRAMES, first: int = 0) -> np.ndarray:
    """Packets of some frames, no two blocks alike; end packets are not among them."""
    packetizer = Packetizer(stream)
    packetizer.sent = first * stream.blocks
    rng = np.random.default_rng(first)
    return packetizer.pack(rng.integers(0, 256, (frames * stream.blocks, stream.block_size), np.uint8))


def end_of(stream: StreamFormat, frames: int) -> np.ndarray:
    packetizer = Packetizer(stream)
    packetizer.sent = frames * stream.blocks
    return packetizer.end()


def forged(stream: StreamFormat, frame, index=0, kind: int = TYPE_BLOCK) -> np.ndarray:
    """Packets with right checks, their blocks 0xEE throughout."""
    frames = np.atleast_1d(frame) % FRAME_MODULUS
    indices = np.broadcast_to(np.asarray(index), frames.shape)
    blocks = np.full((len(frames), stream.block_size), 0xEE, np.uint8)
    return build_packets(kind, 0, frames, indices, blocks, stream)


def forged_end(stream: StreamFormat, total: int, copies: int = 1) -> np.ndarray:
    high, low = divmod(total, FRAME_MODULUS)
    return forged(stream, np.full(copies, high), low, TYPE_END)


def received(assembler: FrameAssembler, packets: np.ndarray) -> list:
    return [frame for start in range(0, len(packets), 9) for frame in assembler.push(packets[start : start + 9])]


def assert_whole(frames: list, packets: np.ndarray, stream: StreamFormat, first: int = 0) -> None:
    """These frames came out, in order, as they were sent."""
    blocks = packets[:, stream.header_bytes :].reshape(-1, stream.blocks, stream.block_size)
    assert [frame.number for frame in frames] == list(range(first, first + len(blocks)))
    for frame, expected in zip(frames, blocks, strict=True):
        assert frame.arrived.all() and np.array_equal(frame.blocks, expected)


def test_an_end_before_the_first_packet_ends_nothing(stream):
    assembler = FrameAssembler(stream)
    packets = genuine(stream)
    frames = received(assembler, forged_end(stream, 0, 8))
    assert assembler.flush() == [] and not assembler.ended
    frames += received(assembler, packets)
    assert not assembler.ended
    frames += received(assembler, end_of(stream, FRAMES)) + assembler.flush()
    assert_whole(frames, packets, stream)
    assert assembler.ended and assembler.total_frames == FRAMES


@pytest.mark.parametrize("total", [0, 1, 19, 20, 21, 60, 70_000], ids=str)
def test_an_end_amid_the_stream_ends_nothing(stream, total):
    """Eight copies behind frame 20, and then the stream goes on."""
    assembler = FrameAssembler(stream)
    packets = genuine(stream)
    half = 20 * stream.blocks
    frames = received(assembler, np.concatenate([packets[:half], forged_end(stream, total, 8), packets[half:]]))
    assert not assembler.ended or total == 60
    frames += received(assembler, end_of(stream, FRAMES))
    assert_whole(frames[:FRAMES], packets, stream)
    assembler.flush()
    assert assembler.ended


def test_an_end_and_then_silence_is_one(stream):
    assembler = FrameAssembler(stream)
    packets = genuine(stream)
    frames = received(assembler, packets[:-1])
    received(assembler, end_of(stream, FRAMES))
    assert not assembler.ended and assembler.total_frames == FRAMES
    frames += assembler.flush()
    assert assembler.ended and len(frames) == FRAMES


@pytest.mark.parametrize("ahead", [1, 2, 10, 40, 63, 64, 65, 30_000], ids=str)
def test_one_packet_ahead_moves_nothing(stream, ahead):
    """What 62 concealed pictures were: the genuine ones came late ever after."""
    assembler, recorder = FrameAssembler(stream), TraceRecorder(stream)
    packets = genuine(stream)
    half = 20 * stream.blocks
    rows = np.concatenate([packets[:half], forged(stream, 19 + ahead, stream.blocks - 1), packets[half:]])
    frames = received(assembler, rows) + assembler.flush()
    recorder.push(rows, None)
    expected = packets.copy()
    if ahead <= 20:
        # It stands where no genuine packet was yet, and is kept: only a key helps.
        expected[(20 + ahead) * stream.blocks - 1, stream.header_bytes :] = 0xEE
    assert_whole(frames[:FRAMES], expected, stream)
    trace = recorder.finish()
    assert trace.counts()["ok"] >= FRAMES * stream.blocks and not trace.resumes


def test_one_forged_packet_in_four_moves_nothing(stream):
    """At every place there is: ahead by any number of frames, behind, far off."""
    rng = np.random.default_rng(5)
    packets = genuine(stream)
    rows = []
    for place, packet in enumerate(packets):
        rows.append(packet[None])
        if rng.random() < 0.33:
            here = place // stream.blocks
            # Not of frames that are still to come: those blocks would be kept in the place of the genuine ones.
            away = int(rng.choice([-70, -20, -3, 64, 100, 200, 30_000]))
            rows.append(forged(stream, here + away + FRAMES * (0 < away < FRAMES), rng.integers(stream.blocks)))
    assembler = FrameAssembler(stream)
    frames = received(assembler, np.concatenate(rows)) + assembler.flush()
    assert_whole([frame for frame in frames if frame.number < FRAMES][:FRAMES], packets, stream)
    assert assembler.counts.resyncs == 0


@pytest.mark.parametrize("far", [30_000, 200], ids=str)
def test_a_forged_beginning_does_not_lock_the_genuine_stream_out(stream, far):
    """One far packet first, and one for every 30 genuine ones: for ever "out of range" before."""
    packets = genuine(stream)
    rows = [forged(stream, far)]
    for start in range(0, len(packets), 30):
        rows += [packets[start : start + 30], forged(stream, far, start % stream.blocks)]
    assembler = FrameAssembler(stream)
    frames = received(assembler, np.concatenate(rows)) + assembler.flush()
    assert_whole(frames[:FRAMES], packets, stream)


def test_a_flood_first_is_followed_by_the_genuine_stream(stream):
    """Three thousand forged packets that agree with each other, then the sender."""
    flood = forged(stream, 30_000 + np.arange(3000) // stream.blocks, np.arange(3000) % stream.blocks)
    packets = genuine(stream)
    assembler = FrameAssembler(stream)
    received(assembler, flood)
    frames = received(assembler, packets) + assembler.flush()
    assert_whole(frames[-FRAMES:], packets, stream)
    assert assembler.counts.resyncs == 1


def test_forged_jumps_cost_no_frames():
    """300 packets, each 64 frames beyond the one before, were 11 771 concealed pictures."""
    stream = FORMATS["16 blocks"]
    assembler = FrameAssembler(stream)
    received(assembler, genuine(stream, 5))
    before = assembler.counts.frames
    assert received(assembler, forged(stream, 5 + 64 * np.arange(1, 300))) == []
    assert assembler.counts.frames == before and assembler.counts.out_of_range == 299


@pytest.mark.parametrize("gap", [3, 30, 64, 65, 5000], ids=str)
def test_a_genuine_outage_is_followed_without_losing_a_packet(stream, gap):
    """Also where only a few packets come behind it, and then silence."""
    first, then = genuine(stream, 20), genuine(stream, 20, first=20 + gap)
    for count in (len(then), stream.blocks + 2):
        assembler = FrameAssembler(stream)
        frames = received(assembler, np.concatenate([first, then[:count]])) + assembler.flush()
        assert assembler.counts.used == len(first) + count
        assert sum(int(frame.arrived.sum()) for frame in frames) == len(first) + count
        assert {frame.number for frame in frames} >= {*range(20), 20 + gap, 20 + gap + 1}


def test_a_single_packet_is_a_stream_when_silence_follows(stream):
    assembler, recorder = FrameAssembler(stream), TraceRecorder(stream)
    packet = genuine(stream, 1)[1:2]
    assert assembler.push(packet) == [] and assembler.waiting
    (frame,) = assembler.flush()
    assert frame.arrived.tolist() == [place == 1 for place in range(stream.blocks)]
    recorder.push(packet, None)
    assert recorder.finish().counts()["ok"] == 1


@pytest.mark.parametrize("number", [0, 500, 65_000])
@pytest.mark.parametrize("again", [1, 3])
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_few_forged_packets_in_a_pause_of_the_sender_cost_it_no_picture(name, silent, again, number):
    """A picture, a pause, and in some of the pauses four that agree."""
    stream = FORMATS[name]
    rows = genuine(stream, 6).reshape(6, stream.blocks, -1)
    assembler = FrameAssembler(stream)
    frames = []
    for frame, picture in enumerate(rows):
        frames += received(assembler, picture) + assembler.flush()
        if 2 <= frame < 2 + again:
            frames += received(assembler, forged(stream, np.full(4, number), np.arange(4) % stream.blocks))
            frames += assembler.flush() if silent else []
    # The forger's own picture comes, too, where four packets are one.
    whole = [frame for frame in frames if frame.arrived.all() and not (frame.blocks == 0xEE).all()]
    assert_whole(whole, rows.reshape(-1, rows.shape[-1]), stream)


@pytest.mark.parametrize("before", [False, True], ids=["silence behind", "silence before"])
def test_a_short_stream_after_a_restart_is_followed_beside_silence(before):
    """Fewer packets than it takes while others contradict."""
    stream = FORMATS["3 blocks"]
    again = genuine(stream, 4)
    assert len(again) < RESYNC_PACKETS
    assembler = FrameAssembler(stream)
    first = received(assembler, genuine(stream, 200))
    first += assembler.flush() if before else []
    frames = received(assembler, np.concatenate([again, end_of(stream, 4)]))
    assert [frame.number for frame in frames] == ([0, 1, 2, 3] if before else [])
    frames += assembler.flush()
    assert [frame.number for frame in first + frames] == [*range(200), *range(4)]
    assert_whole(frames[-4:], again, stream)
    assert assembler.ended and assembler.counts.resyncs == 1


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.05, 0.3, 0.9]),
    st.sampled_from([7, 4000]),
)
def test_what_is_kept_has_bounds_whatever_comes(name, seed, share, batch):
    """Any numbers with right checks, in any mixture: every packet is counted, few frames are open."""
    stream, rng = FORMATS[name], np.random.default_rng(seed)
    packets = genuine(stream, 1 + 600 // stream.blocks)
    count = 600
    rows = packets[:count].copy()
    hostile = rng.random(len(rows)) < share
    frames = rng.choice([0, 1, 3, 17, 40, 64, 65, 1000, 65_535], len(rows)) + rng.integers(0, 3, len(rows))
    kinds = rng.choice([TYPE_BLOCK, TYPE_BLOCK, TYPE_END], len(rows))
    for kind in (TYPE_BLOCK, TYPE_END):
        chosen = hostile & (kinds == kind)
        rows[chosen] = forged(stream, frames[chosen], rng.integers(0, stream.blocks, chosen.sum()), kind)
    assembler = FrameAssembler(stream)
    released = []
    for start in range(0, len(rows), batch):
        released += assembler.push(rows[start : start + batch])
        assert len(assembler._open) <= 2 * assembler._tracker.ahead + 3
    released += assembler.flush()
    counts = assembler.counts
    assert not assembler.waiting and len(assembler._tracker._held.all()) == 0
    assert counts.received == counts.used + counts.duplicate + counts.late + counts.out_of_range + counts.end
    assert counts.used == sum(int(frame.arrived.sum()) for frame in released)
