# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks whose beginning is implied: each decodes alone, whatever the others do, and the work is bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.codec.impliedblocks import MANY_BLOCKS, header_bytes, pack, unpack
from ds2c2.codec.symboltables import SymbolTables, laplace_rows
from ds2c2.networks.scales import LEAST_LOG_SCALE, TABLES, TABLES_PER_OCTAVE

MODELS = SymbolTables(laplace_rows())


def drawn(count: int, seed: int, wider: float = 1.0, low: int = 0, high: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Symbols and their tables; ``wider`` than the tables say."""
    rng = np.random.default_rng(seed)
    tables = rng.integers(low, high, count)
    scale = 2.0 ** (LEAST_LOG_SCALE + (tables + 0.5) / TABLES_PER_OCTAVE)
    symbols = np.rint(rng.laplace(0, 1, count) * scale * wider)
    return np.clip(symbols, -MODELS.most[tables], MODELS.most[tables]).astype(int), tables


def rooms_for(symbols: np.ndarray, tables: np.ndarray, blocks: int, slack: float = 1.02) -> list[int]:
    """Equal rooms that hold all symbols, and a little more."""
    bits = MODELS.bits[tables, np.abs(symbols)].sum()
    return [int(slack * bits / 8 / blocks) + 3 + header_bytes(blocks)] * blocks


def padded(parts: list[bytes], rooms: list[int]) -> list[bytes]:
    return [part.ljust(room, b"\0") for part, room in zip(parts, rooms, strict=True)]


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 60), st.floats(0.6, 1.6), st.floats(0, 0.9))
def test_what_arrives_is_right_and_the_rest_is_unknown(seed, blocks, wider, loss):
    symbols, tables = drawn(150 * blocks, seed, wider)
    rooms = rooms_for(symbols, tables, blocks)
    parts, unit, sent = pack(symbols, tables, MODELS, rooms)
    assert all(len(part) <= room for part, room in zip(parts, rooms, strict=True))
    arrived = np.random.default_rng(seed).random(blocks) >= loss
    found, known, damaged = unpack(padded(parts, rooms), arrived, tables, MODELS, unit)
    assert damaged == 0
    assert np.array_equal(found[known], symbols[known])
    assert not found[~known].any()
    everything = unpack(padded(parts, rooms), np.ones(blocks, bool), tables, MODELS, unit)
    assert everything[1].sum() == sent


def test_all_find_room_when_they_are_as_expected():
    symbols, tables = drawn(60_000, 4)
    rooms = rooms_for(symbols, tables, 127, 1.03)
    _, unit, sent = pack(symbols, tables, MODELS, rooms)
    assert sent == len(symbols)
    assert 60_000 / 127 / unit > 80  # fine enough that little room is left over


@pytest.mark.parametrize("blocks", [1, 2, MANY_BLOCKS, MANY_BLOCKS + 1])
def test_few_and_many_blocks(blocks):
    symbols, tables = drawn(40 * blocks, 5)
    rooms = rooms_for(symbols, tables, blocks, 1.2)
    parts, unit, sent = pack(symbols, tables, MODELS, rooms)
    assert sent >= 0.99 * len(symbols)
    found, known, damaged = unpack(padded(parts, rooms), np.ones(blocks, bool), tables, MODELS, unit)
    assert damaged == 0 and np.array_equal(found[known], symbols[known])
    assert header_bytes(blocks) == (2 if blocks <= MANY_BLOCKS else 3)


@pytest.mark.parametrize("wider", [0.05, 0.3, 3.0, 6.0])
def test_symbols_that_the_tables_expect_badly(wider):
    """Units grow until headers can name where blocks begin; what is sent still comes back."""
    symbols, tables = drawn(20_000, 6, wider, 10, 40)
    rooms = rooms_for(symbols, tables, 60)
    parts, unit, sent = pack(symbols, tables, MODELS, rooms)
    found, known, damaged = unpack(padded(parts, rooms), np.ones(60, bool), tables, MODELS, unit)
    assert damaged == 0 and known.sum() == sent >= 0.9 * len(symbols)
    assert np.array_equal(found[known], symbols[known])


def test_one_half_of_the_picture_is_quiet():
    """The beginnings drift as far as they can: a flat sky behind a forest."""
    loud, loud_tables = drawn(10_000, 7, 1.5, 20, 40)
    quiet, quiet_tables = drawn(10_000, 8, 0.4, 20, 40)
    symbols, tables = np.concatenate([loud, quiet]), np.concatenate([loud_tables, quiet_tables])
    rooms = rooms_for(symbols, tables, 100)
    parts, unit, sent = pack(symbols, tables, MODELS, rooms)
    assert sent >= 0.97 * len(symbols)
    found, known, _ = unpack(padded(parts, rooms), np.ones(100, bool), tables, MODELS, unit)
    assert np.array_equal(found[known], symbols[known])


def test_no_symbols_and_no_room():
    nothing = np.zeros(0, int)
    parts, unit, sent = pack(nothing, nothing, MODELS, [20] * 5)
    assert sent == 0 and not any(parts)
    assert unpack([bytes(20)] * 5, np.ones(5, bool), nothing, MODELS, unit)[2] == 0
    symbols, tables = drawn(1000, 1, 1.0, 35, 40)
    parts, _, sent = pack(symbols, tables, MODELS, [3] * 4)
    assert sent < 20 and all(len(part) <= 3 for part in parts)


@settings(max_examples=50)
@given(st.integers(0, 1000))
def test_hostile_blocks_claim_no_more_than_twice_the_usual(seed):
    rng = np.random.default_rng(seed)
    tables = rng.integers(0, TABLES, 5000)
    parts = [rng.bytes(40) for _ in range(30)]
    symbols, known, damaged = unpack(parts, np.ones(30, bool), tables, MODELS, int(rng.integers(1, 200)))
    assert symbols.shape == known.shape == (5000,)
    assert 0 <= damaged <= 30


def test_a_block_cannot_take_what_another_has():
    symbols, tables = drawn(3000, 9)
    rooms = rooms_for(symbols, tables, 10)
    parts, unit, _ = pack(symbols, tables, MODELS, rooms)
    twice = padded(parts, rooms)
    twice[5] = twice[4]  # read as block 5 it claims what is its own, or is refused
    found, known, damaged = unpack(twice, np.ones(10, bool), tables, MODELS, unit)
    alone = unpack(padded(parts, rooms), np.arange(10) != 5, tables, MODELS, unit)
    where = alone[1]
    assert np.array_equal(found[where & known], symbols[where & known]) or damaged
