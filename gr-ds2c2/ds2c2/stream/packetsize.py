# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes that should be packets one behind the other and are not: what size do the packets in them have?"""

import numpy as np

from ds2c2.stream.packets import NUMBER_BYTES, TYPE_BLOCK
from ds2c2.stream.streamformat import (
    MAX_BLOCK,
    MIN_BLOCK,
    PACKET_BYTES,
    PACKET_V1_BYTES,
    SESSION_BYTES,
    VERSIONS,
    StreamFormat,
)

SMALLEST, LARGEST = MIN_BLOCK + PACKET_V1_BYTES, MAX_BLOCK + PACKET_BYTES + SESSION_BYTES  # bytes of any packet
LOOKED_AT = 16 * LARGEST  # bytes; enough packets of any size
# Of the packets that there would be, this share must count on by one; the rest may be lost or be ends of frames.
FOLLOWING = 0.5
LEAST = 3  # packets that count on
PLACE_BITS = 15  # of a place in LOOKED_AT bytes


def packet_size_in(data: bytes | np.ndarray) -> int | None:
    """The size in bytes of the packets that stand one behind the other in ``data``, from any place of it; None where
    none can be found. Packets are known by their numbers, which count on by one."""
    found = np.frombuffer(bytes(data[:LOOKED_AT]), np.uint8)
    if len(found) < NUMBER_BYTES + SMALLEST:
        return None
    last = len(found) - NUMBER_BYTES + 1
    head = sum(
        found[place : place + last].astype(np.int64) << 8 * (NUMBER_BYTES - 1 - place) for place in range(NUMBER_BYTES)
    )
    places = np.flatnonzero(np.isin(found[:last], [version << 4 | TYPE_BLOCK for version in VERSIONS]))
    # All headers, in the order of what they say and then of where they stand: the nearest that says one more.
    known = np.sort(head[places] << PLACE_BITS | places)
    wanted = head[places] + 1
    nearest = np.searchsorted(known, wanted << PLACE_BITS | places + SMALLEST)
    next_ = known[np.minimum(nearest, len(known) - 1)] if len(known) else known
    sizes = (next_ & (1 << PLACE_BITS) - 1) - places
    follow = sizes[(next_ >> PLACE_BITS == wanted) & (sizes >= SMALLEST) & (sizes <= LARGEST)]
    if len(follow) < LEAST:
        return None
    counts = np.bincount(follow)
    size = int(counts.argmax())
    # The index in its frame begins anew with each frame; that is few of them.
    return size if counts[size] >= max(LEAST, FOLLOWING * (last // size)) else None


def misfit(data: bytes, stream_format: StreamFormat) -> str:
    """Why bytes that came are no packets of a stream format, in words."""
    wanted, found = stream_format.packet_bytes, packet_size_in(data)
    if found is None:
        return f"what came is no packet of {wanted} bytes of version {stream_format.version} of the wire format"
    if found == wanted:
        return f"packets of {wanted} bytes came cut in other places than they begin at, or with other block numbers"
    return f"packets of {found} bytes came where {wanted} are wanted"
