# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that several networks share: residual block, GDN, pixel shuffles.

Without gradients pixels go straight to the layout that convolutions compute in, channels last, and back: each
turn of the layout that torch makes on its own is one more pass over the picture. The numbers are the same.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Bicubic enlargement: the old samples that a new one may depend on, and the kernel's slope at 1, torch's.
TAPS = 5
SLOPE = -0.75
# Bytes to a type of as many; complex numbers are moved like all others.
WIDE = {4: torch.int32, 8: torch.int64, 16: torch.complex128}


class ResidualBlock(nn.Module):
    """x + conv(f(conv(f(x)))) with f = GELU unless said otherwise, shape ``(B, C, H, W)`` kept.

    The second convolution starts at zero, so a fresh block is the identity and a deep
    stack trains from the first step.
    """

    def __init__(self, channels: int, activation: Callable[[Tensor], Tensor] = F.gelu):
        super().__init__()
        self.activation = activation
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)

    def branch(self, x: Tensor) -> Tensor:
        """What is added to ``x``."""
        hidden = self.first(self.activation(x))
        # Without gradients nobody else holds it.
        in_place = not torch.is_grad_enabled() and self.activation is F.relu
        return self.second(hidden.relu_() if in_place else self.activation(hidden))


class GDN(nn.Module):
    """Generalized divisive normalization, y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2).

    ``inverse=True`` multiplies instead (IGDN). Shape ``(B, C, H, W)`` kept.
    Ballé, Laparra, Simoncelli, "Density modeling of images using a generalized
    normalization transformation", ICLR 2016. Squares of the parameters keep beta and
    gamma non-negative; beta has a floor so that the root stays away from zero.
    """

    BETA_FLOOR = 1e-3
    GAMMA_START = 0.1

    def __init__(self, channels: int, inverse: bool = False):
        super().__init__()
        self.inverse = inverse
        self.beta_root = nn.Parameter(torch.ones(channels))
        self.gamma_root = nn.Parameter((self.GAMMA_START * torch.eye(channels)).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        beta = self.beta_root.square() + self.BETA_FLOOR
        gamma = self.gamma_root.square()[:, :, None, None]
        norm = F.conv2d(x.square(), gamma, beta).sqrt()
        return x * norm if self.inverse else x / norm


def unshuffle(factor: int, *pictures: Tensor) -> Tensor:
    """Pictures ``(B, C, H, W)`` side by side through ``PixelUnshuffle(factor)``: ``(B, sum C f^2, H/f, W/f)``,
    in the numbers that convolutions compute in."""
    if torch.is_grad_enabled():
        return F.pixel_unshuffle(torch.cat(pictures, dim=1) if len(pictures) > 1 else pictures[0], factor)
    batch, _, height, width = pictures[0].shape
    rows, columns = height // factor, width // factor
    counts = [picture.shape[1] for picture in pictures]
    kind = _computed_in(pictures[0])
    found = pictures[0].new_empty((batch, rows, columns, sum(counts), factor, factor), dtype=kind)
    for part, picture in zip(found.split(counts, dim=3), pictures, strict=True):
        _move(part.permute(0, 3, 1, 4, 2, 5), _cells(picture.to(kind, memory_format=torch.contiguous_format), factor))
    return found.flatten(3).permute(0, 3, 1, 2)


def add_shuffled(picture: Tensor, features: Tensor, factor: int) -> Tensor:
    """``picture`` ``(B, C, H, W)`` plus ``PixelShuffle(factor)`` of ``features`` ``(B, C f^2, H/f, W/f)``."""
    if torch.is_grad_enabled():
        return picture + F.pixel_shuffle(features, factor)
    return shuffle(features, factor).to(picture.dtype).add_(picture)


def shuffle(features: Tensor, factor: int) -> Tensor:
    """``PixelShuffle(factor)``: ``(B, C f^2, h, w)`` to ``(B, C, f h, f w)``."""
    if torch.is_grad_enabled():
        return F.pixel_shuffle(features, factor)
    batch, channels, rows, columns = features.shape
    found = features.new_empty((batch, channels // factor**2, rows * factor, columns * factor))
    _move(_cells(found, factor), _subpixels(features, factor))
    return found


def _computed_in(x: Tensor) -> torch.dtype:
    """The numbers of a convolution of ``x``: autocast's, where that is on."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _move(into: Tensor, of: Tensor) -> None:
    """``of`` into ``into``, both ``(B, C, h, f, w, f)`` in some layout with f samples in a row.

    torch goes along the innermost dimension, and f samples are few: on a processor they are moved as one wide number.
    """
    wide = WIDE.get(of.shape[-1] * of.element_size())
    if wide and of.device.type == "cpu" and _wide(into) and _wide(of):
        into, of = into.view(wide), of.view(wide)
    into.copy_(of)


def _wide(x: Tensor) -> bool:
    """Whether every row of the innermost dimension begins at a multiple of its length."""
    *outer, last = x.stride()
    return last == 1 and not any(place % x.shape[-1] for place in (x.storage_offset(), *outer))


def enlarge(small: Tensor, factor: int) -> Tensor:
    """``(B, C, h, w)`` to ``(B, C, factor h, factor w)``, ``factor`` even: bicubic, as torch's to the last bits.

    torch's own computes the taps of every pixel anew, and takes five times as long on a processor.
    """
    if torch.is_grad_enabled() or small.device.type != "cpu":
        return F.interpolate(small, scale_factor=factor, mode="bicubic", align_corners=False)
    batch, channels, rows, columns = small.shape
    taps = _bicubic_taps(factor)
    with torch.autocast(small.device.type, enabled=False):
        around = F.pad(small.float(), (TAPS // 2,) * 4, mode="replicate")
        wide = (around.unfold(3, TAPS, 1) @ taps.t()).reshape(batch * channels, rows + TAPS - 1, columns * factor)
        # Every row's own and its neighbours, without a copy.
        near = wide.as_strided(
            (*wide.shape[:1], rows, TAPS, wide.shape[2]), (wide.stride(0), *wide.stride()[1:2] * 2, 1)
        )
        return (taps @ near).view(batch, channels, rows * factor, columns * factor)


@cache
def _bicubic_taps(factor: int) -> Tensor:
    """``float32[factor, 5]``: of each new sample between two old ones, the shares of the old one and its neighbours
    (Keys 1981, "Cubic convolution interpolation")."""
    places = (torch.arange(factor, dtype=torch.float64) + 0.5) / factor - 0.5
    away = (torch.arange(TAPS) - TAPS // 2 - places[:, None]).abs()
    inner = ((SLOPE + 2) * away - (SLOPE + 3)) * away**2 + 1
    outer = SLOPE * (((away - 5) * away + 8) * away - 4)
    return torch.where(away <= 1, inner, torch.where(away < 2, outer, 0.0)).float()


def _cells(picture: Tensor, factor: int) -> Tensor:
    """``(B, C, H, W)`` as ``(B, C, H/f, f, W/f, f)``."""
    batch, channels, height, width = picture.shape
    return picture.view(batch, channels, height // factor, factor, width // factor, factor)


def _subpixels(features: Tensor, factor: int) -> Tensor:
    """``(B, C f^2, h, w)`` as ``(B, C, h, f, w, f)``."""
    return features.unflatten(1, (-1, factor, factor)).permute(0, 1, 4, 2, 5, 3)


def residual_stack(channels: int, count: int, activation: Callable[[Tensor], Tensor] = F.gelu) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels, activation) for _ in range(count)))


def upsample(inputs: int, outputs: int, factor: int) -> nn.Sequential:
    """3x3 convolution and pixel shuffle: ``(B, inputs, H, W)`` to ``(B, outputs, fH, fW)``.

    All sub-pixels start from the same filter (ICNR, Aitken et al. 2017), which avoids
    checkerboards from a random start.
    """
    conv = nn.Conv2d(inputs, outputs * factor**2, 3, padding=1)
    with torch.no_grad():
        conv.weight.copy_(conv.weight[:: factor**2].repeat_interleave(factor**2, dim=0))
        conv.bias.copy_(conv.bias[:: factor**2].repeat_interleave(factor**2, dim=0))
    return nn.Sequential(conv, nn.PixelShuffle(factor))


def clamp_pixels(x: Tensor) -> Tensor:
    """``x`` clamped to [-1, 1]; the gradient passes as if it were not, so that a pixel beyond
    the range finds back."""
    return x + (x.clamp(-1, 1) - x).detach()
