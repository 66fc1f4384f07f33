# SPDX-License-Identifier: GPL-3.0-or-later
"""One training step of the ``coded`` profile: quantizer, rate, losses, objective."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ds2c2.networks.coded import LEVELS, CodedNetworks
from ds2c2.networks.scales import context, measure_maps

# Scales below this (log2, in steps) are not sent: such a symbol is zero with 99.9 %.
LEAST_LOG_SCALE = -4.0
MOST_LOG_SCALE = 7.0
# Price of a bit in squared steps when a symbol could be rounded either way. At high rate
# D = step^2 / 12 falls by 2 ln 2 D = 0.116 step^2 a bit.
ROUNDING_PRICE = 0.1


def laplace_bits(symbols: Tensor, log_scale: Tensor) -> Tensor:
    """Bits of (real-valued) symbols under a Laplacian of scale 2^log_scale, in steps."""
    rate = torch.exp2(-log_scale)  # 1 / b
    size = symbols.abs()
    inside = 1 - torch.exp(-0.5 * rate) * torch.cosh((size * rate).clamp(max=20)).clamp(max=1e8)
    outside = torch.exp(-(size * rate)) * torch.sinh((0.5 * rate).clamp(max=20))
    probability = torch.where(size < 0.5, inside, outside)
    bits = -torch.log2(probability.clamp(min=1e-9))
    # exp underflows long before the true cost stops to grow
    return torch.where(probability > 1e-8, bits, 26.6 + (size * rate - 18.4).clamp(min=0) * 1.4427)


def round_for_rate(scaled: Tensor, log_scale: Tensor) -> Tensor:
    """Round to whole steps, towards zero where the bit saved is worth the error."""
    rate = torch.exp2(-log_scale)
    size = scaled.abs()
    half = torch.exp(-0.5 * rate)
    first = torch.log2((1 - half).clamp(min=1e-9) / (half * (1 - torch.exp(-rate)) / 2).clamp(min=1e-9))
    extra = torch.where(size < 1, first.clamp(min=0), rate * math.log2(math.e))
    offset = (0.5 - 0.5 * ROUNDING_PRICE * extra).clamp(min=0.0)
    return torch.sign(scaled) * torch.floor(size + offset)


def draw_loss(batch: int, generator: torch.Generator) -> Tensor:
    kind = torch.rand(batch, generator=generator)
    level = torch.rand(batch, generator=generator)
    loss = torch.where(kind < 0.3, torch.zeros(batch), level * 0.3)
    loss = torch.where(kind > 0.70, 0.3 + 0.35 * level, loss)
    return torch.where(kind > 0.94, torch.where(level < 0.6, torch.ones(batch), 0.65 + 0.35 * level), loss)


def draw_step(batch: int, generator: torch.Generator) -> Tensor:
    """log2 of the step, in 1/256: most of them where 0.1 to 0.4 bpp lie."""
    a = torch.rand(batch, generator=generator)
    wide = torch.rand(batch, generator=generator) < 0.35
    log_step = torch.where(wide, 2.5 + 4.5 * a, 4.75 + 2.25 * a)
    return (log_step * 256).round() / 256


def forward(networks: CodedNetworks, pictures: Tensor, small: Tensor, log_step: Tensor, loss: Tensor,
            generator: torch.Generator):
    """Returns x-hat, x', bits per pixel of each sample (with the encoder's gradient)."""
    device = pictures.device
    base = networks.base_picture(small)
    coefficients = networks.encoder(pictures - base, base)
    with torch.autocast(device.type, enabled=False):
        base = base.float()
        maps = measure_maps(coefficients.detach(), networks.shape.luma)
        features = context(torch.round(small.float() * LEVELS + LEVELS), maps, log_step)
        log_scale, hidden = networks.log_scales(features)
        log_scale = log_scale.clamp(LEAST_LOG_SCALE - 1, MOST_LOG_SCALE)
        steps = networks.steps(log_step)
        scaled = coefficients / steps
        symbols = round_for_rate(scaled.detach(), log_scale.detach())
        noise = torch.rand(scaled.shape, generator=generator).to(device) - 0.5
        soft = laplace_bits(scaled + noise, log_scale.detach())
        bits = laplace_bits(symbols, log_scale) + soft - soft.detach()
        pixels = pictures.shape[2] * pictures.shape[3]
        rate = bits.sum(dim=(1, 2, 3)) / pixels
        sent = log_scale.detach() >= LEAST_LOG_SCALE
        symbols = scaled + (symbols * sent - scaled).detach()
        arrived = torch.rand(scaled.shape, generator=generator).to(device) >= loss.view(-1, 1, 1, 1)
        mask = (arrived | ~sent).float()
        received = symbols * steps * mask
    picture = base + networks.decoder(received, mask, hidden.detach(), log_step, base)
    return picture.float(), base, rate
