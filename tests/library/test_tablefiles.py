# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of other tools with what is rare in them: units in names, far numbers, names with signs of their own."""

import json

import pytest

from ds2c2.traces.exports import write_as
from ds2c2.traces.losstrace import LossTrace, Reading, TraceError, read_links, read_trace_file


@pytest.mark.parametrize(
    "name", ["time_ms", "Time (ms)", "time ms", "time-ms", "TIME [ms]", "rx.time-ms", "rx.Time(ms)"]
)
def test_the_unit_in_a_columns_name_counts_however_it_is_written(tmp_path, name):
    (tmp_path / "t.csv").write_text(f"seq,{name}\n1,1000\n2,1500\n")
    assert read_trace_file(tmp_path / "t.csv").time.tolist() == [0, 0.5]


def test_two_links_that_would_have_one_name_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,seq\nx/y,z,1\nx/y,z,2\nx,y/z,7\n")
    words = "row 3: 'x' and 'y/z' would be link 'x/y/z', as 'x/y' and 'z' are: write one of them without /"
    with pytest.raises(TraceError, match=words):
        read_links(tmp_path / "t.csv", Reading(group=("a", "b")))
    assert list(read_links(tmp_path / "t.csv", Reading(group=("a",))).traces) == ["x/y", "x"]


def test_a_long_cell_is_cut_in_an_error(tmp_path):
    for column in ("seq", "lost"):
        (tmp_path / "t.csv").write_text(f"n,{column}\n1,{'9' * 5000}\n")
        with pytest.raises(TraceError, match="9{39}[.]{3}: ") as error:
            read_trace_file(tmp_path / "t.csv")
        assert len(str(error.value)) < 300


def test_a_lost_packet_has_no_time(tmp_path):
    (tmp_path / "t.csv").write_text("seq,time,lost\n1,9,1\n2,10,0\n3,11,1\n4,12.5,0\n")
    time = read_trace_file(tmp_path / "t.csv").time
    assert [None if value != value else value for value in time.tolist()] == [None, 0, None, 2.5]


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ({"lost_packets": 1}, "writes them: packets is missing; `iperf3 --json`"),
        ({"lost_packets": 1, "packets": float("inf")}, "packets inf: a whole number, 0 or more, is wanted"),
        ({"lost_packets": 1, "packets": float("nan")}, "packets nan: a whole number"),
        ({"lost_packets": "x" * 99, "packets": 3}, f"lost_packets '{'x' * 39}...: a whole number"),
        ({"lost_packets": 1, "packets": -3}, "packets -3: a whole number, 0 or more"),
        (5, "intervals that are not as iperf3 writes them; `iperf3 --json`"),
    ],
)
def test_odd_intervals_of_iperf3_are_named_in_plain_words(tmp_path, stream, words):
    (tmp_path / "a.json").write_text(json.dumps({"intervals": [{"streams": [stream]}], "end": {}}))
    with pytest.raises(TraceError) as error:
        read_trace_file(tmp_path / "a.json", Reading(within="start"))
    assert words in str(error.value) and "Error" not in str(error.value)


@pytest.mark.parametrize("number", ["9" * 5000, str(1 << 62), "x" * 99])
def test_numbers_at_which_no_trace_resumes_are_refused(tmp_path, number):
    path = write_as(tmp_path / "t.csv", LossTrace.from_losses([False, True], about={"resumes": f"1 {number}"}), "trace")
    with pytest.raises(TraceError, match=f"resumes '{number[:19]}.*: sequence numbers, with spaces") as error:
        read_trace_file(path)
    assert len(str(error.value)) < 300
