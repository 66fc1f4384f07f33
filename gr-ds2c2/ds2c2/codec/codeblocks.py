# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbols to code blocks that each decode alone, and back.

A block: index of its first symbol among those sent (3 bytes, big endian), number of its
symbols in units that the base layer states (1 byte, 0 for none), and one range coder's bytes,
zeros after them left out. Inside a block symbols are sorted by their table, so that one call
of the coder does all symbols of a table. docs/wire-format.md has the bytes.
"""

import constriction
import numpy as np

from ds2c2.codec.symboltables import SymbolTables

INDEX_BYTES = 3
HEADER_BYTES = INDEX_BYTES + 1
MOST_UNITS = 255
MOST_SENT = 1 << 8 * INDEX_BYTES
WORD = np.dtype(">u4")  # the coder's words, most significant byte first
# Blocks whose bytes make no sense cost time as well: all blocks may claim so often what there is.
MOST_CLAIMS = 2
# A block is planned with this many bits to spare; where a plan fails, it gets a unit less.
SPARE_BITS = 2.0


def pack(
    symbols: np.ndarray, tables: np.ndarray, models: SymbolTables, blocks: int, block_size: int
) -> tuple[np.ndarray, int, int]:
    """Symbols ``int[S]`` with their tables ``int[S]``, in the order of sending, to
    ``uint8[blocks, block_size]``, the unit of the counts, and how many symbols found room.

    Raises ``ValueError`` when there are more symbols than an index can name.
    """
    total = len(symbols)
    if total >= MOST_SENT:
        raise ValueError(f"{total} symbols; an index names {MOST_SENT - 1} at most")
    payload = block_size - HEADER_BYTES
    bits = models.bits[tables, np.abs(symbols)]
    ends = np.concatenate([[0.0], np.cumsum(bits)])
    budget = 8 * payload - SPARE_BITS
    unit = _unit(ends, budget, blocks)
    packed = np.zeros((blocks, block_size), np.uint8)
    start = 0
    for row in packed:
        if start >= total:
            break
        room = int(np.searchsorted(ends, ends[start] + budget, side="right")) - 1 - start
        units = min(MOST_UNITS, -(-(total - start) // unit), max(1, (room + unit // 8) // unit))
        data = None
        while units:
            stop = min(total, start + units * unit)
            data = encode_symbols(symbols[start:stop], tables[start:stop], models)
            if len(data) <= payload:
                break
            units -= 1
        if not units:
            # One unit does not fit: an empty block, and the symbols after it are not sent.
            break
        row[:INDEX_BYTES] = np.frombuffer(start.to_bytes(INDEX_BYTES, "big"), np.uint8)
        row[INDEX_BYTES] = units
        row[HEADER_BYTES : HEADER_BYTES + len(data)] = np.frombuffer(data, np.uint8)
        start = stop
    return packed, unit, start


def unpack(
    packed: np.ndarray, arrived: np.ndarray, tables: np.ndarray, models: SymbolTables, unit: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Blocks ``uint8[n, block_size]``, of which ``bool[n]`` arrived, to symbols ``int32[S]``
    (0 where lost), ``bool[S]`` what is known, and the number of blocks that made no sense.

    The work is bounded: no block gets what another has given already, those that claim the least come first, and
    all together may claim ``MOST_CLAIMS`` times what there is.
    """
    total = len(tables)
    symbols = np.zeros(total, np.int32)
    known = np.zeros(total, bool)
    damaged = 0
    claims = []
    for row in packed[arrived]:
        start = int.from_bytes(row[:INDEX_BYTES].tobytes(), "big")
        stop = min(total, start + int(row[INDEX_BYTES]) * unit)
        if row[INDEX_BYTES]:
            claims.append((stop - start, start, stop, row[HEADER_BYTES:]))
    left = MOST_CLAIMS * total
    for count, start, stop, row in sorted(claims, key=lambda claim: claim[0]):
        found = None
        if 0 < count <= left and not known[start:stop].any():
            left -= count
            found = decode_symbols(row.tobytes(), tables[start:stop], models)
        if found is None:
            damaged += 1
            continue
        symbols[start:stop] = found
        known[start:stop] = True
    return symbols, known, damaged


def _unit(ends: np.ndarray, budget: float, blocks: int) -> int:
    """So many symbols that 255 units hold the block with the most of them."""
    starts = np.linspace(0, len(ends) - 1, min(4 * blocks, len(ends)), dtype=int)
    most = int((np.searchsorted(ends, ends[starts] + budget, side="right") - starts).max())
    return max(1, -(-most // MOST_UNITS))


def _groups(tables: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """The stable order by table, and (table, from, to) of each table's symbols in it."""
    order = np.argsort(tables, kind="stable")
    counts = np.bincount(tables)
    used = np.flatnonzero(counts)
    ends = np.cumsum(counts[used])
    starts = ends - counts[used]
    return order, list(zip(used.tolist(), starts.tolist(), ends.tolist(), strict=True))


def encode_symbols(symbols: np.ndarray, tables: np.ndarray, models: SymbolTables) -> bytes:
    order, groups = _groups(tables)
    shifted = (symbols + models.most[tables])[order].astype(np.int32)
    coder = constriction.stream.queue.RangeEncoder()
    for table, start, stop in groups:
        coder.encode(shifted[start:stop], models.models[table])
    return shortest(coder)


def shortest(coder) -> bytes:
    """The fewest bytes that decode to what was encoded, zeros after them implied.

    The coder's last words name one point of an interval; of all points in it we take the one
    that ends in most zero bytes.
    """
    words, (lower, span) = coder.pos()
    sealed = coder.get_compressed()
    head = sealed[:words].astype(WORD).tobytes()
    point = int.from_bytes(sealed[words : words + 2].astype(WORD).tobytes().ljust(8, b"\0"), "big")
    if point < lower:
        # The sealed point lies beyond a carry into the words before: zeros name the interval.
        return head.rstrip(b"\0")
    upper = min(lower + span, 1 << 64)
    for count in range(9):
        grain = 1 << 8 * (8 - count)
        value = -(-lower // grain) * grain
        if value < upper:
            return (head + value.to_bytes(8, "big")[:count]).rstrip(b"\0")
    raise AssertionError("an interval without a point")


def decode_symbols(data: bytes, tables: np.ndarray, models: SymbolTables) -> np.ndarray | None:
    words = np.frombuffer(data.ljust(-(-len(data) // 4) * 4, b"\0"), WORD).astype(np.uint32)
    order, groups = _groups(tables)
    shifted = np.empty(len(tables), np.int32)
    try:
        coder = constriction.stream.queue.RangeDecoder(words)
        for table, start, stop in groups:
            shifted[start:stop] = coder.decode(models.models[table], stop - start)
    except AssertionError:  # what constriction raises for bytes that no encoder wrote
        return None
    symbols = np.empty(len(tables), np.int32)
    symbols[order] = shifted
    return symbols - models.most[tables]
