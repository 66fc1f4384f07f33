# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of all that comes from a link, whoever counted it: the link, this host or the stream."""

from collections.abc import Mapping
from types import MappingProxyType

from ds2c2.stream import assembler
from ds2c2.stream.assembler import LinkCounts

# What a source itself did not hand on: datagrams in a size that no packet of the stream has, those without a byte, and
# packets that this host had no room for.
TURNED_AWAY = ("wrong_size", "empty", "dropped")
# "unread": had come when a receiver was told to stop, which keeps it and looks at it no more.
FATES = (*assembler.FATES, "failed_crc", "unreadable", *TURNED_AWAY, "unread")


def packet_counts(
    counts: LinkCounts,
    failed_crc: int = 0,
    unreadable: int = 0,
    turned_away: Mapping[str, int] = MappingProxyType({}),
    unread: int = 0,
) -> dict[str, int]:
    """All counts by their names. ``received`` is all that came, the sum of all ``FATES``; of ``LinkCounts`` alone it is
    what came to the stream."""
    fates = {**vars(counts), "failed_crc": failed_crc, "unreadable": unreadable, "unread": unread}
    fates |= {name: turned_away.get(name, 0) for name in TURNED_AWAY}
    return fates | {"received": sum(fates[name] for name in FATES)}
