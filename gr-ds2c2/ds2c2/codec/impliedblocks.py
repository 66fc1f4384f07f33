# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbols to the parts of code blocks that each decode alone, and back: wire format 2.

Both ends know the table of every symbol, so they know how many bits each is expected to take, and where a
block would begin and end if all took just that: its nominal start and count. A block says by how much it
differs, which takes 2 bytes instead of 4:

    offset  of the first symbol from the nominal start, in units, around the middle of its range
    count   of the symbols against the nominal count, in units, around the middle of its range; 0: empty

After them come one range coder's bytes, zeros at their end left out, as in ``ds2c2.codec.codeblocks``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ds2c2.codec.codeblocks import SPARE_BITS, decode_symbols, encode_symbols
from ds2c2.codec.symboltables import SymbolTables

# A frame of many blocks drifts further from the nominal starts, as the square root of their number.
MANY_BLOCKS = 2048
MOST_SENT = 1 << 24  # symbols; keeps the products below within 63 bits
MOST_UNIT = 0xFFFF  # as the base layer states it


@dataclass(frozen=True)
class _Header:
    """Bits of a block's header."""

    size: int  # bytes
    count_bits: int

    @classmethod
    def of(cls, blocks: int) -> "_Header":
        return cls(2, 7) if blocks <= MANY_BLOCKS else cls(3, 8)

    @property
    def middle_count(self) -> int:
        return 1 << self.count_bits - 1

    @property
    def middle_offset(self) -> int:
        return 1 << 8 * self.size - self.count_bits - 1

    @property
    def usual_count(self) -> int:
        """Units of a nominal block: many waste little room, few can name every count."""
        return 15 * self.middle_count // 8

    def build(self, offset: int, count: int) -> bytes | None:
        """Offset and difference of the count as bytes, None where they are out of range."""
        offset, count = offset + self.middle_offset, count + self.middle_count
        if not (0 <= offset < 2 * self.middle_offset and 0 < count < 2 * self.middle_count):
            return None
        return (offset << self.count_bits | count).to_bytes(self.size, "big")

    def read(self, data: bytes) -> tuple[int, int] | None:
        """Offset and difference of the count, None for an empty block."""
        value = int.from_bytes(data[: self.size], "big")
        count = value & (1 << self.count_bits) - 1
        return ((value >> self.count_bits) - self.middle_offset, count - self.middle_count) if count else None


def header_bytes(blocks: int) -> int:
    """Bytes of a block's header in a frame of so many blocks."""
    return _Header.of(blocks).size


def _nominal(tables: np.ndarray, models: SymbolTables, rooms: np.ndarray) -> np.ndarray:
    """Nominal starts ``int64[N + 1]`` of blocks that have ``rooms`` bytes each for the coder, in symbols."""
    lengths = np.concatenate([[0], np.cumsum(models.expected[tables])])
    room = np.concatenate([[0], np.cumsum(rooms.astype(np.int64))])
    return np.searchsorted(lengths, room * lengths[-1] // max(1, room[-1]))


def pack(
    symbols: np.ndarray, tables: np.ndarray, models: SymbolTables, rooms: Sequence[int]
) -> tuple[list[bytes], int, int]:
    """Symbols ``int[S]`` with their tables ``int[S]``, in the order of sending, to what each block holds
    of them: at most ``rooms[i]`` bytes. Returns that, the unit, and how many symbols found room.

    Raises ``ValueError`` for more than 2^24 symbols.
    """
    if len(symbols) >= MOST_SENT:
        raise ValueError(f"{len(symbols)} symbols; {MOST_SENT - 1} at most")
    header = _Header.of(len(rooms))
    rooms = np.asarray(rooms) - header.size
    nominal = _nominal(tables, models, rooms)
    ends = np.concatenate([[0.0], np.cumsum(models.bits[tables, np.abs(symbols)])])
    largest = int(np.diff(nominal).max(initial=0))
    unit = max(1, -(-largest // header.usual_count))
    while unit < MOST_UNIT and not _fits(header, nominal, ends, rooms, unit):
        unit = min(MOST_UNIT, unit + -(-unit // 4))
    packed, start, sent = [], 0, 0
    for number, room in enumerate(rooms.tolist()):
        data = None
        first, usual = _units(nominal, number, unit)
        # Where the symbols take more than was expected beyond all measure, some are left out.
        start = max(start, (first - header.middle_offset) * unit)
        units = _wanted(ends, start, 8 * room - SPARE_BITS, unit)
        units = min(units, usual + header.middle_count - 1, first + usual + header.middle_offset - 1 - start // unit)
        while units > 0:
            stop = min(len(symbols), start + units * unit)
            head = header.build(start // unit - first, units - usual)
            data = encode_symbols(symbols[start:stop], tables[start:stop], models) if head else None
            if data is None or len(data) <= room:
                break
            units -= 1
        if units <= 0 or data is None:
            packed.append(b"")
            continue
        packed.append(head + data)
        start, sent = stop, sent + stop - start
    return packed, unit, sent


def _units(nominal: np.ndarray, number: int, unit: int) -> tuple[int, int]:
    """Nominal start and count of a block, in units."""
    first, last = int(nominal[number]) // unit, -(-int(nominal[number + 1]) // unit)
    return first, max(1, last - first)


def _wanted(ends: np.ndarray, start: int, budget: float, unit: int) -> int:
    """Units from ``start`` on that are within ``budget`` bits, the last one nearly."""
    total = len(ends) - 1
    if start >= total:
        return 0
    room = int(np.searchsorted(ends, ends[start] + budget, side="right")) - 1 - start
    return min(-(-(total - start) // unit), max(1, (room + unit // 8) // unit))


def _fits(header: _Header, nominal: np.ndarray, ends: np.ndarray, rooms: np.ndarray, unit: int) -> bool:
    """Whether headers can name what the blocks would hold."""
    start = 0
    for number, room in enumerate(rooms.tolist()):
        first, usual = _units(nominal, number, unit)
        units = _wanted(ends, start, 8 * room - SPARE_BITS, unit)
        if units and (start // unit - first < -header.middle_offset or units - usual <= -header.middle_count):
            return False
        start += unit * min(
            units, usual + header.middle_count - 1, first + usual + header.middle_offset - 1 - start // unit
        )
    return True


def unpack(
    parts: Sequence[bytes], arrived: np.ndarray, tables: np.ndarray, models: SymbolTables, unit: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """What N blocks hold, of which ``bool[N]`` arrived, to symbols ``int32[S]`` (0 where lost), ``bool[S]``
    what is known, and the number of blocks that made no sense.

    The work is bounded: a block can claim less than twice its nominal count, and none what is known already.
    """
    header = _Header.of(len(parts))
    symbols = np.zeros(len(tables), np.int32)
    known = np.zeros(len(tables), bool)
    damaged = 0
    nominal = _nominal(tables, models, np.array([len(part) - header.size for part in parts]))
    for number in np.flatnonzero(arrived).tolist():
        said = header.read(parts[number])
        if said is None:
            continue
        first, usual = _units(nominal, number, unit)
        start = (first + said[0]) * unit
        stop = min(len(tables), start + (usual + said[1]) * unit)
        found = None
        if 0 <= start < stop and not known[start:stop].any():
            found = decode_symbols(parts[number][header.size :], tables[start:stop], models)
        if found is None:
            damaged += 1
            continue
        symbols[start:stop] = found
        known[start:stop] = True
    return symbols, known, damaged
