# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of the ``coded`` profile: a linear transform that learns, and networks around it.

Encoder and decoder start as the 16x16 DCT of the residual and its inverse (Ahmed, Natarajan,
Rao 1974), which has the right slope over rate before the first training step; what the
networks add starts at zero. Learned from nothing, the same networks learn the coarse part of
a picture and need very long for the fine one.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ds2c2.networks.bands import Band, add_over_rows, over_rows, through
from ds2c2.networks.dct import coefficient_basis
from ds2c2.networks.finenet import FineNet, refine
from ds2c2.networks.layers import add_shuffled, residual_stack, shuffle, unshuffle
from ds2c2.networks.scales import CONTEXT, LEVEL_VALUES, ORIENTATION_VALUES, ROW, TABLES, spread_step
from ds2c2.stream.geometry import CELL, LEVELS, REDUCTION

# What the networks see of a coefficient, so that most of them lie within +-1.
COEFFICIENT_SCALE = 32.0
# log2 of the quantizer's step at which the gain vectors are learned; between them, linear.
GAIN_KNOTS = (2.5, 4.0, 5.5, 7.0)
MIDDLE_LOG_STEP = 5.0


@dataclass(frozen=True)
class CodedShape:
    """Sizes of the networks; stored beside the weights.

    ``luma`` and ``chroma`` are the coefficients kept of a cell's 256 of each colour (two
    chroma planes). ``widths`` are channels at H/4, H/8, H/16; ``blocks`` residual blocks.
    """

    fine_steps: int = 2
    fine_width: int = 64
    fine_blocks: int = 3
    luma: int = 200
    chroma: int = 48
    widths: tuple[int, int, int] = (64, 96, 160)
    encoder_blocks: tuple[int, int, int] = (3, 2, 3)
    decoder_blocks: tuple[int, int, int] = (4, 4, 6)
    scale_width: int = 128

    @property
    def channels(self) -> int:
        return self.luma + 2 * self.chroma

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> "CodedShape":
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def _stack(channels: int, count: int) -> nn.Sequential:
    # ReLU: cheap on processors, where the elements' work counts as much as the convolutions.
    return residual_stack(channels, count, F.relu)


def _zero(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv


def _shuffle_up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, 4 * outputs, 1), nn.PixelShuffle(2))


class CodedEncoder(nn.Module):
    """r and x' ``(B, 3, H, W)`` to coefficients ``(B, K, H/16, W/16)`` in 8-bit levels."""

    def __init__(self, shape: CodedShape):
        super().__init__()
        quarter, eighth, sixteenth = shape.widths
        self.stage4 = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(6 * 16, quarter, 3, padding=1),
            _stack(quarter, shape.encoder_blocks[0]),
        )
        self.filter = nn.Sequential(_zero(nn.Conv2d(quarter, 48, 3, padding=1)), nn.PixelShuffle(4))
        self.stage16 = nn.Sequential(
            nn.Conv2d(quarter, eighth, 5, stride=2, padding=2),
            _stack(eighth, shape.encoder_blocks[1]),
            nn.Conv2d(eighth, sixteenth, 3, stride=2, padding=1),
            _stack(sixteenth, shape.encoder_blocks[2]),
            nn.ReLU(),
            _zero(nn.Conv2d(sixteenth, shape.channels, 1)),
        )
        self.transform = nn.Parameter(coefficient_basis(shape.luma, shape.chroma))

    def forward(self, residual: Tensor, base: Tensor) -> Tensor:
        size = residual.shape[-2:]
        into, enter, stack = self.stage4
        narrow, pixels = self.filter
        down8, stack8, down16, stack16, *leave = self.stage16

        def enter4(band: Band) -> tuple[Tensor]:
            return (enter(unshuffle(into.downscale_factor, band.look(residual), band.look(base))),)

        (x4,) = over_rows(enter4, size, 1, (4,))
        x4 = through(stack, x4)

        def leave4(band: Band) -> tuple[Tensor, Tensor]:
            features = band.look(x4, 4)
            filtered = add_shuffled(band.look(residual), narrow(features), pixels.upscale_factor)
            with torch.autocast(residual.device.type, enabled=False):
                cells = unshuffle(CELL, filtered.float())
                linear = F.conv2d(cells * LEVELS, self.transform.float()[:, :, None, None])
            return linear, down8(features)

        linear, x8 = over_rows(leave4, size, 1, (CELL, 8))
        correction = through(stack16, down16(through(stack8, x8)))
        for layer in leave:
            correction = layer(correction)
        return linear + correction.float() * COEFFICIENT_SCALE


class CodedDecoder(nn.Module):
    """Received coefficients, the mask of what arrived and x' to the residual r-hat.

    ``coefficients`` ``(B, K, h, w)`` in 8-bit levels, 0 where lost; ``mask`` the same shape,
    1 where known; ``context`` ``(B, S, h, w)`` is what the scale network knows of each cell.
    """

    def __init__(self, shape: CodedShape):
        super().__init__()
        quarter, eighth, sixteenth = shape.widths
        self.features8 = nn.Sequential(
            nn.PixelUnshuffle(8),
            nn.Conv2d(3 * 64, eighth, 1),
            _stack(eighth, 1),
        )
        self.features16 = nn.Conv2d(eighth, sixteenth, 3, stride=2, padding=1)
        self.enter16 = nn.Conv2d(2 * shape.channels + shape.scale_width + 2, sixteenth, 1)
        self.stage16 = _stack(sixteenth, shape.decoder_blocks[2])
        self.estimate = _zero(nn.Conv2d(sixteenth, shape.channels, 1))
        self.up8 = _shuffle_up(sixteenth, eighth)
        self.stage8 = _stack(eighth, shape.decoder_blocks[1])
        self.up4 = _shuffle_up(eighth, quarter)
        self.enter4 = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(6 * 16, quarter, 3, padding=1))
        self.stage4 = _stack(quarter, shape.decoder_blocks[0])
        self.leave4 = nn.Sequential(nn.ReLU(), _zero(nn.Conv2d(quarter, 48, 3, padding=1)), nn.PixelShuffle(4))
        self.transform = nn.Parameter(coefficient_basis(shape.luma, shape.chroma).t().contiguous())

    def forward(self, coefficients: Tensor, mask: Tensor, context: Tensor, log_step: Tensor, base: Tensor) -> Tensor:
        batch, _, rows, columns = coefficients.shape
        lost = 1 - mask.mean(dim=(1, 2, 3), keepdim=True)
        planes = [p.expand(batch, 1, rows, columns) for p in (spread_step(log_step) - MIDDLE_LOG_STEP, lost)]
        size = base.shape[-2:]
        into, enter, stack = self.features8
        (features,) = over_rows(lambda band: (enter(unshuffle(into.downscale_factor, band.look(base))),), size, 0, (8,))
        features = through(stack, features)
        entered = self.enter16(torch.cat([coefficients / COEFFICIENT_SCALE, mask, context, *planes], dim=1))
        x16 = through(self.stage16, entered + self.features16(features))
        estimate = self.estimate(F.relu(x16))
        known = coefficients.float() + estimate.float() * COEFFICIENT_SCALE

        def inverse(band: Band) -> tuple[Tensor]:
            with torch.autocast(base.device.type, enabled=False):
                cells = F.conv2d(band.look(known, CELL), self.transform.float()[:, :, None, None])  # noqa: F821 - until del
                return (shuffle(cells / LEVELS, CELL),)

        (linear,) = over_rows(inverse, size, 0, (1,))
        x8 = through(self.stage8, self.up8(x16) + features)
        del features, entered, x16, estimate

        def enter4(band: Band) -> tuple[Tensor]:
            into, enter = self.enter4
            pixels = unshuffle(into.downscale_factor, band.look(linear), band.look(base))
            return (self.up4(band.look(x8, 8)) + enter(pixels),)  # noqa: F821 - until del

        (x4,) = over_rows(enter4, size, 1, (4,))
        x4 = through(self.stage4, x4)
        relu, narrow, pixels = self.leave4
        return add_over_rows(linear, lambda band: shuffle(narrow(relu(band.look(x4, 4))), pixels.upscale_factor), 1)


class CodedNetworks(nn.Module):
    """FineNets, encoder, decoder and the scale network. Pixels in [-1, 1], sides multiples of 16."""

    profile = "coded"

    def __init__(self, shape: CodedShape):
        super().__init__()
        self.shape = shape
        self.finenets = nn.ModuleList(FineNet(shape.fine_width, shape.fine_blocks) for _ in range(shape.fine_steps))
        self.encoder = CodedEncoder(shape)
        self.decoder = CodedDecoder(shape)
        self.log_gain = nn.Parameter(torch.zeros(len(GAIN_KNOTS), shape.channels))
        # What training measured for the entropy coder; whole numbers, part of the wire format.
        self.register_buffer("symbol_rows", torch.zeros(TABLES, ROW, dtype=torch.int32))
        self.register_buffer("level_counts", torch.zeros(2 * LEVEL_VALUES, LEVEL_VALUES, dtype=torch.int32))
        self.register_buffer(
            "orientation_counts", torch.zeros(2 * ORIENTATION_VALUES, ORIENTATION_VALUES, dtype=torch.int32)
        )
        self.scale1 = nn.Conv2d(CONTEXT, shape.scale_width, 1)
        self.scale2 = nn.Conv2d(shape.scale_width, shape.scale_width, 1)
        self.scale3 = nn.Conv2d(shape.scale_width, shape.channels, 1)

    def base_picture(self, small: Tensor) -> Tensor:
        """c ``(B, 3, H/8, W/8)`` to x' ``(B, 3, H, W)``: bicubic, then every FineNet."""
        return refine(small, REDUCTION, self.finenets)

    def steps(self, log_step: Tensor) -> Tensor:
        """Quantizer steps in 8-bit levels for log2 of the nominal step: ``(B,)`` gives
        ``(B, K, 1, 1)``, a map of cells ``(B, 1, h, w)`` gives ``(B, K, h, w)``."""
        log_step = spread_step(log_step)
        position = (log_step[:, 0] - GAIN_KNOTS[0]) / (GAIN_KNOTS[1] - GAIN_KNOTS[0])
        position = position.clamp(0, len(GAIN_KNOTS) - 1.001)
        low = position.floor().long()
        part = (position - low)[..., None]
        shift = self.log_gain[low] * (1 - part) + self.log_gain[low + 1] * part
        return torch.exp2(log_step - shift.permute(0, 3, 1, 2))

    def log_scales(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Context features ``(B, F, h, w)`` to log2 of the scales in steps ``(B, K, h, w)``."""
        hidden = self.scale_features(context)
        return self.scale3(hidden), hidden

    def scale_features(self, context: Tensor) -> Tensor:
        """Context features ``(B, F, h, w)`` to what the decoder sees of them ``(B, S, h, w)``."""
        return F.relu(self.scale2(F.relu(self.scale1(context))))
