# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures of tcpdump and Wireshark, pcap and pcapng: UDP with RTP, our own packets, SSDV or a counter; by dpkt."""

import io
import socket
import struct
from typing import Any

from ds2c2.traces.formats.content import Content, Format, Links, Reading
from ds2c2.traces.formats.payloads import Flow, links_of
from ds2c2.traces.packetfates import TraceError

# First bytes of pcap in both byte orders, in micro- and nanoseconds, and of pcapng.
MAGICS = tuple(
    bytes.fromhex(one) for one in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "0a0d0d0a")
)  # fmt: skip
# Link types of tcpdump.org's list that hold IP without a header of their own.
UDP_BYTES = 8  # of its header
RAW_IP = (12, 14, 101, 228, 229)
# What dpkt was seen to raise beside its own error for bytes that are no packet: lengths that lie, layers in layers.
BROKEN = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError, struct.error)


def _dpkt() -> Any:
    try:
        import dpkt
    except ImportError:
        raise TraceError(
            "captures (pcap, pcapng) need the package dpkt, which is not installed: pip install 'gr-ds2c2[pcap]'"
        ) from None
    return dpkt


def _ip(dpkt: Any, kind: int, frame: bytes) -> Any:
    """The IP packet of a frame, None where it has none."""
    outer = {
        1: dpkt.ethernet.Ethernet, 113: dpkt.sll.SLL, 276: dpkt.sll2.SLL2, 0: dpkt.loopback.Loopback,
        108: dpkt.loopback.Loopback,
    }.get(kind)  # fmt: skip
    if kind in RAW_IP:
        return (dpkt.ip6.IP6 if frame[0] >> 4 == 6 else dpkt.ip.IP)(frame)
    inner = outer(frame).data if outer else None
    return inner if isinstance(inner, dpkt.ip.IP | dpkt.ip6.IP6) else None


def _read(content: Content, reading: Reading) -> Links:
    dpkt = _dpkt()
    flows: dict[str, Flow] = {}
    others, short = 0, 0
    try:
        capture = dpkt.pcap.UniversalReader(io.BytesIO(content.data))
    except (dpkt.dpkt.Error, *BROKEN) as error:
        raise TraceError(f"{content.path}: no capture that can be read ({error})") from None
    try:
        for when, frame in capture:
            try:
                ip = _ip(dpkt, capture.datalink(), frame)
                udp = ip.data if ip is not None else None
            except (dpkt.dpkt.Error, *BROKEN):
                udp = None
            if not isinstance(udp, dpkt.udp.UDP):
                others += 1
                continue
            family = socket.AF_INET if len(ip.src) == 4 else socket.AF_INET6
            ends = [
                f"{socket.inet_ntop(family, end)}:{port}" for end, port in ((ip.src, udp.sport), (ip.dst, udp.dport))
            ]
            flow = flows.setdefault(">".join(ends), Flow())
            flow.packets.append(bytes(udp.data))
            short += len(udp.data) + UDP_BYTES < udp.ulen
            flow.times.append(float(when))
    except (dpkt.dpkt.Error, *BROKEN):
        short += 1
    if not flows:
        raise TraceError(f"{content.path}: no UDP packet in this capture of {others} packets")
    links = links_of(content.path, flows, reading)
    links.said += [f"{others} packets that are no UDP left out"] if others else []
    links.said += [f"{short} packets cut short, by the capture's end or its snap length"] if short else []
    return links


def _knows(content: Content) -> bool:
    return content.data.startswith(MAGICS)


FORMAT = Format("pcap", "pcap or pcapng: RTP, SSDV or ds2c2 over UDP", _knows, _read)
