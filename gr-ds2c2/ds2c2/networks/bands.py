# SPDX-License-Identifier: GPL-3.0-or-later
"""Large pictures through networks in bands of rows, so that memory does not grow with them.

A band is looked at with so many rows around it as the convolutions reach; what their zero padding makes of
the cut edges is cut off again. The result is that of the whole picture but for the last bit or two of the
floats: convolutions add up in another order when their input has another size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ds2c2.stream.geometry import CELL

# Pixels of a band. 2^20: 768x512 is one, 1080p two, 4K eight. Networks at a quarter of the sides with
# 64 channels take 16 MB for each of their tensors then.
PIXELS_AT_ONCE = 1 << 20
LEAST_ROWS = 16 * CELL  # a band's rows at the least: what is looked at around it is work done twice


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

    def trim(self, x: Tensor, scale: int) -> Tensor:
        """What is wanted of what was made of ``look``."""
        return x[:, :, (self.first - self.top) // scale : (self.last - self.top) // scale]


def _bands(height: int, width: int, reach: int) -> Iterator[Band]:
    rows = height
    if not torch.is_grad_enabled() and height * width > PIXELS_AT_ONCE:
        count = max(1, min(-(-height * width // PIXELS_AT_ONCE), height // LEAST_ROWS))
        rows = -(-height // (count * CELL)) * CELL
    for first in range(0, height, rows):
        last = min(first + rows, height)
        yield Band(first, last, max(0, first - reach), min(height, last + reach))


def over_rows(
    network: Callable[[Band], tuple[Tensor, ...]], size: tuple[int, int], cells: int, scales: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """What ``network`` makes of each band, put together: ``(B, C, H / scale, W / scale)`` each.

    ``size``: H and W in pixels. ``cells``: how far the network reaches, in cells of 16 rows. With gradients
    there is one band, the picture.
    """
    height, width = size
    whole: list[Tensor] = []
    for band in _bands(height, width, cells * CELL):
        parts = network(band)
        if (band.first, band.last) == (0, height):
            return parts
        if not whole:
            whole = [
                part.new_empty(
                    (*part.shape[:2], height // scale, part.shape[3]),
                ).contiguous(memory_format=torch.channels_last)
                for part, scale in zip(parts, scales, strict=True)
            ]
        for out, part, scale in zip(whole, parts, scales, strict=True):
            band.wanted(out, scale).copy_(band.trim(part, scale))
    return tuple(whole)
