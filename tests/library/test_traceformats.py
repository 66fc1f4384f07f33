# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss traces of other tools, in and out: small files written by hand, and every round trip."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.channels.channel import read_trace
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.exports import EXPORTS, write_as
from ds2c2.traces.formats.arrivals import trace_of
from ds2c2.traces.losstrace import LossTrace, Reading, TraceError, read_links, read_trace_file

DATA = Path(__file__).parent / "data" / "traces"
LOSSES = [False, False, True, False, False, True, True, False, False, False, True, False]  # of make_trace_files.py


def lost(path, **reading) -> list[bool]:
    return read_trace_file(path, Reading(**reading)).lost().tolist()


def of(trace: LossTrace) -> str:
    """A letter a row: arrived, lost, or again."""
    return "".join("ALxxD"[status] for status in trace.status)


# 0 and 1.


@pytest.mark.parametrize(
    "content",
    [
        b"0110\n", b"0 1 1 0", b"0,1,1,0\r\n", b"[0, 1, 1, 0]", b"# a run\n0;1\n1;0 # the end\n",
        b"\xef\xbb\xbf01\n10\n",
        "0,1,1,0".encode("utf-16"), "0\n1\n1\n0\n".encode("utf-16-le"), "0 1 1 0".encode("utf-16-be"),
        b"0.000e+00 1.000e+00\n1.000e+00 0.000e+00\n", b"// made by hand\n% 2\n0 1 1 0\n",
    ],
)  # fmt: skip
def test_digits_in_any_layout(tmp_path, content):
    """And never a guess about what they mean."""
    (tmp_path / "t.txt").write_bytes(content)
    assert lost(tmp_path / "t.txt", lost="1") == [False, True, True, False]
    assert lost(tmp_path / "t.txt", lost="0") == [True, False, False, True]
    if b"\n1" not in content and b"\n\x001" not in content:
        with pytest.raises(TraceError, match="--lost 1 or --lost 0"):
            read_trace_file(tmp_path / "t.txt")


def test_a_file_says_itself_what_its_digits_mean(tmp_path):
    (tmp_path / "t.txt").write_text("# lost: 0\n0110\n")
    assert lost(tmp_path / "t.txt") == [True, False, False, True]
    assert read_trace(tmp_path / "t.txt").tolist() == [True, False, False, True]  # the Block Erasure Channel's


# Columns.


@pytest.mark.parametrize(
    "content",
    [
        "seq,lost\n7,0\n8,1\n9,1\n10,0\n",
        "seq;received\n7;1\n8;0\n9;0\n10;1\n",
        "Seq No\tReceived\n7\tTrue\n8\tFalse\n10\tyes\n",
        "seq  time\n7 1.5\n10 1.8\n",
        "arrived\n1\n0\n0\n1\n",
        json.dumps([{"seq": 7, "lost": False}, {"seq": 8, "lost": True}, {"seq": 10, "lost": False}]),
        json.dumps({"run": "a", "packets": [{"seq": 7}, {"seq": 10}]}),
        json.dumps({"seq": [10, 7]}),
        '{"seq": 7}\n{"seq": 10}\n',
    ],
)
def test_named_columns(tmp_path, content):
    (tmp_path / "t").write_text(content)
    trace = read_trace_file(tmp_path / "t")
    assert of(trace) == "ALLA"
    assert trace.sequence[0] == (0 if content.startswith("arrived") else 7)


def test_what_only_arrived_of_several_links():
    links = read_links(DATA / "arrived.csv")
    assert {name: of(trace) for name, trace in links.traces.items()} == {"a": "AALALAD", "b": "ALA"}
    assert links.traces["a"].sequence.tolist() == [254, 255, 256, 257, 258, 259, 259]
    assert links.traces["a"].time.tolist()[:2] == [0.0, 1.0]
    assert "link a: counter wraps at 256 (guessed; --wrap says otherwise)" in links.said
    with pytest.raises(TraceError, match="2 links in it: a, b; choose one with --link"):
        read_trace_file(DATA / "arrived.csv")
    assert lost(DATA / "arrived.csv", link="b") == [False, True, False]
    together = read_links(DATA / "arrived.csv", Reading(group=("",), wrap=0, sequence="time_ms", step=1000))
    assert list(together.traces) == [""]


def test_a_column_of_another_name_wants_a_word_about_its_digits(tmp_path):
    (tmp_path / "t.csv").write_text("n,state\n1,0\n2,1\n")
    with pytest.raises(TraceError, match="whether 0 or 1 means lost in column state is not said: --lost"):
        read_trace_file(tmp_path / "t.csv", Reading(fate="state"))
    assert lost(tmp_path / "t.csv", fate="state", lost="0", sequence="n") == [True, False]


@pytest.mark.parametrize("name", ["device_id", "deviceName", "dev_eui", "Station"])
def test_counters_of_several_senders_are_not_mixed(tmp_path, name):
    """Two that are heard in turn, 0 to 49 and 5000 to 5049, each without its every tenth."""
    heard = [(number, sender) for number in range(50) if number % 10 for sender in (0, 5000)]
    text = "".join(f"2026-01-01T00:00:{number:02},{sender},{sender + number}\n" for number, sender in heard)
    (tmp_path / "t.csv").write_text(f"received_at,{name},f_cnt\n{text}")
    links = read_links(tmp_path / "t.csv")
    assert {link: (len(trace), int(trace.lost().sum())) for link, trace in links.traces.items()} == {
        "0": (49, 4),
        "5000": (49, 4),
    }
    assert np.nanmax(links.traces["0"].time) == 48
    with pytest.raises(TraceError, match="numbers are far from their neighbours: .* --group-by names the column"):
        read_links(tmp_path / "t.csv", Reading(group=("",)))


def test_objects_inside_objects_are_read(tmp_path):
    """As The Things Network's storage gives them, an object a line."""

    def uplink(device: str, count: int) -> str:
        return json.dumps({"result": {
            "end_device_ids": {"device_id": device}, "received_at": f"2026-01-01T00:00:{count:02}.123456789Z",
            "uplink_message": {"f_cnt": count, "rx_metadata": [{"snr": 3.5}]},
        }})  # fmt: skip

    (tmp_path / "t").write_text("\n".join(uplink(*one) for one in (("a", 3), ("b", 9), ("a", 5), ("b", 10))))
    links = read_links(tmp_path / "t")
    assert {link: trace.lost().tolist() for link, trace in links.traces.items()} == {
        "a": [False, True, False], "b": [False, False]
    }  # fmt: skip
    assert "sequence from column result.uplink_message.f_cnt (guessed)" in links.said
    assert lost(tmp_path / "t", link="b", sequence="result.uplink_message.f_cnt") == [False, False]


def test_rows_of_other_packets_are_left_out_and_counted(tmp_path):
    (tmp_path / "t.csv").write_text("time,seq\n1700000000.25,7.0\n1700000000.3,\n1700000011.5,9.0\n")
    links = read_links(tmp_path / "t.csv")
    (trace,) = links.traces.values()
    assert trace.lost().tolist() == [False, True, False] and trace.time[[0, 2]].tolist() == [0.0, 11.25]
    assert "1 rows without a number in column seq left out" in links.said
    (tmp_path / "none.csv").write_text("time,seq\n1,\n2,\n")
    with pytest.raises(TraceError, match="column seq is empty in every row"):
        read_links(tmp_path / "none.csv")


def test_who_says_how_many_there_were_has_a_list_of_lost_ones(tmp_path):
    (tmp_path / "t").write_text("1\n3\n4\n")
    assert lost(tmp_path / "t", total=6) == [False, True, False, True, True, False]


@pytest.mark.parametrize(
    ("content", "reading", "words"),
    [
        ("a,b\n1,2\n", {}, "none of its columns (a, b) is known"),
        ("seq,lost\n1,0\n2\n", {}, "line 3: 1 fields; the header names 2"),
        ("seq,lost\n1,0\nx,1\n", {}, "row 2: seq 'x': a whole number"),
        ("seq,lost\n1,maybe\n", {}, "row 1: lost 'maybe': 0 or 1"),
        ("seq,lost\n1,0\n", {"sequence": "nr"}, "no column 'nr'; it has seq, lost"),
        ("seq\n1\n99999999999\n", {}, "--sequence"),
        ("seq\n1\n300\n", {"wrap": 256}, "number 300 does not go with --wrap 256"),
        ("seq\n1\n", {"form": "sigmf"}, "format 'sigmf' of a loss trace is unknown; choose one of trace, pcap"),
        ("12\n15\n15\n19\n", {}, "a Mahimahi trace holds times"),
        ("0\n1\n2\n", {}, "of all that arrived they are read below a first line 'seq', of the lost ones with --total"),
        ("seq,lost\n", {}, "a header and no row below it"),
        ("seq,time,seq\n1,0,5\n2,7,6\n", {}, "two columns are called 'seq'"),
        ("1\tPKT\t2:3\n2\tPKT\t4:4\n", {}, "wfb-ng's log holds totals"),
        ("hello\nyou\n", {}, "a loss trace holds 0 (arrived) and 1 (lost)"),
    ],
)
def test_wrong_files_are_one_line_with_the_remedy(tmp_path, content, reading, words):
    (tmp_path / "bad").write_text(content)
    with pytest.raises(TraceError) as error:
        read_trace_file(tmp_path / "bad", Reading(**reading))
    assert words in str(error.value) and "\n" not in str(error.value)


# Numbers.


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 255), st.lists(st.integers(1, 30), min_size=3, max_size=60), st.integers(0, 3), st.randoms()
)  # fmt: skip
def test_a_counter_that_wraps_is_as_good_as_one_that_does_not(first, steps, swaps, random):
    """With packets that overtake each other and gaps of up to half the counter."""
    numbers = first + np.concatenate([[0], np.cumsum(steps)])
    arrived = numbers.tolist()
    for _ in range(swaps):
        place = random.randrange(len(arrived) - 1)
        arrived[place : place + 2] = arrived[place : place + 2][::-1]
    expected, _ = trace_of(np.array(arrived), Reading(wrap=0, step=1))
    found, _ = trace_of(np.array(arrived) % 256, Reading(wrap=256, step=1))
    assert of(found) == of(expected)
    assert found.lost().sum() == numbers[-1] - numbers[0] + 1 - len(numbers)


def test_a_sender_that_restarts_and_a_damaged_number():
    trace, said = trace_of(np.array([*range(500), 0, 1, 3, 900_000, 4]), Reading())
    assert trace.resumes == [500] and of(trace)[500:] == "AALAA" and len(trace) == 505
    assert any("restarted" in words for words in said) and any("far from their neighbours" in words for words in said)


def test_a_counter_that_jumps_is_named():
    trace, said = trace_of(np.array([*range(1000), 900_000]), Reading())
    assert trace.lost().sum() == 899_000
    assert "899000 packets in a row after number 999 counted as lost; if the counter jumped there, cut the file" in said
    assert trace_of(np.array([*range(1000), *range(1900, 3000)]), Reading())[1] == []


def test_first_and_step_say_what_the_numbers_cannot():
    trace, _ = trace_of(np.array([4, 6, 10]), Reading(first=0, step=2))
    assert of(trace) == "LLAALA"
    guessed, said = trace_of(np.arange(100, 200, 2), Reading())
    assert of(guessed) == "A" * 50 and "steps of 2" in said[0]


# Captures.


@pytest.mark.parametrize("name", ["rtp.pcap", "rtp.pcapng"])
def test_rtp_in_a_capture(name):
    links = read_links(DATA / name)
    (trace,) = links.traces.values()
    assert trace.lost().tolist() == LOSSES and trace.sequence[0] == 65530
    assert trace.time[0] == 0 and trace.time[~trace.lost()][-1] == pytest.approx(0.16)
    assert "1 packets of 1 other flows left out" in links.said


def test_a_capture_that_was_cut_off_gives_what_it_has(tmp_path):
    (tmp_path / "cut.pcap").write_bytes((DATA / "rtp.pcap").read_bytes()[:-10])
    links = read_links(tmp_path / "cut.pcap")
    assert next(iter(links.traces.values())).lost().tolist() == LOSSES[:10]
    assert "1 packets cut short, by the capture's end or its snap length" in links.said


def test_our_own_packets_in_a_capture(tmp_path):
    from ds2c2.stream.packets import Packetizer

    made = runpy.run_path(str(DATA.parent / "make_trace_files.py"))
    stream = StreamFormat(64, 64, bpp=0.9, block_size=32, base_bpp=0.1)
    packets = Packetizer(stream, 0).pack(np.zeros((12, 32), np.uint8))
    arrived = [made["ethernet"](bytes(packet)) for packet, gone in zip(packets, LOSSES, strict=True) if not gone]
    (tmp_path / "ours.pcap").write_bytes(made["pcap"](arrived))
    trace = read_trace_file(tmp_path / "ours.pcap", Reading(stream_format=stream.text))
    assert trace.lost().tolist() == LOSSES and trace.stream_format == stream
    with pytest.raises(TraceError, match="--format reads ds2c2's own packets, --counter"):
        read_trace_file(tmp_path / "ours.pcap")


@pytest.mark.parametrize("name", ["images.ssdv", "images.kiss"])
def test_ssdv_images(name):
    """The first image is known to be whole; where the second one ended nobody knows."""
    trace = read_trace_file(DATA / name)
    assert of(trace) == "AAAAAALAALA" and trace.resumes == []


def test_an_image_whose_end_is_not_known_is_followed_by_a_gap(tmp_path):
    data = (DATA / "images.ssdv").read_bytes()
    damaged = bytearray(data[:256])
    damaged[50] ^= 1
    (tmp_path / "t.ssdv").write_bytes(bytes(damaged) + b"\x00noise" + data[256 : 5 * 256] + data[6 * 256 :])
    links = read_links(tmp_path / "t.ssdv")
    assert of(links.traces[""]) == "LAAAALAALA" and links.traces[""].resumes == [5]
    assert any("wrong CRC" in words for words in links.said)


def test_kiss_frames_with_a_counter():
    assert lost(DATA / "counter.kiss", counter="3:1") == LOSSES
    assert lost(DATA / "counter.kiss", counter="2:1") == LOSSES
    with pytest.raises(TraceError, match="none is RTP or SSDV"):
        read_trace_file(DATA / "counter.kiss")
    with pytest.raises(TraceError, match="'3' is not understood; OFFSET:BYTES"):
        read_trace_file(DATA / "counter.kiss", Reading(counter="3"))


def test_a_log_of_radiosonde_auto_rx():
    trace = read_trace_file(DATA / "sonde.log")
    assert of(trace) == "AALLA" and trace.sequence[0] == 100
    assert trace.time[~trace.lost()].tolist() == [0, 1, 4]
    assert trace.snr_db[0] == 12.5 and np.isnan(trace.snr_db[1])


def test_iperf3_knows_totals_only():
    with pytest.raises(
        TraceError, match="counts losses per interval .4 of them., not packet by packet: --within start"
    ):
        read_trace_file(DATA / "iperf3.json")
    start, spread = (read_trace_file(DATA / "iperf3.json", Reading(within=how)).lost() for how in ("start", "spread"))
    assert start.tolist() == [n in (0, 1, 15, 16, 17) for n in range(21)]
    assert spread.sum() == 5 and not (spread[1:] & spread[:-1]).any()


def test_iperf3s_stream_of_events_is_read_as_its_json(tmp_path):
    whole = json.loads((DATA / "iperf3.json").read_text())
    events = [("start", {}), *(("interval", one) for one in whole["intervals"]), ("end", whole["end"])]
    (tmp_path / "s").write_text("".join(json.dumps({"event": name, "data": data}) + "\n" for name, data in events))
    assert lost(tmp_path / "s", within="start") == lost(DATA / "iperf3.json", within="start")


def test_losses_that_iperf3_has_no_packets_for_are_counted(tmp_path):
    streams = [{"streams": [{"socket": 1, "packets": 50, "lost_packets": count}]} for count in (3, 90)]
    (tmp_path / "a.json").write_text(json.dumps({"intervals": streams, "end": {}}))
    links = read_links(tmp_path / "a.json", Reading(within="spread"))
    assert links.traces[""].lost().sum() == 53
    assert "40 losses that the last intervals have no packets for left out" in links.said


def test_a_folder_is_as_many_links(tmp_path):
    (tmp_path / "a.txt").write_text("0\n1\n")
    (tmp_path / "b.csv").write_bytes((DATA / "arrived.csv").read_bytes())
    (tmp_path / "notes.md").write_text("windy\n")
    links = read_links(tmp_path)
    assert list(links.traces) == ["a.txt", "b.csv/a", "b.csv/b"]
    assert any(words.startswith("left out: ") and "notes.md" in words for words in links.said)


# Out.


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=50), st.sampled_from(["trace", *EXPORTS]))
def test_what_is_written_for_another_tool_is_read_again(tmp_path_factory, losses, form):
    path = write_as(tmp_path_factory.mktemp("out") / "t", LossTrace.from_losses(np.array(losses)), form)
    reading = Reading(form="indices", total=len(losses)) if form in ("indices", "inet") else Reading()
    assert read_trace_file(path, reading).lost().tolist() == losses


def test_a_trace_of_which_nothing_is_known_is_not_written(tmp_path):
    trace = LossTrace.from_losses(np.zeros(0, bool))
    with pytest.raises(TraceError, match="a trace of none is no trace"):
        write_as(tmp_path / "some" / "t", trace, "digits")
    assert not list(tmp_path.iterdir())


def test_lists_of_lost_packets_begin_at_0(tmp_path):
    trace = LossTrace.from_losses(np.array(LOSSES))
    assert write_as(tmp_path / "ns3", trace, "indices").read_text() == "2\n5\n6\n10\n"
    assert write_as(tmp_path / "inet", trace, "inet").read_text() == '**.dropsVector = "2; 5; 6; 10"\n'
    assert lost(tmp_path / "inet") == LOSSES[:11]
