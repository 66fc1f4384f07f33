# SPDX-License-Identifier: GPL-3.0-or-later
"""One training pass of the ``coded`` profile: quantizer, rate, losses, received picture.

The rate is that of an ideal entropy coder with the scale network's Laplacians (Ballé, Minnen,
Singh, Hwang, Johnston, "Variational image compression with a scale hyperprior", ICLR 2018,
with the base layer in place of the hyperprior).
"""

import math

import torch
from torch import Tensor

from ds2c2.codec.symboltables import ROUNDING_PRICE
from ds2c2.networks.coded import CodedNetworks
from ds2c2.networks.scales import (
    COPY_MASK,
    COPY_OCTAVES,
    COPY_TABLE,
    LEAST_LOG_SCALE,
    TABLES_PER_OCTAVE,
    context,
    measure_maps,
)
from ds2c2.stream.geometry import LEVELS

MOST_LOG_SCALE = 7.0  # log2, in steps
COPY_LOG_SCALE = LEAST_LOG_SCALE + COPY_TABLE / TABLES_PER_OCTAVE  # from here on sent twice
BITS_PER_NAT = math.log2(math.e)

# Float32 loses the tail of a Laplacian long before its cost stops to grow: below this
# probability the cost goes on as a straight line over the size.
TAIL_PROBABILITY = 1e-8
TAIL_BITS = 26.6  # -log2 of it
TAIL_NATS = 18.4  # -ln of it
LEAST_PROBABILITY = 1e-9  # keeps log2 finite where the straight line replaces it anyway
MOST_EXPONENT = 20.0  # of cosh and sinh; e^20 is far from float32's end

# Loss rates: a share without loss, then up to USUAL_LOSS, then up to HIGH_LOSS, then the rest:
# mostly everything lost (the base picture alone), else above HIGH_LOSS.
CLEAN_SHARE = 0.2
USUAL_UNTIL = 0.62
HIGH_UNTIL = 0.94
USUAL_LOSS = 0.3
HIGH_LOSS = 0.65
ALL_LOST_SHARE = 0.6

# log2 of the quantizer step in 8-bit levels: over all that the gains are learned for, and more
# often over the coarse half, where 0.1 to 0.4 bpp lie.
LEAST_LOG_STEP = 2.5
USUAL_LOG_STEP = 4.75
MOST_LOG_STEP = 7.0
WIDE_SHARE = 0.35
STEP_FRACTIONS = 256  # the step travels as a whole number of 1/256 octaves


def laplace_bits(symbols: Tensor, log_scale: Tensor) -> Tensor:
    """Bits of symbols under a zero-mean Laplacian of scale 2^log_scale, same shape.

    -log2 of the probability of [s - 1/2, s + 1/2], where s may be any real number:
    1 - e^(-r/2) cosh(r s) inside, e^(-r |s|) sinh(r/2) outside, r = 1 / scale. Symbols and
    scale count in quantizer steps.
    """
    rate = torch.exp2(-log_scale)
    size = symbols.abs()
    inside = 1 - torch.exp(-0.5 * rate) * torch.cosh((size * rate).clamp(max=MOST_EXPONENT))
    outside = torch.exp(-(size * rate)) * torch.sinh((0.5 * rate).clamp(max=MOST_EXPONENT))
    probability = torch.where(size < 0.5, inside, outside)
    bits = -torch.log2(probability.clamp(min=LEAST_PROBABILITY))
    tail = TAIL_BITS + (size * rate - TAIL_NATS).clamp(min=0) * BITS_PER_NAT
    return torch.where(probability > TAIL_PROBABILITY, bits, tail)


def round_for_rate(scaled: Tensor, log_scale: Tensor) -> Tensor:
    """Round to whole steps, towards zero where the bits saved are worth the error.

    ``scaled`` are coefficients in steps; the result has their shape and dtype. Rounding down
    from n saves the difference in cost of n and n - 1: a constant 1 / (scale ln 2) bits,
    except from 1 to 0. The threshold of Sullivan, "Efficient scalar quantization of
    exponential and Laplacian random variables", IEEE Trans. Inf. Theory 42(5), 1996.
    """
    rate = torch.exp2(-log_scale)
    size = scaled.abs()
    half = torch.exp(-0.5 * rate)
    zero, one = 1 - half, half * (1 - torch.exp(-rate)) / 2
    first = torch.log2(zero.clamp(min=LEAST_PROBABILITY) / one.clamp(min=LEAST_PROBABILITY))
    saved = torch.where(size < 1, first.clamp(min=0), rate * BITS_PER_NAT)
    offset = (0.5 - 0.5 * ROUNDING_PRICE * saved).clamp(min=0.0)
    return torch.sign(scaled) * torch.floor(size + offset)


def draw_loss(batch: int, generator: torch.Generator | None, device: torch.device | None = None) -> Tensor:
    """Shares of lost symbols, ``float32[batch]`` in [0, 1], on the device, where generator is None drawn there."""
    kind = torch.rand(batch, generator=generator, device=device)
    level = torch.rand(batch, generator=generator, device=device)
    loss = torch.where(kind < CLEAN_SHARE, torch.zeros_like(level), level * USUAL_LOSS)
    loss = torch.where(kind > USUAL_UNTIL, USUAL_LOSS + (HIGH_LOSS - USUAL_LOSS) * level, loss)
    rest = torch.where(level < ALL_LOST_SHARE, torch.ones_like(level), HIGH_LOSS + (1 - HIGH_LOSS) * level)
    return torch.where(kind > HIGH_UNTIL, rest, loss)


def draw_step(batch: int, generator: torch.Generator | None, device: torch.device | None = None) -> Tensor:
    """log2 of the quantizer step in 8-bit levels, ``float32[batch]``, multiples of 1/256;
    most of them where 0.1 to 0.4 bpp lie."""
    level = torch.rand(batch, generator=generator, device=device)
    wide = torch.rand(batch, generator=generator, device=device) < WIDE_SHARE
    least = torch.where(wide, LEAST_LOG_STEP, USUAL_LOG_STEP)
    log_step = least + (MOST_LOG_STEP - least) * level
    return (log_step * STEP_FRACTIONS).round() / STEP_FRACTIONS


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from [0, 1) of a tensor's shape, on its device."""
    return torch.rand_like(like) if generator is None else torch.rand(like.shape, generator=generator).to(like.device)


def _bits(scaled: Tensor, symbols: Tensor, log_scale: Tensor, generator: torch.Generator | None) -> Tensor:
    """Bits of the rounded symbols, with the encoder's gradient through noise instead."""
    noise = _uniform(scaled, generator) - 0.5
    soft = laplace_bits(scaled + noise, log_scale.detach())
    return laplace_bits(symbols, log_scale) + soft - soft.detach()


def _arrived(symbols: Tensor, loss: Tensor, generator: torch.Generator | None) -> Tensor:
    return _uniform(symbols, generator) >= loss.view(-1, 1, 1, 1)


def forward(
    networks: CodedNetworks,
    pictures: Tensor,
    small: Tensor,
    log_step: Tensor,
    loss: Tensor,
    generator: torch.Generator | None,
    copies: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Send a batch: ``(x-hat, x', rate)``.

    ``pictures`` ``float32[B, 3, H, W]`` and ``small`` c ``float32[B, 3, H/8, W/8]`` in [-1, 1],
    ``log_step`` and ``loss`` ``float32[B]``, all on the networks' device; the generator is the
    CPU's, so that all devices draw the same; None takes the device's own, which is faster there.
    x-hat and x' are ``float32[B, 3, H, W]``; the rate ``float32[B]`` counts bits of the enhancement a pixel.

    Symbols are truly rounded. Gradients pass the rounding as if it were not there; the
    encoder's share of the rate's gradient is taken with uniform noise in place of rounding,
    the scale network's with the rounded symbols. Lost symbols are drawn one by one, which
    is what the permutation makes of lost blocks; copies of large symbols are drawn apart.
    Without ``copies`` no symbol is sent twice, which a link that loses nothing would not need.
    """
    device = pictures.device
    base = networks.base_picture(small)
    coefficients = networks.encoder(pictures - base, base)
    with torch.autocast(device.type, enabled=False):
        base = base.float()
        maps = measure_maps(coefficients.detach(), networks.shape.luma)
        # c as whole numbers, as both ends of a link have it.
        features = context(torch.round(small.float() * LEVELS + LEVELS), maps, log_step)
        log_scale, hidden = networks.log_scales(features)
        log_scale = log_scale.clamp(LEAST_LOG_SCALE - 1, MOST_LOG_SCALE)
        steps = networks.steps(log_step)
        scaled = coefficients / steps
        symbols = round_for_rate(scaled.detach(), log_scale.detach())
        bits = _bits(scaled, symbols, log_scale, generator)
        copied = (log_scale.detach() >= COPY_LOG_SCALE) & copies
        coarser = scaled / 2**COPY_OCTAVES
        repeated = round_for_rate(coarser.detach(), log_scale.detach() - COPY_OCTAVES)
        bits = bits + copied * _bits(coarser, repeated, log_scale - COPY_OCTAVES, generator)
        rate = bits.sum(dim=(1, 2, 3)) / (pictures.shape[2] * pictures.shape[3])
        sent = log_scale.detach() >= LEAST_LOG_SCALE
        arrived = _arrived(scaled, loss, generator)
        second = _arrived(scaled, loss, generator) & copied & ~arrived
        mask = (arrived | ~sent).float() + COPY_MASK * second
        values = torch.where(second, repeated * 2**COPY_OCTAVES, symbols * sent)
        received = (scaled + (values - scaled).detach()) * steps * (mask > 0)
    picture = base + networks.decoder(received, mask, hidden.detach(), log_step, base)
    return picture.float(), base, rate
