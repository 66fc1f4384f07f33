# SPDX-License-Identifier: GPL-3.0-or-later
"""Kept code blocks of the coded profile: every machine, precision and version must read the same."""

import hashlib
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from ds2c2.codec.codeblocks import pack, unpack
from ds2c2.codec.scalemodel import ScaleModel
from ds2c2.codec.symboltables import SymbolTables, laplace_rows

DATA = Path(__file__).parent / "data"
GOLDEN = (DATA / "coded-v1.bin").read_bytes()
SCRIPT = runpy.run_path(str(DATA / "make_coded_golden.py"))
TABLES_SHA256 = "88ee0d8e837a6c26113936fef57bdbd6df8d446f9a33c9c11844a4f8b0f9dd60"
SYMBOLS_SHA256 = "a492688a728bc76fe2afdec99138e68135314f0a5ce39abb00fcdebd914ca9d2"
GOLDEN_SHA256 = "3f8e3d441e28ba40931b050712ed50d95bc4868391af06978d44e89ace25dfe3"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def tables():
    index = SCRIPT["golden_tables"](SCRIPT["golden_networks"]()).reshape(-1)
    return index[index >= 0]


def golden_blocks() -> tuple[int, np.ndarray]:
    blocks = np.frombuffer(GOLDEN[2:], np.uint8).reshape(SCRIPT["BLOCKS"], SCRIPT["BLOCK_SIZE"])
    return int.from_bytes(GOLDEN[:2], "big"), blocks


def test_the_blocks_are_the_ones_that_were_kept():
    assert sha256(GOLDEN) == GOLDEN_SHA256


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_tables_are_the_same_wherever_the_networks_are_kept(device, dtype):
    networks = SCRIPT["golden_networks"]().to(device, dtype)
    index = SCRIPT["golden_tables"](networks)
    assert sha256(index.astype("<i2").tobytes()) == TABLES_SHA256


def test_tables_do_not_depend_on_the_order_of_additions():
    """Columns one by one, and all inputs reversed: sums in another order, the same numbers."""
    networks = SCRIPT["golden_networks"]()
    scales = ScaleModel(networks)
    features = scales.features(*SCRIPT["golden_input"]())
    whole = scales.indices(features, SCRIPT["LOG_STEP"])
    for cell in (0, 17, 62):
        one = scales.indices(features[:, cell : cell + 1], SCRIPT["LOG_STEP"])
        assert torch.equal(one[:, 0], whole[:, cell])
    weight, bias, bits = scales._layers[0]
    forward = weight @ features
    backward = weight.flip(1).contiguous() @ features.flip(0).contiguous()
    assert torch.equal(forward, backward)
    assert forward.abs().max() < 2**53


def test_the_kept_blocks_decode_to_the_kept_symbols(tables):
    unit, blocks = golden_blocks()
    models = SymbolTables(laplace_rows())
    symbols, known, damaged = unpack(blocks, np.ones(len(blocks), bool), tables, models, unit)
    assert known.all()
    assert damaged == 0
    assert sha256(symbols.astype("<i4").tobytes()) == SYMBOLS_SHA256


def test_the_kept_symbols_encode_to_the_kept_blocks(tables):
    unit, blocks = golden_blocks()
    symbols = SCRIPT["golden_symbols"](tables)
    assert sha256(symbols.astype("<i4").tobytes()) == SYMBOLS_SHA256
    packed, packed_unit, sent = pack(symbols, tables, SymbolTables(laplace_rows()), *blocks.shape)
    assert (packed_unit, sent) == (unit, len(symbols))
    assert np.array_equal(packed, blocks)


def test_each_kept_block_decodes_alone(tables):
    unit, blocks = golden_blocks()
    models = SymbolTables(laplace_rows())
    whole, _, _ = unpack(blocks, np.ones(len(blocks), bool), tables, models, unit)
    covered = np.zeros(len(tables), int)
    for number in range(len(blocks)):
        alone = np.zeros(len(blocks), bool)
        alone[number] = True
        symbols, known, damaged = unpack(blocks, alone, tables, models, unit)
        assert damaged == 0
        assert np.array_equal(symbols[known], whole[known])
        covered += known
    assert (covered == 1).all()
