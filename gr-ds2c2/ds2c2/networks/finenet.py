# SPDX-License-Identifier: GPL-3.0-or-later
"""FineNet: one step of the recursion that refines the base picture."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ds2c2.networks.bands import Band, over_rows, through
from ds2c2.networks.globalgenerator import (
    DOWN_STEPS,
    InstanceBlock,
    down_path,
    norm_relu,
    start_small,
    to_pixels,
)
from ds2c2.networks.layers import add_shuffled, clamp_pixels, enlarge, residual_stack, unshuffle, upsample


class FineNet(nn.Module):
    """x'_j = x'_(j-1) + f_j(x'_(j-1)): ``(B, 3, H, W)`` to the same, pixels in [-1, 1].

    The laptop-size form: all work happens at H/8, where the small picture c lives.
    H and W are multiples of 8.
    """

    def __init__(self, width: int, blocks: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.PixelUnshuffle(8),
            nn.Conv2d(3 * 64, width, 3, padding=1),
            residual_stack(width, blocks),
            upsample(width, width // 2, 2),
            upsample(width // 2, 3, 4),
        )
        last = self.body[-1][0]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, picture: Tensor) -> Tensor:
        into, enter, stack, double, (leave, out) = self.body
        size = picture.shape[-2:]
        (x,) = over_rows(lambda band: (enter(unshuffle(into.downscale_factor, band.look(picture))),), size, 1, (8,))
        x = through(stack, x)

        def added(band: Band) -> tuple[Tensor]:
            return (add_shuffled(band.look(picture), leave(double(band.look(x, 8))), out.upscale_factor),)

        return over_rows(added, size, 1, (1,))[0]


class FullFineNet(nn.Module):
    """x'_j = x'_(j-1) + f_j(s, x'_(j-1)): one-hot s ``(B, classes, H, W)`` and ``(B, 3, H, W)``
    to the same, clamped to [-1, 1]; the gradient passes the clamp.

    f is pix2pixHD's global generator, as in the paper and DSSLIC. Sides multiples of 8.
    """

    def __init__(self, classes: int, width: int, blocks: int, norm: str):
        super().__init__()
        widest = width * 2**DOWN_STEPS
        parts = [down_path(classes + 3, width, norm), *(InstanceBlock(widest, norm) for _ in range(blocks))]
        for step in range(DOWN_STEPS):
            channels = widest >> step
            up = nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1)
            parts += [up, *norm_relu(channels // 2, norm)]
        self.body = nn.Sequential(*parts, to_pixels(width))
        start_small(self)

    def forward(self, labels: Tensor, picture: Tensor) -> Tensor:
        return clamp_pixels(picture + self.body(torch.cat([labels, picture], dim=1)))


def refine(small: Tensor, factor: int, finenets: Iterable[FineNet]) -> Tensor:
    """c ``(B, 3, H/factor, W/factor)`` to x' ``(B, 3, H, W)``: bicubic, then every FineNet."""
    x = enlarge(small, factor)
    for finenet in finenets:
        x = finenet(x)
    return x
