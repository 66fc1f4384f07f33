# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON of iperf3's UDP tests: losses counted in each interval, not packet by packet.

Where in its interval a loss stood is not known. ``Reading.within`` says where to put them: ``start`` (together,
the longest bursts that go with the counts) or ``spread`` (evenly, the shortest); the truth lies between.
"""

from typing import Any

import numpy as np

from ds2c2.traces.formats.content import MOST_ROWS, Content, Format, Links, Reading, check_rows
from ds2c2.traces.packetfates import LossTrace, TraceError, shown

WITHIN = {"start": "put together at each interval's start", "spread": "spread evenly over each interval"}


def _whole(found: Any) -> Any:
    """What `iperf3 --json` writes at once, of the events that `--json-stream` writes as they come."""
    if not isinstance(found, list) or not all(isinstance(one, dict) and {*one} == {"event", "data"} for one in found):
        return found
    intervals = [one["data"] for one in found if one["event"] == "interval"]
    ends = [one["data"] for one in found if one["event"] == "end"]
    server = [one["data"] for one in found if one["event"] == "server_output_json"]
    return {"intervals": intervals, "end": ends[0] if ends else {}, "server_output_json": server[0] if server else {}}


def _knows(content: Content) -> bool:
    found = _whole(content.json)
    return isinstance(found, dict) and "intervals" in found and "end" in found


def _read(content: Content, reading: Reading) -> Links:
    found = _whole(content.json)
    if not isinstance(found, dict):
        raise TraceError(f"{content.path}: no JSON of iperf3 (`iperf3 --json`)")
    try:
        streams = _streams(found) or _streams(found.get("server_output_json") or {})
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        # Python's own words name nothing of the file.
        what = f": {error}" if isinstance(error, _Odd) else ""
        raise TraceError(
            f"{content.path}: intervals that are not as iperf3 writes them{what}; `iperf3 --json` writes them anew"
        ) from None
    if not streams:
        raise TraceError(
            f"{content.path}: iperf3 counted no losses in intervals here; they are with the receiver of a UDP test: "
            "the server's JSON, or the client's with -R or --get-server-output"
        )
    if reading.within not in WITHIN:
        count = max(map(len, streams.values()))
        raise TraceError(
            f"{content.path}: iperf3 counts losses per interval ({count} of them), not packet by packet: --within "
            "start puts an interval's losses together at its start, --within spread spreads them evenly; neither is "
            "the link's truth"
        )
    check_rows(content.path, sum(packets for counts in streams.values() for packets, _ in counts))
    traces, beyond = {}, 0
    for name, counts in streams.items():
        pieces, owed = [], 0
        for packets, lost in counts:
            # A late packet makes the next interval's count smaller, even negative.
            owed += lost
            now = min(max(owed, 0), packets)
            owed -= now
            pieces.append(_placed(packets, now, reading.within))
        beyond += abs(owed)
        traces[name if len(streams) > 1 else ""] = LossTrace.from_losses(np.concatenate(pieces))
    said = [f"only totals of intervals are known; losses {WITHIN[reading.within]}"]
    if beyond:
        said.append(f"{beyond} losses that the last intervals have no packets for left out")
    return Links(traces, said, sum(map(len, traces.values())))


class _Odd(ValueError):
    """What iperf3 does not write, in our words."""


def _count(stream: dict, name: str, least: int) -> int:
    """A stream's whole number of this name. Raises ``_Odd``."""
    if name not in stream:
        raise _Odd(f"{name} is missing")
    value = stream[name]
    try:
        if isinstance(value, int | float) and int(value) == value >= least:
            return int(value)
    except (ValueError, OverflowError):  # not a number, and infinity
        pass
    raise _Odd(f"{name} {shown(value)}: a whole number, {least} or more, is wanted")


def _streams(found: Any) -> dict[str, list[tuple[int, int]]]:
    """Packets and losses of each interval, by the stream's socket."""
    streams: dict[str, list[tuple[int, int]]] = {}
    for interval in found.get("intervals", ()):
        for stream in interval.get("streams", ()):
            if "lost_packets" in stream and not stream.get("omitted"):
                counts = _count(stream, "packets", 0), _count(stream, "lost_packets", -MOST_ROWS)
                streams.setdefault(str(stream.get("socket", "")), []).append(counts)
    return {name: counts for name, counts in streams.items() if any(packets for packets, _ in counts)}


def _placed(packets: int, lost: int, within: str) -> np.ndarray:
    places = np.arange(packets)
    if within == "start":
        return places < lost
    return (places + 1) * lost // max(packets, 1) > places * lost // max(packets, 1)


FORMAT = Format("iperf3", "JSON of an iperf3 UDP test", _knows, _read)
