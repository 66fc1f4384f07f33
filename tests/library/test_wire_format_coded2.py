# SPDX-License-Identifier: GPL-3.0-or-later
"""Version 2 of the wire format, layout spread, by docs/wire-format.md alone: plain Python reads packets and blocks.

What version 1 has too (range coder, symbol tables) is read as in test_wire_format_coded.py.
"""

import hashlib
import math
import runpy
import zlib
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import raptorq
from skimage.data import astronaut

from ds2c2.codec.codec import Codec
from ds2c2.codec.impliedblocks import unpack
from ds2c2.codec.symboltables import SymbolTables, laplace_rows
from ds2c2.pictures.pictures import fit_picture
from ds2c2.stream.packets import Packetizer
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

DATA = Path(__file__).parent / "data"
KEPT = (DATA / "coded-v2.bin").read_bytes()
ROOMS = runpy.run_path(str(DATA / "make_coded_golden2.py"))["ROOMS"]
BEFORE = runpy.run_path(str(Path(__file__).with_name("test_wire_format_coded.py")))
Decoder, magnitudes, symbol_table = (BEFORE[name] for name in ("Decoder", "magnitudes", "symbol_table"))


def arriving(n: int, p: Fraction) -> int:
    def counts(k):  # k <= n (1 - p) + 1/2 - 2.33 sqrt(n p (1 - p)), squared
        beyond = n * (1 - p) + Fraction(1, 2) - k
        return beyond >= 0 and beyond**2 >= Fraction(233, 100) ** 2 * n * p * (1 - p)

    return max([1, *(k for k in range(1, n + 1) if counts(k))])


def counts_of(text: str) -> dict:
    version, size, *words = text.split()
    assert version == "ds2c2/2"
    width, height = map(int, size.split("x"))
    said = dict(word.split("=") for word in words)
    assert said["layout"] == "spread"
    pixels, block, p = width * height, int(said["block"]), Fraction(said["survive"])
    n = math.floor(Fraction(said["bpp"]) * pixels / (8 * block))
    b = max(Fraction(said["base"]) * pixels / 8, Fraction(64))
    t = 8 * math.ceil(b / (8 * 56403))
    k = math.ceil(b / t)
    m = k if arriving(n, p) == n else math.ceil(Fraction((k + 1) * n, arriving(n, p)))
    starts = [i * m // n for i in range(n + 1)]
    return {
        "n": n,
        "block": block,
        "t": t,
        "k": k,
        "starts": starts,
        "digest": hashlib.sha256(text.encode()).digest()[:2],
    }


def payload(packet: bytes, digest: bytes) -> tuple[int, int, bytes] | None:
    """Frame, index and code block; None for one that is not as it was sent."""
    check = int.from_bytes(packet[6:10], "big") ^ int.from_bytes(digest, "big")
    if packet[0] != 0x20 or zlib.crc32(packet[:6] + packet[10:]) != check:
        return None
    return int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[4:6], "big"), packet[10:]


def expected_length(row: list[int], t: int) -> int:
    w = [round(1024 * mass) for mass in magnitudes(t, row)]
    log = {value: (value**256).bit_length() - 1 for value in {*w, sum(w)}}
    spent = sum(v * (log[sum(w)] - log[v] + (256 if k else 0)) for k, v in enumerate(w))
    return max(1, math.floor((Fraction(spent, 4) + Fraction(sum(w), 2)) / sum(w)))


def read_blocks(parts: list[bytes], tables: list[int], rows: list[list[int]], u: int) -> list[int | None]:
    """What the blocks that arrived (not empty) hold, None where nothing came."""
    known = {t: symbol_table(t, rows[t]) for t in set(tables)}
    e = {t: expected_length(rows[t], t) for t in known}
    wide = len(parts) > 2048
    size, low = (3, 8) if wide else (2, 7)
    ends = [0, *accumulate(e[t] for t in tables)]
    rooms = [0, *accumulate(len(part) - size for part in parts)]
    nominal = [next(j for j, end in enumerate(ends) if end >= room * ends[-1] // rooms[-1]) for room in rooms]
    found: list[int | None] = [None] * len(tables)
    for i, part in enumerate(parts):
        head = int.from_bytes(part[:size], "big")
        count = head % (1 << low)
        if not count:
            continue
        first = (head >> low) - (1 << 8 * size - low - 1) + nominal[i] // u
        units = count - (1 << low - 1) + max(1, -(-nominal[i + 1] // u) - nominal[i] // u)
        start, stop = first * u, min(len(tables), (first + units) * u)
        assert 0 <= start < stop and set(found[start:stop]) == {None}
        decoder = Decoder(part[size:])
        for place in sorted(range(start, stop), key=lambda p: (tables[p], p)):
            table, most = known[tables[place]]
            found[place] = decoder.entry(table) - most
    return found


def test_the_kept_blocks_by_the_document_alone():
    tables = [t for t in BEFORE["indices"]() if t >= 0]
    unit = int.from_bytes(KEPT[:2], "big")
    ends = [2, *accumulate(ROOMS, initial=2)][1:]
    parts = [KEPT[first:last] for first, last in zip(ends[:-1], ends[1:], strict=True)]
    wanted, known, damaged = unpack(
        parts, np.ones(len(parts), bool), np.array(tables), SymbolTables(laplace_rows()), unit
    )
    assert known.all() and damaged == 0
    assert read_blocks(parts, tables, laplace_rows().tolist(), unit) == wanted.tolist()


@pytest.mark.usefixtures("models")
def test_base_layer_and_blocks_from_packets_by_the_document_alone():
    """From what a third of the packets leaves, first those of another format and one that was damaged."""
    stream = StreamFormat(128, 96, bpp=0.6, block_size=40, survive=0.5)
    codec = Codec(stream, "cpu")
    blocks = codec.encode(fit_picture(astronaut(), 128, 96, "scale")).blocks
    packets = [row.tobytes() for row in Packetizer(stream, 3).pack(blocks)]
    counts = counts_of(stream.text)
    assert (counts["n"], counts["k"]) == (len(packets), stream.base_sources)
    assert payload(packets[0][:-1] + bytes([packets[0][-1] ^ 1]), counts["digest"]) is None
    assert payload(packets[0], b"\0\0") is None
    kept = [payload(packets[i], counts["digest"]) for i in range(len(packets)) if i % 3]
    decoder = raptorq.Decoder.with_defaults(counts["k"] * counts["t"], counts["t"])
    container, symbols = None, 0
    for frame, i, block in kept:
        assert frame == 0 and len(block) == counts["block"]
        for place, symbol in enumerate(range(counts["starts"][i], counts["starts"][i + 1])):
            symbols += 1
            payload_id = symbol.to_bytes(4, "big")  # RFC 6330, 3.2: source block 0 and the symbol's number
            data = payload_id + block[place * counts["t"] : (place + 1) * counts["t"]]
            container = decoder.decode(data) or container
    assert symbols > counts["k"] and container is not None
    assert zlib.crc32(container[:-4]) == int.from_bytes(container[-4:], "big")
    vp8, side = int.from_bytes(container[1:3], "big"), int.from_bytes(container[3:5], "big")
    u = int.from_bytes(container[5 + vp8 + 2 : 5 + vp8 + 4], "big")
    assert side and u

    seen = {}

    def watched(parts, arrived, tables, models, unit):
        seen.update(parts=parts, tables=tables.tolist(), unit=unit)
        seen["symbols"], seen["known"], damaged = unpack(parts, arrived, tables, models, unit)
        return seen["symbols"], seen["known"], damaged

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ds2c2.codec.profiles.coded.impliedblocks.unpack", watched)
        codec.decode(to_soft(blocks, np.arange(len(blocks)) % 3 > 0))
    assert seen["unit"] == u
    shares = [(b - a) * counts["t"] for a, b in zip(counts["starts"][:-1], counts["starts"][1:], strict=True)]
    here = {i: block[shares[i] :] for _, i, block in kept}
    parts = [here.get(i, bytes(counts["block"] - shares[i])) for i in range(counts["n"])]
    rows = codec.profile.networks.symbol_rows.tolist()
    rows = rows if any(map(any, rows)) else laplace_rows().tolist()
    found = read_blocks(parts, seen["tables"], rows, u)
    assert [value is not None for value in found] == seen["known"].tolist()
    assert [value or 0 for value in found] == seen["symbols"].tolist()
