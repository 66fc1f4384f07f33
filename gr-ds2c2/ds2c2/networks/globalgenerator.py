# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of pix2pixHD's global generator, which the paper's CompNet and FineNet are made of.

Wang, Liu, Zhu, Tao, Kautz, Catanzaro, "High-resolution image synthesis and semantic manipulation
with conditional GANs", CVPR 2018; with three strided convolutions as in DSSLIC (Akbari, Liang,
Han, ICASSP 2019).
"""

import torch
from torch import Tensor, nn

DOWN_STEPS = 3  # strided convolutions: H/8
START_SPREAD = 0.02  # standard deviation of the convolutions' first weights


class InstanceNorm(nn.InstanceNorm2d):
    """PyTorch's, without parameters, and with right gradients for a batch of one.

    On CPUs PyTorch 2.14 takes a gradient in the channels_last format for a contiguous one where the
    batch is one picture, and is wrong by more than its size.
    """

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if y.requires_grad:
            y.register_hook(torch.Tensor.contiguous)
        return y


NORMS = ("instance", "none")


def make_norm(channels: int, norm: str) -> nn.Module:
    """One of ``NORMS``; none is an identity, so that layers keep their names."""
    return InstanceNorm(channels) if norm == "instance" else nn.Identity()


def norm_relu(channels: int, norm: str) -> list[nn.Module]:
    return [make_norm(channels, norm), nn.ReLU()]


def down_path(inputs: int, width: int, norm: str) -> nn.Sequential:
    """``(B, inputs, H, W)`` to ``(B, 8 width, H/8, W/8)``: a 7x7 convolution, three of stride 2."""
    parts: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7), *norm_relu(width, norm)]
    for step in range(DOWN_STEPS):
        channels = width * 2**step
        parts += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), *norm_relu(2 * channels, norm)]
    return nn.Sequential(*parts)


def to_pixels(channels: int) -> nn.Sequential:
    """The last 7x7 convolution, to three colours in [-1, 1]."""
    return nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(channels, 3, 7), nn.Tanh())


class InstanceBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), reflected at the edges; shape ``(B, C, H, W)`` kept."""

    def __init__(self, channels: int, norm: str):
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            *norm_relu(channels, norm),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            make_norm(channels, norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def start_small(networks: nn.Module) -> None:
    """Draw every convolution's weights anew from N(0, 0.02), as pix2pixHD starts."""
    for module in networks.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, START_SPREAD)
