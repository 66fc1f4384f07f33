# SPDX-License-Identifier: GPL-3.0-or-later
"""BResNet: the residual to latents and back; at laptop size, and the paper's own."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ds2c2.networks.layers import GDN, residual_stack, upsample


class BResNetEncoder(nn.Module):
    """Residual r ``(B, 3, H, W)`` and base picture x' (same shape) to latents before the
    binarizer ``(B, C, H/16, W/16)``. Pixels in [-1, 1]; H and W multiples of 16.

    Strided convolutions, GDN and residual blocks (the paper's Fig. 3). The first step is a
    lossless PixelUnshuffle: at full size most of the time would go into few channels.
    """

    def __init__(self, widths: tuple[int, int, int], blocks: tuple[int, int, int], channels: int):
        super().__init__()
        quarter, eighth, sixteenth = widths
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(6 * 16, quarter, 3, padding=1),
            residual_stack(quarter, blocks[0]),
            nn.Conv2d(quarter, eighth, 5, stride=2, padding=2),
            GDN(eighth),
            residual_stack(eighth, blocks[1]),
            nn.Conv2d(eighth, sixteenth, 5, stride=2, padding=2),
            GDN(sixteenth),
            residual_stack(sixteenth, blocks[2]),
            nn.Conv2d(sixteenth, channels, 1),
        )

    def forward(self, residual: Tensor, base: Tensor) -> Tensor:
        return self.body(torch.cat([residual, base], dim=1))


class BResNetDecoder(nn.Module):
    """Received symbols ``(B, C, H/16, W/16)`` in {-1, 0, +1} and x' ``(B, 3, H, W)`` to the
    reconstructed residual ``(B, 3, H, W)``.

    A symbol that was erased, or not sent at this rate, is 0; its magnitude is the mask of
    what arrived and enters beside it, so the network sees *where* something is missing.
    """

    def __init__(self, widths: tuple[int, int, int], blocks: tuple[int, int, int], channels: int):
        super().__init__()
        quarter, eighth, sixteenth = widths
        self.features8 = nn.Sequential(
            nn.PixelUnshuffle(8),
            nn.Conv2d(3 * 64, eighth, 1),
            residual_stack(eighth, 1),
        )
        self.features16 = nn.Conv2d(eighth, sixteenth, 3, stride=2, padding=1)
        self.latents = nn.Conv2d(2 * channels, sixteenth, 1)
        self.stage16 = nn.Sequential(
            residual_stack(sixteenth, blocks[2]),
            upsample(sixteenth, eighth, 2),
            GDN(eighth, inverse=True),
        )
        self.stage8 = nn.Sequential(
            residual_stack(eighth, blocks[1]),
            upsample(eighth, quarter, 2),
            GDN(quarter, inverse=True),
        )
        self.stage4 = nn.Sequential(residual_stack(quarter, blocks[0]), upsample(quarter, 3, 4))

    def forward(self, symbols: Tensor, base: Tensor) -> Tensor:
        features = self.features8(base)
        latents = self.latents(torch.cat([symbols, symbols.abs()], dim=1))
        x = self.stage16(latents + self.features16(features))
        return self.stage4(self.stage8(x + features))


# What a normalisation is where GDN is switched off: something must still bend between two convolutions.
def _normalise(channels: int, gdn: bool, inverse: bool = False) -> nn.Module:
    return GDN(channels, inverse) if gdn else nn.ReLU()


class FullBResNetEncoder(nn.Module):
    """Residual r ``(B, 3, H, W)`` to latents before the binarizer ``(B, C, H/2^d, W/2^d)``.

    d times a 5x5 convolution of stride 2, GDN and a residual block, all ``width`` (N) wide; then
    a 3x3 convolution to ``channels`` (C). The paper's Fig. 3; sides multiples of 2^d.
    """

    def __init__(self, depth: int, width: int, channels: int, gdn: bool):
        super().__init__()
        parts: list[nn.Module] = []
        for step in range(depth):
            parts += [
                nn.Conv2d(width if step else 3, width, 5, stride=2, padding=2),
                _normalise(width, gdn),
                residual_stack(width, 1, F.relu),
            ]
        self.body = nn.Sequential(*parts, nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, residual: Tensor) -> Tensor:
        return self.body(residual)


class FullBResNetDecoder(nn.Module):
    """Received symbols ``(B, C, H/2^d, W/2^d)`` in {-1, 0, +1} to r-hat ``(B, 3, H, W)``.

    ``upsampling``: ``shuffle`` (3x3 convolution and pixel shuffle, the paper's) or
    ``transposed`` (3x3 transposed convolution). ``loss_mask``: the magnitude of the symbols,
    0 where they were lost, enters beside them; the paper's receiver does not know where.
    """

    def __init__(self, depth: int, width: int, channels: int, gdn: bool, upsampling: str, loss_mask: bool):
        super().__init__()
        self.loss_mask = loss_mask
        parts: list[nn.Module] = [nn.Conv2d(2 * channels if loss_mask else channels, width, 3, padding=1)]
        for _ in range(depth):
            if upsampling == "shuffle":
                up = upsample(width, width, 2)
            else:
                up = nn.ConvTranspose2d(width, width, 3, stride=2, padding=1, output_padding=1)
            parts += [up, _normalise(width, gdn, inverse=True), residual_stack(width, 1, F.relu)]
        self.body = nn.Sequential(*parts, nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, symbols: Tensor) -> Tensor:
        return self.body(torch.cat([symbols, symbols.abs()], dim=1) if self.loss_mask else symbols)
