# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss traces: the file's every line, and the recorder against streams made by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.channels.channel import BlockChannel, read_trace
from ds2c2.errors import FileError
from ds2c2.stream.packets import HEADER_BYTES, TYPE_BLOCK, TYPE_END, build_headers
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import COLUMNS, STATUSES, LossTrace, TraceError, read_trace_file, write_trace
from ds2c2.traces.tracerecorder import TraceRecorder

GOLDEN = Path(__file__).parent / "data" / "trace-1.csv"
FORMAT = StreamFormat(64, 64, bpp=0.9, block_size=32, base_bpp=0.1, base_redundancy=1)
N = FORMAT.blocks


def rows(trace: LossTrace) -> list[tuple[int, str]]:
    return [(int(s), STATUSES[k]) for s, k in zip(trace.sequence, trace.status, strict=True)]


def assert_same(one: LossTrace, other: LossTrace) -> None:
    assert one.about == other.about
    for name in COLUMNS:
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name in ("time", "snr_db", "cfo")), (
            name
        )


# The file.


def test_golden_file():
    trace = read_trace_file(GOLDEN)
    assert trace.about["run"] == "golden" and trace.about["link"] == "ofdm qpsk"
    assert trace.stream_format.blocks == 14
    assert rows(trace) == [
        (12, "ok"), (13, "missed"), (14, "crc_fail"), (15, "ok"), (15, "duplicate"), (16, "host_drop"), (40, "ok"),
    ]  # fmt: skip
    assert trace.frame.tolist() == [0, 0, 1, 1, 1, 1, 2] and trace.block.tolist() == [12, 13, 0, 1, 1, 2, 12]
    assert trace.resumes == [40]
    assert trace.lost().tolist() == [False, True, True, False, False]
    assert trace.lost(host_drops=True).tolist() == [False, True, True, False, True, False]
    assert trace.counts() == {"ok": 3, "missed": 1, "crc_fail": 1, "host_drop": 1, "duplicate": 1}
    assert trace.snr_db[0] == 21.5 and np.isnan(trace.snr_db[1]) and trace.overruns.sum() == 1


def test_golden_file_is_written_as_it_was_read(tmp_path):
    assert write_trace(tmp_path / "again.csv", read_trace_file(GOLDEN)).read_bytes() == GOLDEN.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.csv"]


real = st.one_of(st.just(float("nan")), st.floats(allow_nan=False, allow_infinity=False))
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), real, real, real, st.integers(0, 9)), min_size=1),
    st.integers(0, 1 << 40),
    st.dictionaries(st.from_regex(r"[b-d][a-z0-9_]{0,8}", fullmatch=True), text),
)
def test_what_is_written_is_read(tmp_path_factory, packets, start, about):
    """Any statuses, repeats, numbers and words come back bit for bit."""
    columns: dict[str, list] = {name: [] for name in COLUMNS}
    for place, (status, repeats, *reals, events) in enumerate(packets):
        for repeat in range(repeats + 1):
            kind = STATUSES.index("duplicate") if repeat else status
            for name, value in zip(COLUMNS, (start + place, 0, 0, reals[0], kind, *reals[1:], events, 0), strict=True):
                columns[name].append(value)
    trace = LossTrace(**columns, about=about)
    assert_same(read_trace_file(write_trace(tmp_path_factory.mktemp("traces") / "t.csv", trace)), trace)


def test_plain_text_is_a_trace_too(tmp_path):
    (tmp_path / "plain.txt").write_text("0\n1\n\n1\r\n0\n")
    assert read_trace_file(tmp_path / "plain.txt").lost().tolist() == [False, True, True, False]


def test_the_emulated_channel_replays_the_file():
    lost = read_trace(GOLDEN)
    assert lost.tolist() == [False, True, True, False, False]
    assert BlockChannel(0, "trace", trace=lost).draw(7).tolist() == [*lost, *lost[:2]]


GOOD = GOLDEN.read_text().splitlines()
HEADER = GOOD.index(",".join(COLUMNS))


@pytest.mark.parametrize(
    ("line", "content", "words"),
    [
        (0, "# ds2c2 loss trace 2", "line 1 is another version of a loss trace"),
        (0, "# something", "line 1 is not the first line of a loss trace"),
        (0, "sequence,frame", "line 1 is not the first line of a loss trace"),
        (1, "# no colon", "line 2: '# no colon' is not understood"),
        (HEADER, "sequence,frame", f"line {HEADER + 1}: the columns sequence,frame,"),
        (HEADER + 1, "12,0,12", f"line {HEADER + 2}: 3 fields; 9 are wanted"),
        (HEADER + 1, "12,0,12,0.1,fine,,,0,0", f"line {HEADER + 2}: status 'fine': one of ok, missed"),
        (HEADER + 1, "12,0,12,soon,ok,,,0,0", f"line {HEADER + 2}: time 'soon': a number"),
        (HEADER + 1, "12,0,12,inf,ok,,,0,0", f"line {HEADER + 2}: time 'inf': a number"),
        (HEADER + 1, "12,0,12,,ok,,,-1,0", f"line {HEADER + 2}: underruns '-1': a whole number"),
        (HEADER + 1, "12,0,12,,duplicate,,,0,0", f"line {HEADER + 2}: a duplicate of nothing"),
        (HEADER + 1, "12,0,11,,ok,,,0,0", f"line {HEADER + 2}: frame 0 and block 11 are not sequence 12"),
        (HEADER + 2, "# gone", f"line {HEADER + 4}: sequence 14 after 12"),
        (HEADER + 5, "16,1,2,,duplicate,,,0,0", f"line {HEADER + 6}: sequence 16 after 15"),
        (3, "# format: ds2c2/1 64x", "a '# key: value' line is not understood: stream format"),
        (4, "# resumed_at: soon", "line is not understood: resumed_at 'soon': sequence numbers, with"),
        (4, "# resumes: never", "line is not understood: resumes 'never': sequence numbers, with"),
    ],
)
def test_a_malformed_file_names_its_line(tmp_path, line, content, words):
    lines = [*GOOD]
    lines[line] = content
    (tmp_path / "bad.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(TraceError) as error:
        read_trace_file(tmp_path / "bad.csv")
    assert "bad.csv" in str(error.value) and words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; a trace of at least one packet"),
        (b"\xff\xfe\x00", "neither text nor in one of these formats"),
        ("\n".join(GOOD[: HEADER + 1]).encode(), "without a packet"),
        ("\n".join(GOOD[:HEADER]).encode(), f"line {HEADER + 1}: the columns"),
        (None, "no readable loss trace (No such file"),
    ],
)
def test_a_file_without_packets(tmp_path, content, words):
    if content is not None:
        (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(TraceError) as error:
        read_trace_file(tmp_path / "bad.csv")
    assert words in str(error.value)


def test_a_trace_that_cannot_be_written(tmp_path):
    trace = LossTrace.from_losses(np.array([True]))
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        write_trace(tmp_path / "file" / "trace.csv", trace)
    trace.about["No key"] = "x"
    with pytest.raises(TraceError, match="key 'No key'"):
        write_trace(tmp_path / "trace.csv", trace)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# The recorder.


def packet(sequence: int, kind: int = TYPE_BLOCK, stream: int = 0, digest: int = FORMAT.digest) -> np.ndarray:
    frame, index = divmod(sequence, N) if kind == TYPE_BLOCK else divmod(sequence, 1 << 16)
    header = build_headers(kind, stream, np.array([frame % 65536]), np.array([index]), digest)[0]
    return np.concatenate([header, np.full(FORMAT.block_size, sequence % 251, np.uint8)])


def push(recorder: TraceRecorder, sequences, piece: int = 7) -> None:
    """Packets a millisecond apart, as many at a time as a flowgraph might bring."""
    sequences = list(sequences)
    for start in range(0, len(sequences), piece):
        part = sequences[start : start + piece]
        recorder.push(np.array([packet(s) for s in part]), np.array([s / 1000 for s in part]))


def test_what_did_not_come_is_missed_between_the_first_and_the_last_seen():
    recorder = TraceRecorder(FORMAT, about={"run": "1"})
    push(recorder, [20, 21, 24, 23, 60])
    trace = recorder.finish()
    assert trace.sequence.tolist() == list(range(20, 61))
    assert np.flatnonzero(~trace.lost()).tolist() == [0, 1, 3, 4, 40]
    assert trace.frame.tolist() == [s // N for s in range(20, 61)]
    assert trace.time[0] == 0.02 and np.isnan(trace.time[2])
    assert trace.about["format"] == FORMAT.text and trace.about["run"] == "1" and trace.about["unattributed"] == "0"


@pytest.mark.parametrize("told", ["by packets", "by packets before", "by the caller"])
def test_a_known_start_and_end_are_missed_too(told):
    recorder = TraceRecorder(FORMAT, first=0)
    end = [packet(4, TYPE_END)] * 3
    if told == "by packets before":
        recorder.push(np.array(end), np.zeros(3))
    push(recorder, [N + 1])
    if told == "by packets":
        recorder.push(np.array(end), np.zeros(3))
    trace = recorder.finish(4 if told == "by the caller" else None)
    assert trace.sequence.tolist() == list(range(4 * N))
    assert np.flatnonzero(~trace.lost()).tolist() == [N + 1]


def test_a_stream_lost_as_a_whole():
    recorder = TraceRecorder(FORMAT)
    with pytest.raises(TraceError, match="no packet of this stream came"):
        recorder.finish()
    assert recorder.finish(2).lost().tolist() == [True] * 2 * N


def test_duplicates_follow_their_packet():
    recorder = TraceRecorder(FORMAT)
    push(recorder, [0, 1, 1, 2, 0])
    assert rows(recorder.finish()) == [(0, "ok"), (0, "duplicate"), (1, "ok"), (1, "duplicate"), (2, "ok")]


def test_numbers_go_on_where_16_bits_wrap():
    """Joined 40 frames before the wrap, with a loss across it."""
    first = 65496 * N
    kept = [s for s in range(first, first + 80 * N) if not 65535 * N + 3 <= s < 65536 * N + 5]
    recorder = TraceRecorder(FORMAT)
    push(recorder, kept, 100)
    recorder.push(np.array([packet(65576, TYPE_END)]), np.zeros(1))
    trace = recorder.finish()
    assert trace.sequence.tolist() == list(range(first, first + 80 * N))
    assert trace.sequence[~trace.lost()].tolist() == kept
    assert trace.frame.max() == 65575 and "resumes" not in trace.about


def test_a_damaged_packet_is_known_by_its_header():
    recorder = TraceRecorder(FORMAT)
    early, torn = packet(1), packet(5)
    early[HEADER_BYTES + 3] ^= 0xFF
    torn[3] ^= 1
    recorder.failed(early, 0.001, "crc_fail", 9.0, 0.002)
    push(recorder, [0, 2, 3])
    recorder.failed(torn, 0.005)
    recorder.failed(None, 0.005, "header_fail")
    recorder.failed(packet(4), 0.006, "header_fail")
    recorder.failed(packet(4), 0.004)
    push(recorder, [6])
    # By accident a header may check and name a far place: that is no packet of the stream.
    recorder.failed(packet(20 * N), 0.01)
    recorder.failed(packet(5, stream=3), 0.01)
    trace = recorder.finish()
    assert [kind for _, kind in rows(trace)] == ["ok", "crc_fail", "ok", "ok", "crc_fail", "missed", "ok"]
    assert (trace.snr_db[1], trace.cfo[1], trace.time[4]) == (9.0, 0.002, 0.004)
    assert trace.about["unattributed"] == "5" and trace.about["foreign"] == "0"


def test_packets_of_others_are_counted():
    recorder = TraceRecorder(FORMAT)
    push(recorder, [0, 1])
    others = np.array(
        [packet(2, stream=1), packet(2, digest=FORMAT.digest ^ 1), np.full(len(packet(0)), 0xFF, np.uint8)]
    )
    recorder.push(others, np.zeros(3))
    push(recorder, [500 * N])
    push(recorder, [2])
    trace = recorder.finish()
    assert trace.lost().tolist() == [False] * 3
    counted = {key: trace.about[key] for key in ("foreign", "other_format", "malformed", "out_of_range", "end")}
    assert counted == {"foreign": "1", "other_format": "1", "malformed": "1", "out_of_range": "1", "end": "0"}


@pytest.mark.parametrize("piece", [1, 7, 50])
def test_a_sender_that_restarts_gets_the_numbers_after(piece, tmp_path):
    recorder = TraceRecorder(FORMAT)
    push(recorder, range(30 * N), piece)
    push(recorder, (s for s in range(5, 6 * N) if s != 40), piece)
    trace = recorder.finish(6)
    (resumed,) = trace.resumes
    assert resumed % N == 5 and resumed > 30 * N
    first, second = trace.sequence < resumed, trace.sequence >= resumed
    assert not trace.status[first].any() and first.sum() == 30 * N
    assert (trace.sequence[second] - resumed).tolist() == list(range(6 * N - 5))
    assert (trace.sequence[second][trace.lost()[second]] - resumed).tolist() == [35]
    assert_same(read_trace_file(write_trace(tmp_path / "trace.csv", trace)), trace)


def test_a_packet_later_than_links_reorder_is_used():
    recorder = TraceRecorder(FORMAT)
    push(recorder, [0, 2])
    push(recorder, range(3, 20 * N))
    push(recorder, [1, 2, 20 * N])
    trace = recorder.finish()
    assert trace.counts() == {"ok": 20 * N + 1, "missed": 0, "crc_fail": 0, "host_drop": 0, "duplicate": 1}


def test_losses_at_a_host_event_are_the_hosts():
    recorder = TraceRecorder(FORMAT, host_window=0.0)
    push(recorder, [s for s in range(60) if not 10 <= s < 14 and not 30 <= s < 33])
    recorder.host_event("overrun", 0.0115)
    recorder.host_event("underrun", 0.04)
    recorder.host_event("late", 0.04)
    trace = recorder.finish()
    assert trace.counts() == {"ok": 53, "missed": 3, "crc_fail": 0, "host_drop": 4, "duplicate": 0}
    assert [STATUSES[k] for k in trace.status[10:14]] == ["host_drop"] * 4
    assert (trace.overruns[9], trace.underruns[40], trace.overruns.sum() + trace.underruns.sum()) == (1, 2, 3)
    assert trace.lost().sum() == 3 and len(trace.lost()) == 56
    with pytest.raises(TraceError, match="'hiccup' is unknown; choose one of underrun, overrun, late"):
        recorder.host_event("hiccup", 0.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 65535), st.lists(st.booleans(), min_size=1, max_size=300), st.integers(1, 50), st.randoms())
def test_any_losses_and_reordering_are_found_again(frame, arrives, piece, random):
    """Packets at most 8 places from where they belong, losses anywhere, numbers that may wrap."""
    kept = [frame * N + place for place, came in enumerate(arrives) if came] or [frame * N]
    order = sorted(kept, key=lambda s: s + random.random() * 8)
    recorder = TraceRecorder(FORMAT)
    push(recorder, order, piece)
    trace = recorder.finish()
    begun = trace.sequence[0] - kept[0]
    # Joined after a wrap by a reordered start, the numbers are one round on; else the same.
    assert begun in (0, -65536 * N)
    assert (trace.sequence[trace.status == 0] - begun).tolist() == kept


def test_the_page_shows_the_golden_file():
    page = (Path(__file__).parents[2] / "docs" / "traces.md").read_text(encoding="utf-8")
    assert "".join(f"    {line}\n" for line in GOOD) in page
    for word in (*COLUMNS, *STATUSES):
        assert f"`{word}`" in page
