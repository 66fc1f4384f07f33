# SPDX-License-Identifier: GPL-3.0-or-later
"""CompNet: the small picture c of the paper's base layer."""

import torch
from torch import Tensor, nn

from ds2c2.networks.globalgenerator import DOWN_STEPS, down_path, start_small, to_pixels


class CompNet(nn.Module):
    """One-hot s ``(B, classes, H, W)`` and x ``(B, 3, H, W)`` to c ``(B, 3, H/8, W/8)``.

    Pixels in [-1, 1]; H and W multiples of 8, 32 at least. The structure is DSSLIC's.
    """

    def __init__(self, classes: int, width: int, norm: str):
        super().__init__()
        self.body = nn.Sequential(down_path(classes + 3, width, norm), to_pixels(width * 2**DOWN_STEPS))
        start_small(self)

    def forward(self, labels: Tensor, picture: Tensor) -> Tensor:
        return self.body(torch.cat([labels, picture], dim=1))
