# SPDX-License-Identifier: GPL-3.0-or-later
"""The orthonormal 16x16 DCT of three colour planes, as one matrix over a cell's pixels."""

import torch
from torch import Tensor

from ds2c2.stream.geometry import CELL


def coefficient_order() -> list[tuple[int, int]]:
    """(vertical, horizontal) frequency of a plane's coefficients, low frequencies first."""
    pairs = [(u, v) for u in range(CELL) for v in range(CELL)]
    return sorted(pairs, key=lambda p: (p[0] ** 2 + p[1] ** 2, p))


def coefficient_basis(luma: int, chroma: int) -> Tensor:
    """``float32[luma + 2 * chroma, 3 * 256]``: orthonormal rows, in the order of
    ``PixelUnshuffle(16)``. Colours are grey, red minus blue, and green minus both."""
    n = torch.arange(CELL, dtype=torch.float64)
    dct = torch.cos(torch.pi * (2 * n[None] + 1) * n[:, None] / (2 * CELL)) * (2 / CELL) ** 0.5
    dct[0] /= 2**0.5
    colours = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
    colours = colours / colours.norm(dim=1, keepdim=True)
    order = coefficient_order()
    rows = []
    for colour, kept in zip(colours, (luma, chroma, chroma), strict=True):
        for u, v in order[:kept]:
            rows.append(torch.einsum("c,y,x->cyx", colour, dct[u], dct[v]).reshape(-1))
    return torch.stack(rows).float()
