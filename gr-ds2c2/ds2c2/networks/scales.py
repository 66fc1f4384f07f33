# SPDX-License-Identifier: GPL-3.0-or-later
"""What both ends know of a cell before any symbol arrives: features for the scale network.

They come from integers of the base layer alone (pixels of c, maps, quantizer step), and every
feature is a multiple of 2^-10, so that fixed-point arithmetic reproduces them exactly.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ds2c2.networks.dct import coefficient_order

PATCH = 6  # pixels of c each way: a cell's own 2x2 and two around them
MAP_CELLS = 2  # a map entry covers 2x2 cells = 32x32 pixels
MAPS = 2  # energy level, orientation
MAX_LEVEL = 8
MAX_ORIENTATION = 2
LEVEL_VALUES = MAX_LEVEL + 1
ORIENTATION_VALUES = 2 * MAX_ORIENTATION + 1
# Sizes of the symbol tables, one table a scale; ds2c2.symboltables says what they hold.
LEAST_LOG_SCALE = -4.0  # log2 of a Laplacian's scale in steps; below, a symbol is not sent
TABLES_PER_OCTAVE = 6
TABLES = 66  # up to 2^7 steps
DIRECT = 16  # magnitudes 0 .. 15 have their own frequency
ROW = DIRECT + 2
# Large symbols are sent twice, the copy in steps twice as large: a lost one costs far more than
# the bits of its copy. From this table on, a scale of 0.7 steps. Against 1.4 steps and a copy four
# times as coarse, held-out pictures at 0.26 bpp lose 0.27 dB without loss and gain 0.15 dB at 50 %,
# their mean over losses stays (measured before any training with it).
COPY_TABLE = 21
COPY_OCTAVES = 1
COPY_MASK = 0.5  # what the mask says of a symbol of which only the copy is known
# Features of a cell: a patch of c and its mean, both maps with their neighbours, the step.
CONTEXT = 3 * PATCH**2 + 1 + 9 * MAPS + 1


def spread_step(log_step: Tensor) -> Tensor:
    """log2 of the step, one a sample ``(B,)`` or one a cell ``(B, 1, h, w)``, with four axes."""
    return log_step.view(-1, 1, 1, 1) if log_step.dim() == 1 else log_step


def context(small: Tensor, maps: Tensor, log_step: Tensor) -> Tensor:
    """Features ``(B, CONTEXT, h, w)`` of every cell, in the dtype of ``small``.

    ``small``: c ``(B, 3, 2h, 2w)``, whole numbers 0 to 255; ``maps`` ``(B, 2, ceil(h/2),
    ceil(w/2))``, whole numbers; ``log_step`` ``(B,)`` or ``(B, 1, h, w)``, multiples of 1/256.
    """
    batch, _, height, width = small.shape
    rows, columns = height // 2, width // 2
    padded = F.pad(small, (2, 2, 2, 2), mode="replicate")
    patch = F.unfold(padded, PATCH, stride=2).view(batch, 3, PATCH * PATCH, rows, columns)
    # The mean of 12 values, rounded down; the half keeps the quotient off whole numbers, so that
    # no way of dividing can change the result.
    sums = F.avg_pool2d(small.sum(1, keepdim=True), 2, divisor_override=1)
    mean = torch.floor((sums + 0.5) / 12)
    patch = (patch - mean[:, :, None]).view(batch, -1, rows, columns) / 32
    near = F.unfold(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3).view(batch, -1, *maps.shape[2:]) / 2
    near = near.repeat_interleave(MAP_CELLS, 2).repeat_interleave(MAP_CELLS, 3)[:, :, :rows, :columns]
    step = (spread_step(log_step) / 2).expand(batch, 1, rows, columns)
    return torch.cat([patch, mean / 128, near, step], dim=1)


def _masks(luma: int) -> Tensor:
    """Luma coefficients that count as detail, as horizontal and as vertical detail."""
    order = coefficient_order()[:luma]
    detail = [u * u + v * v > 9 for u, v in order]
    across = [v > u for u, v in order]
    down = [u > v for u, v in order]
    return torch.tensor([detail, across, down], dtype=torch.float32)


def measure_maps(coefficients: Tensor, luma: int) -> Tensor:
    """Energy level and orientation of every 32x32 pixels, whole numbers ``(B, 2, H/32, W/32)``.

    The level is log2 of the rms of detail in 8-bit levels; the orientation is by how many
    octaves horizontal frequencies outweigh vertical ones. Only the sender computes them.
    """
    masks = _masks(luma).to(coefficients.device)
    power = coefficients[:, :luma].float().square()
    energy = torch.einsum("mk,bkhw->bmhw", masks / masks.sum(1, keepdim=True), power)
    energy = F.avg_pool2d(energy, MAP_CELLS, ceil_mode=True, count_include_pad=False)
    detail, across, down = torch.log2(energy.sqrt() + 0.3).unbind(1)
    level = (detail.round() + 2).clamp(0, MAX_LEVEL)
    orientation = (across - down).round().clamp(-MAX_ORIENTATION, MAX_ORIENTATION)
    return torch.stack([level, orientation], dim=1)
