# SPDX-License-Identifier: GPL-3.0-or-later
"""SumNet: joins base picture and reconstructed residual."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ds2c2.networks.layers import clamp_pixels, residual_stack, upsample


class SumNet(nn.Module):
    """x' and r-hat, each ``(B, 3, H, W)``, to the correction that is added to their sum.

    Works at H/2; H and W are even. The last layer starts at zero: a fresh SumNet is a sum.
    """

    def __init__(self, width: int, blocks: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(6 * 4, width, 3, padding=1),
            residual_stack(width, blocks),
            upsample(width, 3, 2),
        )
        last = self.body[-1][0]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, base: Tensor, residual: Tensor) -> Tensor:
        return base + residual + self.body(torch.cat([base, residual], dim=1))


class FullSumNet(nn.Module):
    """x' and r-hat, each ``(B, 3, H, W)``, to x-hat = x' + r-hat + what residual blocks at full
    size add, clamped to [-1, 1]. The last layer starts at zero: a fresh SumNet is a sum."""

    def __init__(self, width: int, blocks: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(6, width, 3, padding=1),
            residual_stack(width, blocks, F.relu),
            nn.Conv2d(width, 3, 3, padding=1),
        )
        nn.init.zeros_(self.body[-1].weight)
        nn.init.zeros_(self.body[-1].bias)

    def forward(self, base: Tensor, residual: Tensor) -> Tensor:
        return clamp_pixels(base + residual + self.body(torch.cat([base, residual], dim=1)))
