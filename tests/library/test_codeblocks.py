# SPDX-License-Identifier: GPL-3.0-or-later
"""Code blocks that decode alone: exact inside their bytes, honest about what is missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.codec import codeblocks
from ds2c2.codec.codeblocks import HEADER_BYTES, MOST_SENT, decode_symbols, pack, unpack
from ds2c2.codec.symboltables import TABLES, SymbolTables, laplace_rows, most_magnitude, rounding_offsets

MODELS = SymbolTables(laplace_rows())


def draw(seed: int, count: int, low: int = 0, high: int = TABLES - 1) -> tuple[np.ndarray, np.ndarray]:
    """Symbols with tables ``low`` to ``high``, of the sizes that the tables are for."""
    rng = np.random.default_rng(seed)
    tables = rng.integers(low, high, count, endpoint=True)
    symbols = np.rint(rng.laplace(0, np.exp2(-4 + (tables + 0.5) / 6))).astype(np.int64)
    return np.clip(symbols, -MODELS.most[tables], MODELS.most[tables]), tables


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 3000),
    st.sampled_from([(0, 12), (6, 30), (0, TABLES - 1)]),
    st.sampled_from([32, 33, 100, 1056]),
    st.integers(1, 40),
)
def test_any_subset_of_blocks_gives_back_its_symbols(seed, count, span, size, blocks):
    symbols, tables = draw(seed, count, *span)
    packed, unit, sent = pack(symbols, tables, MODELS, blocks, size)
    assert packed.shape == (blocks, size)
    assert 0 <= sent <= count
    arrived = np.random.default_rng(seed).random(blocks) < 0.6
    found, known, damaged = unpack(packed, arrived, tables, MODELS, unit)
    assert damaged == 0
    assert np.array_equal(found[known], symbols[known])
    assert (found[~known] == 0).all()
    whole = unpack(packed, np.ones(blocks, bool), tables, MODELS, unit)[1]
    assert np.array_equal(np.flatnonzero(whole), np.arange(sent))


def test_blocks_are_filled_to_their_last_byte():
    symbols, tables = draw(1, 120000, 0, 20)
    packed, unit, sent = pack(symbols, tables, MODELS, 100, 100)
    assert sent < len(symbols)
    bits = MODELS.bits[tables[:sent], np.abs(symbols[:sent])].sum()
    assert bits / 8 / 100 > 0.985 * (100 - HEADER_BYTES)
    assert (packed[:, -2:] != 0).any(axis=1).mean() > 0.7


def test_too_few_blocks_leave_the_last_symbols_unsent():
    symbols, tables = draw(2, 5000)
    packed, unit, sent = pack(symbols, tables, MODELS, 3, 100)
    known = unpack(packed, np.ones(3, bool), tables, MODELS, unit)[1]
    assert known.sum() == sent < 5000


def test_too_many_blocks_stay_empty():
    symbols, tables = draw(3, 50, 0, 20)
    packed, unit, sent = pack(symbols, tables, MODELS, 5, 100)
    assert sent == 50
    assert not packed[-1].any()
    assert unpack(packed, np.ones(5, bool), tables, MODELS, unit)[1].all()


def test_the_same_symbols_give_the_same_bytes():
    symbols, tables = draw(4, 3000)
    first, second = (pack(symbols, tables, SymbolTables(laplace_rows()), 60, 100)[0] for _ in range(2))
    assert np.array_equal(first, second)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_random_bytes_never_raise(seed, unit):
    _, tables = draw(seed, 2000)
    noise = np.random.default_rng(seed).integers(0, 256, (20, 64), dtype=np.uint8)
    symbols, known, damaged = unpack(noise, np.ones(20, bool), tables, MODELS, unit)
    assert symbols.shape == known.shape == tables.shape
    assert 0 <= damaged <= 20
    assert (np.abs(symbols) <= MODELS.most[tables]).all()


def test_more_symbols_than_an_index_can_name_are_refused():
    tables = np.zeros(MOST_SENT, np.int8)
    with pytest.raises(ValueError, match=str(MOST_SENT)):
        pack(tables, tables, MODELS, 1, 100)


def test_code_lengths_are_those_of_the_tables():
    for table in range(TABLES):
        most = most_magnitude(table)
        lengths = MODELS.bits[table, : most + 1]
        assert np.isclose(2.0 ** -lengths[0] + 2 * (2.0 ** -lengths[1:]).sum(), 1)
        assert most == MODELS.most[table]


def test_rounding_goes_towards_zero_more_where_a_one_is_rare():
    first, further = rounding_offsets(laplace_rows())
    assert (np.diff(first) >= -1e-6).all()
    assert first[0] < 0.1 < 0.4 < first[-1] <= 0.5
    assert ((further > 0) & (further <= 0.5)).all()


def test_one_block_that_claims_everything_takes_nothing_from_the_others():
    """First in the frame, with the largest claim that there is."""
    symbols, tables = draw(3, 20_000, 6, 30)
    packed, unit, sent = pack(symbols, tables, MODELS, 60, 100)
    packed[0, :3], packed[0, 3] = 0, 255
    found, known, damaged = unpack(packed, np.ones(60, bool), tables, MODELS, unit)
    first = int.from_bytes(packed[1, :3].tobytes(), "big")
    assert damaged == 1 and np.array_equal(np.flatnonzero(known), np.arange(first, sent))
    assert np.array_equal(found[known], symbols[known])


def test_blocks_that_claim_the_same_are_decoded_once(monkeypatch):
    """99 blocks of the largest claim, bytes that make sense and bytes that make none: twice the symbols at most."""
    _, tables = draw(4, 20_000)
    work = []

    def counted(data: bytes, part: np.ndarray, models: SymbolTables):
        work.append(len(part))
        return decode_symbols(data, part, models)

    monkeypatch.setattr(codeblocks, "decode_symbols", counted)
    for fill in (0, 255):
        bombs = np.full((99, 100), fill, np.uint8)
        bombs[:, :3], bombs[:, 3] = 0, 255
        work.clear()
        unpack(bombs, np.ones(99, bool), tables, MODELS, 0xFFFF)
        assert 0 < sum(work) <= 2 * len(tables)
