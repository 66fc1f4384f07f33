# SPDX-License-Identifier: GPL-3.0-or-later
"""One judgement of every packet: what the pictures are made of and what the loss trace says agree."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.numbering import RESYNC_PACKETS, Ours, Restart, SequenceTracker
from ds2c2.stream.packets import END_COPIES, FRAME_MODULUS, TYPE_BLOCK, TYPE_END, build_headers, parse_packets
from ds2c2.stream.strays import HELD_STRAYS, Stray
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import DUPLICATE, OK
from ds2c2.traces.tracerecorder import TraceRecorder

FORMAT = StreamFormat(64, 64, bpp=1.0, block_size=32, base_redundancy=1)
N = FORMAT.blocks
# 86 frames of 3 blocks fit into the reordering window.
FEW_BLOCKS = StreamFormat(64, 64, bpp=0.6, block_size=100, base_redundancy=1)


def packets(sequences, stream_format: StreamFormat = FORMAT, first: int = 0) -> np.ndarray:
    """A packet for each sequence number; its block begins with its place in the order of arrival."""
    sequences = np.asarray(sequences, np.int64).reshape(-1)
    frames, indices = np.divmod(sequences, stream_format.blocks)
    headers = build_headers(TYPE_BLOCK, 0, frames % FRAME_MODULUS, indices, stream_format.digest)
    blocks = np.zeros((len(sequences), stream_format.block_size), np.uint8)
    blocks[:, :4] = np.arange(first, first + len(sequences), dtype=">u4").view(np.uint8).reshape(-1, 4)
    return np.concatenate([headers, blocks], axis=1)


def ends(frames: int, stream_format: StreamFormat = FORMAT, copies: int = END_COPIES) -> np.ndarray:
    high, low = divmod(frames, FRAME_MODULUS)
    headers = build_headers(TYPE_END, 0, np.full(copies, high), np.full(copies, low), stream_format.digest)
    return np.concatenate([headers, np.zeros((copies, stream_format.block_size), np.uint8)], axis=1)


def judged(tracker: SequenceTracker, rows: np.ndarray) -> list:
    parsed = parse_packets(rows, FORMAT)
    return list(tracker.judge(parsed, parsed.blocks))


def test_numbers_go_on_where_16_bits_wrap():
    tracker = SequenceTracker(N)
    first = FRAME_MODULUS - 1
    found = judged(tracker, packets(np.arange(first * N, (first + 3) * N)))
    assert [type(one) for one in found] == [Ours] * 3
    assert [(one.frame, len(one.packets)) for one in found] == [(first, N), (first + 1, N), (first + 2, N)]
    assert (tracker.newest, tracker.newest_sequence) == (first + 2, (first + 3) * N)


def test_a_stray_does_not_move_the_stream():
    tracker = SequenceTracker(N)
    judged(tracker, packets(np.arange(20 * N)))
    late, far = judged(tracker, packets([0, 500 * N]))
    assert isinstance(late, Stray) and late.frame == 0
    assert isinstance(far, Stray) and far.frame is None
    assert (tracker.newest, tracker.newest_sequence) == (19, 20 * N)


def test_at_a_restart_the_tracker_stands_where_the_old_sender_ended():
    tracker = SequenceTracker(N)
    judged(tracker, np.concatenate([packets(np.arange(40 * N)), ends(40)]))
    parsed = parse_packets(packets(np.arange(RESYNC_PACKETS)), FORMAT)
    kinds = []
    for one in tracker.judge(parsed, parsed.blocks):
        kinds.append(type(one))
        if isinstance(one, Restart):
            assert (one.frame, len(one.strays), tracker.newest, tracker.total) == (0, RESYNC_PACKETS, 39, 40)
    assert kinds == [Stray] * RESYNC_PACKETS + [Restart] + [Ours] * RESYNC_PACKETS
    assert (tracker.newest, tracker.total) == ((RESYNC_PACKETS - 1) // N, None)


@pytest.mark.parametrize("receiver", ["assembler", "recorder"])
def test_an_end_is_of_the_sender_whose_packets_came_before_it(receiver):
    """One batch with the end of one sender and the beginning of the next."""
    rows = np.concatenate([packets(np.arange(40 * N)), ends(41), packets(np.arange(3 * N))])
    if receiver == "assembler":
        assembler = FrameAssembler(FORMAT)
        frames = assembler.push(rows)
        assert [frame.number for frame in frames] == [*range(41), *range(3)]
        assert assembler.total_frames is None
    else:
        recorder = TraceRecorder(FORMAT)
        recorder.push(rows, None)
        assert not recorder.ended
        trace = recorder.finish()
        assert trace.counts() == {"ok": 43 * N, "missed": N, "crc_fail": 0, "host_drop": 0, "duplicate": 0}


@st.composite
def messes(draw):
    """Packets of a few senders after each other, as a bad link brings them: lost, twice, reordered (some by
    more than links do), with strays among them."""
    stream_format = draw(st.sampled_from([FORMAT, FEW_BLOCKS]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pieces = []
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.sampled_from([0, 1, 5, 70, 300, 30_000, FRAME_MODULUS - 9]))
        sequences = first * stream_format.blocks + np.arange(draw(st.sampled_from([5, 40, 400, 900])))
        if draw(st.booleans()):  # a gap; longer than 64 frames it is a restart
            sequences[len(sequences) // 2 :] += stream_format.blocks * draw(st.sampled_from([3, 60, 64, 65, 200]))
        copies = (rng.random(len(sequences)) >= draw(st.sampled_from([0.0, 0.3]))).astype(int)
        copies += rng.random(len(sequences)) < draw(st.sampled_from([0.0, 0.2]))
        sequences = np.repeat(sequences, copies)
        delays = rng.integers(0, draw(st.sampled_from([1, 8, 250, 600])), len(sequences))
        sequences = sequences[np.argsort(np.arange(len(sequences)) + delays, kind="stable")]
        strange = rng.random(len(sequences)) < draw(st.sampled_from([0.0, 0.02, 0.5]))
        places = rng.integers(0, FRAME_MODULUS * stream_format.blocks, len(sequences))
        pieces.append(np.where(strange, places, sequences))
    return stream_format, np.concatenate(pieces), draw(st.sampled_from([1, 7, 100, 5000])), draw(st.integers(0, 40))


@settings(max_examples=40, deadline=None)
@given(messes())
def test_pictures_and_trace_agree_on_any_mess_of_packets(mess):
    stream_format, sequences, batch, pause = mess
    rows = packets(sequences, stream_format)
    came = np.arange(len(rows))
    assembler, recorder = FrameAssembler(stream_format), TraceRecorder(stream_format)
    frames = []
    for start in range(0, len(rows), batch):
        part = slice(start, start + batch)
        frames += assembler.push(rows[part])
        recorder.push(rows[part], came[part].astype(float))
        if pause and start // batch % pause == 0:  # silence
            frames += assembler.flush(pause=True)
            recorder.settle()
    frames += assembler.flush()
    # In the trace a packet's time is its place in the order of arrival.
    trace, counts = recorder.finish(), assembler.counts
    taken = np.isin(trace.status, (OK, DUPLICATE))
    place = trace.time[taken].astype(int)
    assert np.array_equal(np.sort(place), np.unique(place))
    # The same restarts; packets that are no row of the trace are the assembler's strays.
    assert counts.resyncs == len(trace.resumes)
    assert counts.out_of_range == recorder.counts["out_of_range"] == len(rows) - len(place)
    assert counts.used + counts.duplicate + counts.late == len(place)
    # What is in the pictures is in the trace, as the first copy, of the same frame of the same sender.
    sender = np.searchsorted(trace.resumes, trace.sequence, side="right")
    row_of = dict(zip(place.tolist(), np.flatnonzero(taken).tolist(), strict=True))
    shifts: dict[int, set[int]] = {}
    for frame in frames:
        for used in frame.blocks[frame.arrived, :4].copy().view(">u4")[:, 0].tolist():
            row = row_of[used]
            assert trace.status[row] == OK
            assert sequences[used] % stream_format.blocks == trace.block[row]
            shifts.setdefault(int(sender[row]), set()).add(int(trace.frame[row]) - frame.number)
    assert sum(int(frame.arrived.sum()) for frame in frames) == counts.used
    assert all(len(of_sender) == 1 for of_sender in shifts.values())
    assert shifts.get(0, {0}) == {0}


@pytest.mark.parametrize("first", [0, 5, 12], ids=["from 0", "within", "going on"])
@pytest.mark.parametrize("batch", [1, 1000])
def test_behind_an_end_and_silence_the_first_packets_are_a_sender_that_begins_anew(first, batch):
    """Pictures of three packets each, twelve in a run: fewer than move a stream that is under way."""
    blocks = FEW_BLOCKS.blocks
    assembler, recorder = FrameAssembler(FEW_BLOCKS), TraceRecorder(FEW_BLOCKS)
    frames, sent = [], 0
    for begin in (0, first, first):
        rows = packets(np.arange(begin * blocks, (begin + 12) * blocks), FEW_BLOCKS, first=sent)
        sent += len(rows)
        for start in range(0, len(rows), batch):
            frames += assembler.push(rows[start : start + batch])
            recorder.push(rows[start : start + batch], None)
        last = ends(begin + 12, FEW_BLOCKS)
        frames += assembler.push(last) + assembler.flush()
        recorder.push(last, None)
        recorder.settle()
        assert assembler.ended and not assembler.waiting
    assert [frame.number for frame in frames] == [*range(12), *range(first, first + 12), *range(first, first + 12)]
    assert all(frame.arrived.all() for frame in frames)
    counts = assembler.counts
    assert (counts.used, counts.resyncs, counts.end) == (sent, 2, 3 * END_COPIES)
    assert counts.received == counts.used + counts.end
    trace = recorder.finish()
    assert len(trace) == sent and (trace.status == OK).all() and len(trace.resumes) == 2


def received_alike(pieces: list[np.ndarray | None], stream_format: StreamFormat = FEW_BLOCKS) -> tuple:
    """Frames, counts and trace of packets with silences (None) among them."""
    assembler, recorder = FrameAssembler(stream_format), TraceRecorder(stream_format)
    frames = []
    for rows in pieces:
        if rows is None:
            frames += assembler.flush(pause=True)
            recorder.settle()
            assert not assembler.waiting
        else:
            frames += assembler.push(rows)
            recorder.push(rows, None)
    frames += assembler.flush()
    trace = recorder.finish()
    counts = assembler.counts
    assert counts.resyncs == len(trace.resumes) and counts.out_of_range == recorder.counts["out_of_range"]
    assert counts.used + counts.late == int((trace.status == OK).sum())
    return frames, counts, trace


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "killed"])
def test_a_sender_that_begins_anew_is_followed_though_each_picture_loses_a_block_and_silence_follows_each(ended):
    """Two packets of three come of each picture, never enough to begin a stream between two silences."""
    first = packets(np.arange(20 * 3), FEW_BLOCKS)
    again = [packets([3 * k, 3 * k + 2], FEW_BLOCKS, first=100 + 2 * k) for k in range(6)]
    pieces = [first, *([ends(20, FEW_BLOCKS)] if ended else []), None]
    for rows in again:
        pieces += [rows, None]
    frames, counts, trace = received_alike(pieces)
    assert [frame.number for frame in frames] == [*range(20), *range(6)]
    assert [int(frame.arrived.sum()) for frame in frames[20:]] == [2] * 6
    assert (counts.used, counts.resyncs, counts.out_of_range) == (60 + 12, 1, 0)
    assert trace.counts() == {"ok": 72, "missed": 6, "crc_fail": 0, "host_drop": 0, "duplicate": 0}


@pytest.mark.parametrize("killed", [2, 5, 28, 86, 200])
def test_a_sender_that_was_killed_and_began_anew_gives_its_pictures_to_no_older_one(killed):
    """The link may turn 86 pictures of three packets round; behind silence it turns none."""
    first = packets(np.arange(killed * 3), FEW_BLOCKS)
    again = packets(np.arange(40 * 3), FEW_BLOCKS, first=len(first))
    frames, counts, _ = received_alike([first[:-1], None, again])
    assert [frame.number for frame in frames] == [*range(killed), *range(40)]
    assert (counts.used, counts.resyncs, counts.received) == (len(first) - 1 + 120, 1, len(first) - 1 + 120)
    assert (frames[killed].blocks[:, :4].copy().view(">u4")[:, 0] >= len(first)).all()


def test_a_stream_that_goes_on_behind_silence_moves_nothing_and_a_few_packets_from_before_it_are_late():
    rows = packets(np.arange(30 * 3), FEW_BLOCKS)
    stalled = rows[[40, 41]]
    frames, counts, _ = received_alike([rows[:47], None, stalled, rows[47:62], None, rows[62:]])
    # Of the two pictures that silence cut in two the second halves are late.
    assert [int(frame.arrived.sum()) for frame in frames] == [*[3] * 15, 2, *[3] * 4, 2, *[3] * 9]
    assert (counts.resyncs, counts.late, counts.duplicate, counts.used) == (0, 2, 2, 88)


def test_what_a_second_path_brings_a_second_late_is_a_copy():
    pieces = []
    for k in range(1, 7):
        picture = packets(np.arange(k * N, (k + 1) * N), first=k * N)
        pieces += [picture, None, picture, None]
    frames, counts, trace = received_alike(pieces, FORMAT)
    assert [frame.number for frame in frames] == list(range(1, 7))
    assert (counts.resyncs, counts.duplicate) == (0, 6 * N)
    assert trace.counts()["duplicate"] == 6 * N


def test_what_only_an_older_sender_sent_is_no_copy():
    """Three runs of the same pictures; of the second one picture did not come, with which the third is joined."""
    rows = packets(np.arange(10 * 3), FEW_BLOCKS).reshape(10, 3, -1)
    second = np.concatenate([rows[0], rows[1], rows[3], rows[4]])
    frames, counts, _ = received_alike([np.concatenate(rows), None, second, None, np.concatenate(rows[2:])])
    assert counts.resyncs == 2
    assert [frame.number for frame in frames if frame.arrived.all()] == [*range(10), 0, 1, 3, 4, *range(2, 10)]


@pytest.mark.parametrize("ahead", [1, 2, 9])
def test_one_forged_packet_of_frames_ahead_in_a_pause_moves_nothing(ahead):
    rows = packets(np.arange(6 * N))
    frames, counts, _ = received_alike([rows[:N], None, packets([(1 + ahead) * N]), None, rows[N:]], FORMAT)
    # Where its block lies, that is the forger's.
    whole = [frame for frame in frames if frame.arrived.all()]
    assert [frame.number for frame in whole] == list(range(6))
    assert (counts.resyncs, counts.late) == (0, 0)


@pytest.mark.parametrize("stream_format", [FORMAT, FEW_BLOCKS], ids=["16 blocks", "3 blocks"])
def test_strays_from_everywhere_in_a_pause_move_nothing(stream_format):
    numbers = np.random.default_rng(1).integers(0, FRAME_MODULUS, 512) * stream_format.blocks
    pieces = [packets(np.arange(9), stream_format), None]
    for row in packets(numbers, stream_format):
        pieces += [row[None], None]
    _, counts, _ = received_alike(pieces, stream_format)
    assert counts.resyncs == 0


def test_behind_an_end_and_silence_a_few_strays_begin_nothing():
    assembler = FrameAssembler(FORMAT)
    assembler.push(packets(np.arange(5 * N)))
    assembler.push(ends(5))
    assembler.flush()
    strays = packets([7, 400 * N, 9000 * N, 3 * N])  # one late, the others from anywhere
    assert assembler.push(strays) == [] and assembler.waiting
    assert assembler.flush() == [] and assembler.ended and not assembler.waiting
    counts = assembler.counts
    assert (counts.out_of_range, counts.resyncs, counts.used) == (4, 0, 5 * N)
    # The sender goes on to be heard.
    frames = assembler.push(packets(np.arange(2 * N))) + assembler.flush()
    assert [frame.number for frame in frames] == [0, 1] and counts.resyncs == 1


def test_jumps_in_the_numbering_cost_no_frames_of_memory():
    """Each time as many packets as it takes are 64 frames ahead of those before; the frames between are all given,
    and share one empty content."""
    stream_format = StreamFormat(768, 512, bpp=0.5, block_size=200, base_redundancy=1)
    jumps = 100
    few = np.arange(RESYNC_PACKETS)
    rows = packets((np.arange(jumps)[:, None] * 64 * stream_format.blocks + few).reshape(-1), stream_format)
    assembler = FrameAssembler(stream_format)
    tracemalloc.start()
    try:
        frames = [frame for row in rows for frame in assembler.push(row[None])] + assembler.flush()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    whole = stream_format.blocks * stream_format.block_size
    assert len(frames) == 64 * (jumps - 1) + 1 == assembler.counts.frames
    assert assembler.counts.lost_frames == len(frames) - jumps
    assert used < 2 * jumps * whole + 1e6  # and not len(frames) * whole
    lost = next(frame for frame in frames if not frame.arrived.any())
    assert not lost.blocks.any() and lost.blocks.shape == (stream_format.blocks, stream_format.block_size)
    with pytest.raises(ValueError, match="read-only"):
        lost.blocks[0, 0] = 1


def test_what_a_tracker_keeps_does_not_grow():
    """Strays that never agree, without end."""
    tracker = SequenceTracker(N)
    rows = packets([0, *(N * (np.arange(2000) * 1000 % FRAME_MODULUS))])
    found = [one for row in rows for one in judged(tracker, row[None])]
    assert sum(isinstance(one, Stray) for one in found) > 1900
    assert not any(isinstance(one, Restart) for one in found)
    assert len(tracker._held.all()) <= HELD_STRAYS
