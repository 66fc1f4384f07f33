# SPDX-License-Identifier: GPL-3.0-or-later
"""Large pictures through networks in bands of rows, so that what a layer needs beside its input stays small.

A band is looked at with so many rows around it as the convolutions reach; what their zero padding makes of
the cut edges is cut off again. The result is that of the whole picture but for the last bits of the floats:
convolutions add up in another order when their input has another size. With gradients, which keep all
that is in between, there is one band, the picture.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ds2c2.stream.geometry import CELL

# Pixels of a band: 768x512 is one, 1080p four.
PIXELS_AT_ONCE = 1 << 19
# Floats of a band inside a residual block, and rows at the least: the four around it are work done twice.
FLOATS_AT_ONCE = 1 << 22
LEAST_ROWS = 64
BLOCK_REACH = 2  # rows: two 3x3 convolutions


@dataclass(frozen=True)
class Band:
    """Pixel rows ``first`` to ``last`` wanted, ``top`` to ``bottom`` looked at; multiples of a cell's, but
    for the picture's end."""

    first: int
    last: int
    top: int
    bottom: int

    def look(self, x: Tensor, scale: int = 1) -> Tensor:
        """What is looked at of ``(B, C, H / scale, W / scale)``."""
        return x[:, :, self.top // scale : self.bottom // scale]

    def wanted(self, x: Tensor, scale: int = 1) -> Tensor:
        """What is wanted of ``(B, C, H / scale, W / scale)``."""
        return x[:, :, self.first // scale : self.last // scale]

    def trim(self, x: Tensor, scale: int = 1) -> Tensor:
        """What is wanted of what was made of ``look``."""
        return x[:, :, (self.first - self.top) // scale : (self.last - self.top) // scale]


def _bands(size: tuple[int, int], cells: int) -> Iterator[Band]:
    height, width = size
    whole = torch.is_grad_enabled() or height * width <= PIXELS_AT_ONCE
    rows = height if whole else -(-PIXELS_AT_ONCE // (width * CELL)) * CELL
    for first in range(0, height, rows):
        last = min(first + rows, height)
        yield Band(first, last, max(0, first - cells * CELL), min(height, last + cells * CELL))


def over_rows(
    network: Callable[[Band], tuple[Tensor, ...]], size: tuple[int, int], cells: int, scales: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """What ``network`` makes of each band, put together: ``(B, C, H / scale, W / scale)`` each.

    ``size``: H and W in pixels. ``cells``: how far the network reaches, in cells of 16 rows.
    """
    whole: list[Tensor] = []
    for band in _bands(size, cells):
        parts = network(band)
        if (band.first, band.last) == (0, size[0]):
            return parts
        for number, (part, scale) in enumerate(zip(parts, scales, strict=True)):
            if number == len(whole):
                shape = (*part.shape[:2], size[0] // scale, part.shape[3])
                kind = {"dtype": part.dtype, "device": part.device}
                whole.append(torch.empty(shape, **kind, memory_format=torch.channels_last))
            band.wanted(whole[number], scale).copy_(band.trim(part, scale))
    return tuple(whole)


def add_over_rows(x: Tensor, network: Callable[[Band], Tensor], cells: int) -> Tensor:
    """``x`` ``(B, C, H, W)``, which nobody else holds, plus what ``network``, which does not see it, makes of
    each band."""
    for band in _bands(x.shape[-2:], cells):
        part = band.trim(network(band))
        if torch.is_grad_enabled():
            return x + part
        band.wanted(x).add_(part)
    return x


def through(stack: nn.Sequential, x: Tensor) -> Tensor:
    """``x`` ``(B, C, h, w)``, which nobody else holds, through a stack of residual blocks."""
    if torch.is_grad_enabled():
        return stack(x)
    rows = max(LEAST_ROWS, FLOATS_AT_ONCE // (x.shape[0] * x.shape[1] * x.shape[3]))
    for block in stack:
        above = x[:, :, :0]
        for first in range(0, x.shape[2], rows):
            last = min(first + rows, x.shape[2])
            band = x[:, :, first : last + BLOCK_REACH]
            start = above.shape[2]
            band = torch.cat([above, band], dim=2) if start else band
            # As they were, for the next band.
            above = x[:, :, last - BLOCK_REACH : last].clone()
            x[:, :, first:last].add_(block.branch(band)[:, :, start : start + last - first])
    return x
