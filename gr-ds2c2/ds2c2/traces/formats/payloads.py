# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets out of a capture, whose numbers are in their bytes: our own, RTP, SSDV, or a counter at a known place."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ds2c2.stream.packets import PacketParser
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.formats import ssdv
from ds2c2.traces.formats.arrivals import trace_of
from ds2c2.traces.formats.content import Links, Reading
from ds2c2.traces.packetfates import TraceError
from ds2c2.traces.tracerecorder import TraceRecorder

# RTP (RFC 3550): version 2 in the two top bits, payload type, 16-bit sequence number, timestamp, SSRC.
RTP_BYTES, RTP_VERSION, RTP_WRAP = 12, 2, 1 << 16
RTCP_TYPES = range(72, 77)  # payload types that RTCP's packet types 200 to 204 look like (RFC 5761)
MOSTLY = 0.8  # of the packets of a flow: the others may be its control packets


@dataclass
class Flow:
    """Packets of one sender in the order of arrival, and when they came, seconds, where known."""

    packets: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def when(self) -> np.ndarray | None:
        """``float[n]``, None where not known."""
        return np.array(self.times) if len(self.times) == len(self.packets) else None


def links_of(path, flows: dict[str, Flow], reading: Reading) -> Links:
    """The links in flows of packets. Raises ``TraceError``."""
    found = Links({})
    left: dict[str, int] = {}
    for name, flow in flows.items():
        reader = _reader(flow, reading)
        if reader is None:
            left[name] = len(flow.packets)
            continue
        links = reader(f"{path}: {name}" if name else path, flow, reading)
        found.said += [f"{name}: {words}" if name else words for words in links.said]
        for place, (inner, trace) in enumerate(links.traces.items()):
            found.add(path, "/".join(part for part in (name, inner) if part), trace, 0 if place else links.read)
    if not found.traces:
        count = sum(len(flow.packets) for flow in flows.values())
        if reading.stream_format:
            raise TraceError(f"{path}: {count} packets in it and none of this stream: check --format")
        raise TraceError(
            f"{path}: {count} packets in it and none is RTP or SSDV: --format reads ds2c2's own packets, --counter "
            "OFFSET:BYTES any that carry a number at a fixed place"
        )
    if left:
        found.said.append(f"{sum(left.values())} packets of {len(left)} other flows left out")
    if len(found.traces) == 1:
        found.traces = {"": next(iter(found.traces.values()))}
    return found


def _reader(flow: Flow, reading: Reading):
    if reading.stream_format:
        return _ours if _any_of(StreamFormat.parse(reading.stream_format), flow.packets) else None
    if reading.counter:
        return _counted
    if sum(map(_is_rtp, flow.packets)) >= MOSTLY * len(flow.packets):
        return _rtp
    if sum(map(ssdv.is_packet, flow.packets)) >= MOSTLY * len(flow.packets):
        return lambda path, flow, reading: ssdv.links_of(path, flow.packets, reading, flow.when)
    return None


def _any_of(stream: StreamFormat, packets: Sequence[bytes]) -> bool:
    """Whether one of these is of the stream, whatever else has its size."""
    alike = [data for data in packets if len(data) == stream.packet_bytes]
    whole = np.frombuffer(b"".join(alike), np.uint8).reshape(len(alike), stream.packet_bytes)
    parsed = PacketParser(stream, 0).parse(whole)
    return len(parsed.places) + len(parsed.ends) > 0


def _ours(path, flow: Flow, reading: Reading) -> Links:
    stream = StreamFormat.parse(reading.stream_format)
    kept = [place for place, data in enumerate(flow.packets) if len(data) == stream.packet_bytes]
    recorder = TraceRecorder(stream, first=reading.first)
    packets = np.frombuffer(b"".join(flow.packets[place] for place in kept), np.uint8)
    when = flow.when
    times = None if when is None else when[kept] - when[kept].min()
    recorder.push(packets.reshape(len(kept), -1), times)
    trace = recorder.finish()
    # A capture is no run of its own.
    for key in ("run", "created"):
        trace.about.pop(key, None)
    other = len(flow.packets) - len(kept)
    said = [f"{other} packets of another size left out"] if other else []
    return Links.one(trace, *said, read=len(kept))


def _is_rtp(data: bytes) -> bool:
    return len(data) >= RTP_BYTES and data[0] >> 6 == RTP_VERSION and data[1] & 0x7F not in RTCP_TYPES


def _rtp(path, flow: Flow, reading: Reading) -> Links:
    sources: dict[int, list[int]] = {}
    for place, data in enumerate(flow.packets):
        if _is_rtp(data):
            sources.setdefault(int.from_bytes(data[8:12], "big"), []).append(place)
    when, links = flow.when, Links({})
    for source, places in sources.items():
        name = f"{source:08x}"
        numbers = np.array([int.from_bytes(flow.packets[place][2:4], "big") for place in places])
        trace, words = trace_of(
            numbers, reading, times=None if when is None else when[places], wrap=RTP_WRAP, where=f"{path}: RTP {name}"
        )
        links.add(path, name, trace, len(places))
        links.said += [f"RTP {name}: {word}" for word in words]
    other = len(flow.packets) - sum(map(len, sources.values()))
    left = f", {other} packets that are none left out" if other else ""
    links.said.append(f"RTP, {len(sources)} source{'s' * (len(sources) != 1)}{left}")
    return links


def _counted(path, flow: Flow, reading: Reading) -> Links:
    offset, size, order = _counter(reading.counter)
    kept = [place for place, data in enumerate(flow.packets) if len(data) >= offset + size]
    numbers = np.array([int.from_bytes(flow.packets[place][offset : offset + size], order) for place in kept], np.int64)
    when = flow.when
    trace, words = trace_of(
        numbers, reading, times=None if when is None else when[kept], wrap=1 << 8 * size, where=str(path)
    )
    short = len(flow.packets) - len(kept)
    words += [f"{short} packets too short for the counter left out"] if short else []
    return Links.one(trace, *words, read=len(kept))


def _counter(text: str) -> tuple[int, int, str]:
    parts = text.split(":")
    try:
        offset, size = map(int, parts[:2])
        order = {"": "big", "be": "big", "le": "little"}[parts[2] if len(parts) == 3 else ""]
        if offset < 0 or not 1 <= size <= 4 or len(parts) > 3:
            raise ValueError
    except (ValueError, KeyError):
        raise TraceError(
            f"--counter {text!r} is not understood; OFFSET:BYTES, 1 to 4 bytes, or OFFSET:BYTES:le"
        ) from None
    return offset, size, order


def all_of(packets: Sequence[bytes], times: Sequence[float] = ()) -> dict[str, Flow]:
    """One flow without a name."""
    return {"": Flow(list(packets), list(times))}
