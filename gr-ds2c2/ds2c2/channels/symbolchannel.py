# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture's binary symbols meet between encoder and decoder, in one step.

The same as interleaver, code blocks, emulated channel and deinterleaver one after the other,
without making bytes: training and evaluation of the paper's networks use it. Three effects,
never mixed up:

* ``zero``, the paper's channel ("BEC" there): a 1 that is hit becomes a 0, +1 reads -1, and the
  receiver does not know where;
* ``flip``, binary symmetric: what is hit is turned around, likewise unknown;
* ``erase``: what is hit reads 0, and the receiver knows.

Hit are whole blocks (the paper's BBEC and BBSC) or single bits (BEC and BSC).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ds2c2.errors import UserError
from ds2c2.stream.permutation import seeded_order

EFFECTS = ("zero", "flip", "erase")
UNITS = ("block", "bit")
BITS_A_BYTE = 8


@lru_cache(maxsize=4)
def _order(seed: int, size: int) -> Tensor:
    return torch.from_numpy(seeded_order(seed, size))


@dataclass(frozen=True)
class SymbolChannel:
    """A channel for the symbols of one picture at a time.

    Args:
        effect: one of ``EFFECTS``
        unit: one of ``UNITS``
        block_size: bytes of a code block; the last block of a picture is filled with zeros
        interleave: over all bits of a picture, as ``interleave=bit`` of a stream format
        seed: of that permutation

    Raises ``UserError``.
    """

    effect: str = "zero"
    unit: str = "block"
    block_size: int = 100
    interleave: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        if self.effect not in EFFECTS:
            raise UserError(f"channel effect {self.effect!r} is unknown; choose one of {', '.join(EFFECTS)}")
        if self.unit not in UNITS:
            raise UserError(f"channel unit {self.unit!r} is unknown; choose one of {', '.join(UNITS)}")
        if self.block_size < 1 or self.seed < 0:
            raise UserError(f"block_size {self.block_size} and seed {self.seed}: 1 and 0 at least are wanted")

    def blocks(self, symbols: int) -> int:
        """Code blocks of so many symbols."""
        return math.ceil(symbols / (BITS_A_BYTE * self.block_size))

    def draw(self, symbols: int, share: float, generator: torch.Generator) -> Tensor:
        """Which of a picture's symbols are hit, ``bool[symbols]`` in the encoder's order.

        ``share`` of the blocks, to a whole number up or down so that the mean is exact, at random
        places; or each bit by itself.
        """
        if self.unit == "bit":
            return torch.rand(symbols, generator=generator) < share
        count = self.blocks(symbols)
        hits = torch.zeros(count, dtype=torch.bool)
        hit = math.floor(share * count + float(torch.rand(1, generator=generator)))
        hits[torch.randperm(count, generator=generator)[:hit]] = True
        return self.spread(hits, symbols)

    def spread(self, hits: Tensor, symbols: int) -> Tensor:
        """Hit blocks ``bool[blocks]`` to hit symbols ``bool[symbols]``."""
        bits = hits.repeat_interleave(BITS_A_BYTE * self.block_size)
        if not self.interleave:
            return bits[:symbols]
        mask = torch.empty_like(bits)
        mask[_order(self.seed, len(bits))] = bits
        return mask[:symbols]

    def through(self, symbols: Tensor, hits: Tensor) -> Tensor:
        """Symbols in {-1, +1} and hits of the same shape to what is received. Gradients of what
        is zeroed or erased end here; a flipped symbol's change their sign."""
        if self.effect == "flip":
            return torch.where(hits, -symbols, symbols)
        lost = torch.zeros_like(symbols) if self.effect == "erase" else -torch.ones_like(symbols)
        return torch.where(hits, lost, symbols)
