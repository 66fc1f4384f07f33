# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes coded-v1.bin: code blocks of the ``coded`` profile whose every byte must stay readable.

Run once; the file is kept, and tests/library/test_coded_golden.py decodes it for ever.
"""

from pathlib import Path

import numpy as np
import torch

from ds2c2.codec.codeblocks import pack
from ds2c2.codec.scalemodel import ScaleModel
from ds2c2.codec.symboltables import SymbolTables, laplace_rows
from ds2c2.networks.coded import CodedNetworks, CodedShape

SHAPE = CodedShape(
    fine_steps=1,
    fine_width=4,
    fine_blocks=0,
    luma=20,
    chroma=6,
    widths=(4, 4, 4),
    encoder_blocks=(0, 0, 0),
    decoder_blocks=(0, 0, 0),
    scale_width=16,
)
ROWS, COLUMNS = 7, 9  # cells; odd, so that the last map entry covers less
LOG_STEP = 5 * 256 + 77
BLOCKS, BLOCK_SIZE = 13, 60


def raw(seed: int, *shape: int) -> np.ndarray:
    """Uniform in [0, 1), 16 bits of raw PCG64: the same with every version of numpy."""
    bits = np.random.PCG64(seed).random_raw(int(np.prod(shape))) >> np.uint64(48)
    return (bits.astype(np.float64) / 65536).reshape(shape)


def golden_networks() -> CodedNetworks:
    """Scale networks of known weights, all of them half-precision numbers."""
    networks = CodedNetworks(SHAPE)
    with torch.no_grad():
        for seed, layer in enumerate((networks.scale1, networks.scale2, networks.scale3), 11):
            # The last layer reaches from symbols that are not sent to the widest tables.
            spread = (24 if layer is networks.scale3 else 2) / layer.in_channels**0.5
            layer.weight.copy_(torch.from_numpy(raw(seed, *layer.weight.shape) - 0.5).half() * spread)
            layer.bias.copy_(torch.from_numpy(raw(seed + 10, *layer.bias.shape) - 0.7).half())
            layer.half().float()
    return networks


def golden_input() -> tuple[np.ndarray, np.ndarray]:
    """c ``uint8[2h, 2w, 3]`` and maps ``int[2, ceil(h/2), ceil(w/2)]``."""
    small = (raw(31, 2 * ROWS, 2 * COLUMNS, 3) * 256).astype(np.uint8)
    levels = (raw(32, 4, 5) * 9).astype(np.int64)
    orientations = (raw(33, 4, 5) * 5).astype(np.int64) - 2
    return small, np.stack([levels, orientations])


def golden_tables(networks: CodedNetworks) -> np.ndarray:
    scales = ScaleModel(networks)
    return scales.indices(scales.features(*golden_input()), LOG_STEP).cpu().numpy()


def golden_symbols(tables: np.ndarray) -> np.ndarray:
    """Symbols of about the right size: differences of two uniforms, scaled."""
    scale = np.exp2(-4 + tables / 6)
    symbols = np.rint((raw(41, len(tables)) - raw(42, len(tables))) * 3 * scale).astype(np.int64)
    symbols[::37] *= 3
    most = SymbolTables(laplace_rows()).most[tables]
    return np.clip(symbols, -most, most)


def main() -> None:
    index = golden_tables(golden_networks()).reshape(-1)
    tables = index[index >= 0]
    blocks, unit, sent = pack(golden_symbols(tables), tables, SymbolTables(laplace_rows()), BLOCKS, BLOCK_SIZE)
    assert sent == len(tables), (sent, len(tables))
    path = Path(__file__).with_name("coded-v1.bin")
    path.write_bytes(unit.to_bytes(2, "big") + blocks.tobytes())
    print(f"wrote {path}: {len(tables)} symbols, {int((blocks[:, 3] > 0).sum())} of {BLOCKS} blocks used")


if __name__ == "__main__":
    main()
