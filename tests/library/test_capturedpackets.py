# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured packets that are not as they should be: far numbers among SSDV, strangers among our own."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from ds2c2.stream.packets import Packetizer
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import Reading, TraceError, read_links

MADE = runpy.run_path(str(Path(__file__).parent / "data" / "make_trace_files.py"))


def captured(tmp_path, payloads, reading=None):
    """The links of packets to these ports, one each 20 ms."""
    frames = [MADE["ethernet"](payload, port) for payload, port in payloads]
    (tmp_path / "a.pcap").write_bytes(MADE["pcap"](frames))
    return read_links(tmp_path / "a.pcap", reading or Reading())


def ssdv(numbers):
    return [(MADE["ssdv"](1, number, False), 5004) for number in numbers]


def test_an_image_with_a_far_number_keeps_its_times(tmp_path):
    links = captured(tmp_path, ssdv([0, 1, 2, 900, 3, 5, 4]))
    (trace,) = links.traces.values()
    assert trace.lost().tolist() == [False] * 6
    assert trace.time.tolist() == pytest.approx([0, 0.02, 0.04, 0.08, 0.12, 0.1])
    assert any("image 1 of 1: 1 packets with numbers far from their neighbours left out" in one for one in links.said)


def test_an_image_that_begins_anew_is_resumed_and_said(tmp_path):
    links = captured(tmp_path, ssdv([*range(2, 400), *range(0, 20)]))
    (trace,) = links.traces.values()
    assert trace.resumes == [400] and trace.lost().sum() == 2 and len(trace) == 420
    assert trace.time[[2, 400]].tolist() == pytest.approx([0, 0.02 * 398])
    assert any("image 1 of 1: the counter began anew once" in one for one in links.said)


def test_a_stranger_of_the_same_size_does_not_spoil_a_capture_of_our_own(tmp_path):
    stream = StreamFormat(64, 64, bpp=0.9, block_size=32, base_bpp=0.1)
    packets = Packetizer(stream, 0).pack(np.zeros((12, 32), np.uint8))
    ours = [(bytes(packet), 5004) for packet in np.delete(packets, 3, axis=0)]
    stranger = (b"z" * stream.packet_bytes, 7001)
    links = captured(tmp_path, [*ours[:5], stranger, *ours[5:]], Reading(stream_format=stream.text))
    assert links.traces[""].lost().tolist() == [number == 3 for number in range(12)]
    assert "1 packets of 1 other flows left out" in links.said
    with pytest.raises(TraceError, match="a.pcap: 1 packets in it and none of this stream: check --format"):
        captured(tmp_path, [stranger], Reading(stream_format=stream.text))
