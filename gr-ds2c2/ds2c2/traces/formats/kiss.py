# SPDX-License-Identifier: GPL-3.0-or-later
"""KISS files, as TNCs and gr-satellites write them: frames between FENDs (Chepponis and Karn 1987).

KISS itself numbers nothing: the packets inside must, see ``payloads``. gr-satellites puts a frame of control
byte 9 with milliseconds since 1970 before each one of data.
"""

from ds2c2.traces.formats.content import Content, Format, Links, Reading
from ds2c2.traces.formats.payloads import all_of, links_of
from ds2c2.traces.packetfates import TraceError

FEND, FESC, TFEND, TFESC = 0xC0, 0xDB, 0xDC, 0xDD
DATA, TIMESTAMP = 0, 9  # command nibbles
TIMESTAMP_BYTES = 8


def frames(data: bytes) -> tuple[list[bytes], list[float], int]:
    """Data frames, their times in seconds (none or one each), and how many frames of other commands there were."""
    packets: list[bytes] = []
    times: list[float] = []
    others, stamp = 0, None
    for part in data.split(bytes([FEND])):
        if not part:
            continue
        # No FESC is left after the first step but those that stood for one.
        frame = part.replace(bytes([FESC, TFEND]), bytes([FEND])).replace(bytes([FESC, TFESC]), bytes([FESC]))
        command, body = frame[0] & 0x0F, frame[1:]
        if command == DATA:
            packets.append(body)
            times += [stamp] if stamp is not None else []
            stamp = None
        elif command == TIMESTAMP and len(body) == TIMESTAMP_BYTES:
            stamp = int.from_bytes(body, "big") / 1000
        else:
            others += 1
    return packets, times, others


def _knows(content: Content) -> bool:
    return content.data[:1] == bytes([FEND]) and content.data.count(FEND) > 1


def _read(content: Content, reading: Reading) -> Links:
    packets, times, others = frames(content.data)
    if not packets:
        raise TraceError(f"{content.path}: no data frame between KISS's FENDs")
    links = links_of(content.path, all_of(packets, times), reading)
    links.said.append(f"{len(packets)} KISS frames{f', {others} of other commands left out' if others else ''}")
    return links


FORMAT = Format("kiss", "KISS frames of packets", _knows, _read)
