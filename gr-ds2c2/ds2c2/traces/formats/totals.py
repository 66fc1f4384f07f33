# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are often taken for loss traces and say nothing of single packets: refused by name."""

import re

from ds2c2.traces.formats.content import Content, Format, Links, Reading
from ds2c2.traces.packetfates import TraceError

MANY = 3  # lines that must agree
LONGEST = 30  # characters of a line with a time
NUMBERS = (
    "; if these are numbers of packets: of all that arrived they are read below a first line 'seq', of the lost ones "
    "with --total PACKETS"
)
_WFB = re.compile(r"\d+\tPKT\t\d+[:\d]*")


def _kind(content: Content) -> str:
    lines = [line for line in content.lines if line.strip()]
    if sum(bool(_WFB.match(line)) for line in lines) >= min(MANY, len(lines)) > 0:
        return "wfb-ng's log holds totals of each interval"
    # isdecimal: int() takes no other digits, such as superscripts.
    if len(lines) >= MANY and all(line.strip().isdecimal() and len(line) < LONGEST for line in lines):
        times = list(map(int, lines))
        if times == sorted(times) and times[-1] > 1:
            return "a Mahimahi trace holds times at which packets may be delivered"
    return ""


def _knows(content: Content) -> bool:
    return bool(content.text) and bool(_kind(content))


def _read(content: Content, reading: Reading) -> Links:
    kind = _kind(content) or "this holds totals"
    raise TraceError(
        f"{content.path}: {kind}, not what became of single packets: no loss trace "
        "can be made of it; capture the packets (pcap) or log their sequence numbers" + NUMBERS * ("Mahimahi" in kind)
    )


FORMAT = Format("totals", "refused: wfb-ng's log, Mahimahi's traces", _knows, _read)
