# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sender may say of a frame in a packet of its own: when its picture was there, and who sends.

In the place of the code block, network byte order, zeros in between:

    bytes 0-7       microseconds since 1970, UTC, on the sender's clock
    byte 8          length of the call sign
    bytes 9 ...     the call sign, UTF-8
    the last 4      CRC-32 of all before: layout ``apart`` checks headers alone
"""

import time
import zlib
from dataclasses import dataclass

import numpy as np

from ds2c2.errors import FormatError

TIME_BYTES, CRC_BYTES = 8, 4
MOST_CALL_BYTES = 16  # the smallest code block has 32
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Stamp:
    """``seconds`` since 1970, UTC, by the sender's clock, and its call sign, empty for none."""

    seconds: float
    call: str = ""

    def delay(self, now: float | None = None) -> float:
        """Seconds from then to ``now`` or to this moment: as right as both hosts' clocks are."""
        return (time.time() if now is None else now) - self.seconds


def check_call(call: str) -> bytes:
    """A call sign's bytes. Raises ``FormatError`` for one that is too long or not to be printed."""
    data = call.encode()
    if len(data) > MOST_CALL_BYTES or (call and not call.isprintable()):
        raise FormatError(f"call sign {call!r}: {MOST_CALL_BYTES} bytes at most that can be printed")
    return data


def pack_stamp(stamp: Stamp, block_size: int) -> np.ndarray:
    """``uint8[block_size]``. Raises ``FormatError`` for the call sign."""
    call = check_call(stamp.call)
    said = round(stamp.seconds * MICROSECONDS).to_bytes(TIME_BYTES, "big") + bytes([len(call)]) + call
    said = said.ljust(block_size - CRC_BYTES, b"\0")
    return np.frombuffer(said + zlib.crc32(said).to_bytes(CRC_BYTES, "big"), np.uint8)


def read_stamp(block: np.ndarray) -> Stamp | None:
    """What ``uint8[block_size]`` says, None where it is damaged."""
    data = block.tobytes()
    said, crc = data[:-CRC_BYTES], int.from_bytes(data[-CRC_BYTES:], "big")
    length = said[TIME_BYTES]
    if zlib.crc32(said) != crc or length > MOST_CALL_BYTES:
        return None
    try:
        call = said[TIME_BYTES + 1 : TIME_BYTES + 1 + length].decode()
    except UnicodeDecodeError:
        return None
    if call and not call.isprintable():
        return None
    return Stamp(int.from_bytes(said[:TIME_BYTES], "big") / MICROSECONDS, call)
