# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile coded by docs/wire-format.md alone: plain Python that reads the kept code blocks."""

import math
import runpy
from bisect import bisect_right
from pathlib import Path

import numpy as np
import pytest

from ds2c2.codec.codeblocks import unpack
from ds2c2.codec.favour import FAVOUR_COUNTS
from ds2c2.codec.mapcoder import encode_map, fit_counts
from ds2c2.codec.symboltables import SymbolTables, laplace_rows

DATA = Path(__file__).parent / "data"
SCRIPT = runpy.run_path(str(DATA / "make_coded_golden.py"))
GOLDEN = (DATA / "coded-v1.bin").read_bytes()
BITS24, BITS64 = 1 << 24, 1 << 64


def boundaries(masses) -> list[int]:
    masses = [float(mass) for mass in masses]
    total = 0.0
    for mass in masses:
        total += mass
    scale = (BITS24 - len(masses)) / total
    before, found = 0.0, []
    for i, mass in enumerate(masses):
        found.append(int(before * scale) + i)
        before += mass
    return [*found, BITS24]


class Decoder:
    """The three numbers of the document's range coder."""

    def __init__(self, data: bytes):
        self.rest = data[8:]
        self.low, self.range, self.point = 0, BITS64 - 1, int.from_bytes(data[:8].ljust(8, b"\0"), "big")

    def entry(self, table: list[int]) -> int:
        z = self.range >> 24
        v = (self.point - self.low) % BITS64 // z
        assert v < BITS24
        k = bisect_right(table, v) - 1
        self.low = (self.low + z * table[k]) % BITS64
        self.range = z * (table[k + 1] - table[k])
        if self.range < 1 << 32:
            word, self.rest = self.rest[:4].ljust(4, b"\0"), self.rest[4:]
            self.low, self.range = (self.low << 32) % BITS64, self.range << 32
            self.point = (self.point << 32) % BITS64 + int.from_bytes(word, "big")
        return k


def magnitudes(t: int, row: list[int]) -> list[float]:
    """Masses of |k| = 0 .. M."""
    most = min(1023, max(2, math.ceil(16 * 2 ** ((t + 1) / 6 - 4))))
    if most >= 16:
        fall = [1.0]
        while len(fall) < most - 15:
            fall.append(fall[-1] * (row[17] / 65536))
        total = 0.0
        for value in fall:
            total += value
        masses = row[:16] + [round(value * (row[16] / total) * 1024) / 1024 for value in fall]
    else:
        masses = [*row[:most], sum(row[most:17])]
    return [max(float(mass), 8 / 1024) for mass in masses]


def symbol_table(t: int, row: list[int]) -> tuple[list[int], int]:
    masses = magnitudes(t, row)
    half = [mass / 2 for mass in masses[1:]]
    table = half[::-1] + [masses[0]] + half
    total = sum(table)
    return boundaries(mass / total for mass in table), len(half)


def indices() -> list[int]:
    """Table indices of the kept example, cell by cell, then brought into channel order."""
    small, maps = SCRIPT["golden_input"]()
    networks, s = SCRIPT["golden_networks"](), SCRIPT["LOG_STEP"]
    rows, columns = SCRIPT["ROWS"], SCRIPT["COLUMNS"]
    layers = []
    for number, layer in enumerate((networks.scale1, networks.scale2, networks.scale3)):
        weight, bias = (
            p.detach().double().flatten(1 if p.dim() > 1 else 0).tolist() for p in (layer.weight, layer.bias)
        )
        most = 2**17 - 1
        weight = [[min(most, max(-most, round(2**14 * v))) for v in row] for row in weight]
        layers.append((weight, [round(v * 2 ** (26 if number else 24)) for v in bias], 2 ** (14 if number else 12)))

    def near(values, y, x):
        return int(values[min(max(y, 0), values.shape[0] - 1), min(max(x, 0), values.shape[1] - 1)])

    found = []
    for y in range(rows):
        for x in range(columns):
            mean = int(small[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].astype(int).sum()) // 12
            values = [
                32 * (near(small[:, :, colour], 2 * y + i, 2 * x + j) - mean)
                for colour in range(3)
                for i in range(-2, 4)
                for j in range(-2, 4)
            ]
            values.append(8 * mean)
            values += [512 * near(m, y // 2 + i, x // 2 + j) for m in maps for i in (-1, 0, 1) for j in (-1, 0, 1)]
            values.append(2 * s)
            for number, (weight, bias, grain) in enumerate(layers):
                values = [
                    (sum(a * v for a, v in zip(row, values, strict=True)) + b) // grain
                    for row, b in zip(weight, bias, strict=True)
                ]
                if number < 2:
                    values = [min(2**24 - 1, max(0, v)) for v in values]
            found.append([min(65, 6 * (v + 2**14) // 2**12) for v in values])
    return [cell[channel] for channel in range(len(found[0])) for cell in found]


def test_the_kept_blocks_by_the_document_alone():
    index = indices()
    expected = SCRIPT["golden_tables"](SCRIPT["golden_networks"]()).reshape(-1)
    assert [max(-1, t) for t in index] == expected.tolist()
    tables = [t for t in index if t >= 0]
    unit = int.from_bytes(GOLDEN[:2], "big")
    rows = laplace_rows().tolist()
    known = {t: symbol_table(t, rows[t]) for t in set(tables)}
    symbols = [0] * len(tables)
    size = SCRIPT["BLOCK_SIZE"]
    for block in (GOLDEN[at : at + size] for at in range(2, len(GOLDEN), size)):
        start = int.from_bytes(block[:3], "big")
        decoder = Decoder(block[4:])
        for place in sorted(range(start, min(len(tables), start + block[3] * unit)), key=lambda p: (tables[p], p)):
            table, most = known[tables[place]]
            symbols[place] = decoder.entry(table) - most
    blocks = np.frombuffer(GOLDEN[2:], np.uint8).reshape(-1, size)
    wanted, _, _ = unpack(blocks, np.ones(len(blocks), bool), np.array(tables), SymbolTables(laplace_rows()), unit)
    assert symbols == wanted.tolist()


@pytest.mark.parametrize("largest", [4, 8])
def test_a_map_by_the_document_alone(largest):
    rng = np.random.default_rng(largest)
    values = np.clip(rng.normal(largest / 2, 1.5, (7, 6)).round(), 0, largest).astype(int)
    counts = fit_counts([values], largest + 1)
    tables = [boundaries(row / row.sum()) for row in counts.astype(float)]
    decoder = Decoder(encode_map(values, counts))
    found = [[0] * 6 for _ in range(7)]
    for y in range(7):
        for x in range(6):
            up, left = found[y - 1][x] if y else None, found[y][x - 1] if x else None
            both = [value for value in (up, left) if value is not None]
            t = sum(both) * 2 // len(both) if both else -1
            found[y][x] = decoder.entry(tables[t])
    assert found == values.tolist()


def test_the_counts_of_favour_maps_by_the_document():
    counts = [[max(1, 2**16 >> 4 * abs(2 * k - t)) for k in range(9)] for t in range(17)]
    counts.append([2**11 if k == 4 else 2**8 for k in range(9)])
    assert FAVOUR_COUNTS.tolist() == counts
