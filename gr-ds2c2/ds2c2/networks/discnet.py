# SPDX-License-Identifier: GPL-3.0-or-later
"""DiscNet: tells the original from x', at three scales; only in training."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ds2c2.networks.globalgenerator import InstanceNorm, start_small

SCALES = 3
LAYERS = 5  # of a PatchGAN; the last one's output is the verdict
WIDEST = 8  # times the first layer's width
SLOPE = 0.2  # of the leaky ReLU


def patch_gan(inputs: int, width: int) -> nn.ModuleList:
    """4x4 convolutions to width, 2, 4 and 8 times that, and 1 (strides 2, 2, 2, 1, 1)."""
    first = nn.Sequential(nn.Conv2d(inputs, width, 4, stride=2, padding=2), nn.LeakyReLU(SLOPE))
    layers = nn.ModuleList([first])
    channels = width
    for stride in (2, 2, 1):
        wider = min(2 * channels, WIDEST * width)
        conv = nn.Conv2d(channels, wider, 4, stride=stride, padding=2)
        layers.append(nn.Sequential(conv, InstanceNorm(wider), nn.LeakyReLU(SLOPE)))
        channels = wider
    layers.append(nn.Conv2d(channels, 1, 4, padding=2))
    return layers


class DiscNet(nn.Module):
    """One-hot s, c' and a picture to what three PatchGANs see, as in pix2pixHD.

    The result has a list a scale, full size first: outputs of the five layers, of which the
    last ``(B, 1, h, w)`` are logits for "original". Sides of 64 pixels at least.
    """

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.scales = nn.ModuleList(patch_gan(classes + 6, width) for _ in range(SCALES))
        start_small(self)

    def forward(self, labels: Tensor, enlarged: Tensor, picture: Tensor) -> list[list[Tensor]]:
        x = torch.cat([labels, enlarged, picture], dim=1)
        seen = []
        for layers in self.scales:
            if seen:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            outputs = [x]
            for layer in layers:
                outputs.append(layer(outputs[-1]))
            seen.append(outputs[1:])
        return seen
