# SPDX-License-Identifier: GPL-3.0-or-later
"""Kept parts of code blocks of wire format 2: every machine and version must read and write the same."""

import hashlib
import runpy
from pathlib import Path

import numpy as np
import pytest

from ds2c2.codec.impliedblocks import pack, unpack
from ds2c2.codec.symboltables import SymbolTables, laplace_rows

DATA = Path(__file__).parent / "data"
GOLDEN = (DATA / "coded-v2.bin").read_bytes()
SCRIPT = runpy.run_path(str(DATA / "make_coded_golden2.py"))
BEFORE, ROOMS = SCRIPT["BEFORE"], SCRIPT["ROOMS"]
MODELS = SymbolTables(laplace_rows())
SYMBOLS_SHA256 = "a492688a728bc76fe2afdec99138e68135314f0a5ce39abb00fcdebd914ca9d2"
GOLDEN_SHA256 = "100a4719627e288af0e05d80e48a0374c94f16627f13878f688d81e1bb585735"
EXPECTED_SHA256 = "6ccfd4b59a51005de15a8c147000620396f9d19d2179f2e4937774c0c8cd0d44"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def tables():
    index = BEFORE["golden_tables"](BEFORE["golden_networks"]()).reshape(-1)
    return index[index >= 0]


@pytest.fixture(scope="module")
def parts():
    ends = np.cumsum([2, *ROOMS])
    return [GOLDEN[first:last] for first, last in zip(ends[:-1], ends[1:], strict=True)]


UNIT = int.from_bytes(GOLDEN[:2], "big")


def test_the_blocks_are_the_ones_that_were_kept():
    assert sha256(GOLDEN) == GOLDEN_SHA256


def test_expected_lengths_are_the_same_on_every_machine():
    """Where blocks begin follows from them."""
    assert sha256(MODELS.expected.astype("<i4").tobytes()) == EXPECTED_SHA256


def test_the_kept_blocks_decode_to_the_kept_symbols(tables, parts):
    symbols, known, damaged = unpack(parts, np.ones(len(parts), bool), tables, MODELS, UNIT)
    assert known.all() and damaged == 0
    assert sha256(symbols.astype("<i4").tobytes()) == SYMBOLS_SHA256


def test_the_kept_symbols_encode_to_the_kept_blocks(tables, parts):
    packed, unit, sent = pack(BEFORE["golden_symbols"](tables), tables, MODELS, ROOMS)
    assert (unit, sent) == (UNIT, len(tables))
    assert [part.ljust(room, b"\0") for part, room in zip(packed, ROOMS, strict=True)] == parts


def test_each_kept_block_decodes_alone(tables, parts):
    whole, _, _ = unpack(parts, np.ones(len(parts), bool), tables, MODELS, UNIT)
    covered = np.zeros(len(tables), int)
    for number in range(len(parts)):
        alone = np.arange(len(parts)) == number
        symbols, known, damaged = unpack(parts, alone, tables, MODELS, UNIT)
        assert damaged == 0 and np.array_equal(symbols[known], whole[known])
        covered += known
    assert (covered == 1).all()
