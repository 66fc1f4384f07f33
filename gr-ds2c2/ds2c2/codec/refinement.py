# SPDX-License-Identifier: GPL-3.0-or-later
"""Refinement of one picture's symbols at the encoder, against the decoder and the losses that it may meet.

The transform is nearly orthonormal, so what a symbol does to the squared error is nearly a parabola of its own,
and one gradient of the decoder says where the lowest point of each is. Step by step the coefficients move there
(Newton's method with a diagonal Hessian), and are rounded anew by what is to be gained in error and bits together
(rate-distortion optimal quantization), at the price of a bit that fills the budget. How narrow the parabolas are is
measured, a channel at a time: on some the decoder hears what they say of others, and a step of theirs weighs up to
a hundred times what the transform makes of it. What is sent is an ordinary stream: decoders need not know.

Against stochastic Gumbel annealing (Yang, Bamler, Mandt, NeurIPS 2020), which it replaced, a tenth of the work
gives more (docs/benchmark.md, "Effort").
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ds2c2.codec.quantizer import Cells, Quantizer
from ds2c2.codec.symboltables import SymbolTables
from ds2c2.networks.coded import CodedNetworks
from ds2c2.networks.scales import COPY_MASK, COPY_OCTAVES
from ds2c2.stream.geometry import LEVELS

# How far the first step goes towards the lowest point, and how soon later ones go less far: what a drawn loss says of
# a symbol is in part chance.
FIRST_MOVE, SLOWING = 0.4, 0.2
# How narrow the parabolas are over what the transform says: bounds, steps by which all symbols are moved to measure it
# at the start, and what later steps leave of what was measured before them.
NARROWNESS = (1.0, 100.0)
PROBE = 0.5
REMEMBERED = 0.7
# Losses that every step looks at, and those that both results are judged by, as shares of what is to survive.
LOOKED_AT = (0.0, 0.32)
JUDGED = (0.0, 0.32, 1.0)
# The price of a bit, in dB times the budget, lies within these; a fall in rate by a factor e costs some 4 dB.
CHEAPEST, DEAREST = 1e-3, 1e3
PRICES_TRIED = 24  # the price to a millionth, each time half of what is left
SEED = 1
DECIBELS = 10 / math.log(10)
LEAST_ERROR = 1e-6  # squared 8-bit levels, for the logarithm of a perfect picture


@dataclass(frozen=True)
class Placed:
    """A picture at one step: tables ``int16[K, cells]`` (negative: not sent), coefficients in steps, of which
    symbols there is a copy and what it holds, all ``[K, cells]``; ``steps`` in 8-bit levels ``(1, K, h, w)``, and
    what the decoder takes besides."""

    tables: np.ndarray
    scaled: np.ndarray
    copied: np.ndarray
    copies: np.ndarray
    steps: Tensor
    hidden: Tensor
    log_steps: Tensor


def place(
    quantizer: Quantizer, log_step: int, cells: Cells, features: Tensor, tables: np.ndarray, copies: np.ndarray,
    grid: tuple[int, int],
) -> Placed:  # fmt: skip
    """A picture at a step: its ``features`` (``ScaleModel.features``), ``tables`` ``int16[2K, cells]`` of symbols and
    copies and what the ``copies`` hold (``Quantizer.symbols``); ``grid``: rows and columns of its cells."""
    networks, device, shape = quantizer.networks, quantizer.scales.device, (1, -1, *grid)
    steps = quantizer.cell_steps(log_step, cells.shifts, len(cells))
    log_steps = torch.from_numpy((steps / 256).astype(np.float32)).view(shape).to(device)
    context = (features / 1024).float().view(shape)
    context[:, -1:] = log_steps / 2
    index = tables[: len(copies)]
    with torch.no_grad():
        hidden = networks.scale_features(context)
        sizes = quantizer.step_sizes(steps, False)
        scaled = (cells.values / sizes).cpu().numpy()
    return Placed(index, scaled, index >= quantizer.copy_table, copies, sizes.view(shape), hidden, log_steps)


class Refinement:
    """Refines ``picture`` ``float32[1, 3, H, W]`` over its x' at one step of the quantizer, within ``budget`` bits."""

    def __init__(
        self, networks: CodedNetworks, tables: SymbolTables, picture: Tensor, base: Tensor, placed: Placed,
        survive: float, budget: float,
    ):  # fmt: skip
        self.networks, self.picture, self.base, self.placed = networks, picture, base, placed
        self.survive, self.budget = survive, budget
        device = picture.device
        self.sent = torch.from_numpy(placed.tables >= 0).reshape(-1).to(device)
        self.places = self.sent.nonzero()[:, 0]
        index = torch.from_numpy(placed.tables.reshape(-1).astype(np.int64)).to(device)[self.places]
        self.bits = torch.from_numpy(tables.bits.astype(np.float32)).to(device)
        self.rows = index * self.bits.shape[1]
        self.most = torch.from_numpy(tables.most).to(device)[index]
        self.copied = torch.from_numpy(placed.copied).reshape(-1).to(device)
        self.copies = torch.from_numpy(placed.copies.reshape(-1).astype(np.float32)).to(device) * 2**COPY_OCTAVES
        # Second derivative of the squared error, the mean over all samples, after a known symbol.
        norms = networks.decoder.transform.detach().square().sum(0).view(1, -1, 1, 1)
        bends = 2 * placed.steps.square() * norms / picture.numel()
        self.bends = bends.expand(1, *placed.tables.shape[:1], *placed.hidden.shape[2:]).reshape(-1)[self.places]
        self.channels = self.places // placed.tables.shape[1]

    def at(self, values: np.ndarray) -> Tensor:
        """Of ``[K, cells]`` what is sent, flat."""
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).reshape(-1).to(self.sent.device)[self.places]

    def cost(self, whole: Tensor) -> Tensor:
        """Bits of whole symbols."""
        return self.bits.view(-1)[self.rows + torch.minimum(whole.abs().long(), self.most)]

    def lose(self, loss: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One draw of losses: which symbols are lost, and of which of them the copy is there, flat ``bool``."""
        lost, second = (torch.rand(self.sent.shape, generator=generator).to(self.sent.device) < loss for _ in range(2))
        lost &= self.sent
        return lost, lost & self.copied & ~second

    def error(self, values: Tensor, lost: Tensor, copy: Tensor) -> Tensor:
        """Mean squared error in squared 8-bit levels."""
        mask = (~lost).float() + COPY_MASK * copy
        full = torch.zeros_like(mask).index_copy(0, self.places, values)
        full = torch.where(copy, self.copies, full) * (mask > 0)
        placed, shape = self.placed, (1, *self.placed.tables.shape[:1], *self.placed.hidden.shape[2:])
        residual = self.networks.decoder(
            full.view(shape) * placed.steps, mask.view(shape), placed.hidden, placed.log_steps, self.base
        )
        return (((self.base + residual).clamp(-1, 1) - self.picture) * LEVELS).square().mean()

    def judge(self, values: Tensor) -> float:
        """The squared error in dB, a mean over losses of always the same draws: lower is better."""
        with torch.no_grad():
            errors = [
                self.error(values, *self.lose(share * self.survive, torch.Generator().manual_seed(SEED + 1)))
                for share in JUDGED
            ]
        return DECIBELS * float(np.mean([math.log(max(float(each), LEAST_ERROR)) for each in errors]))

    def run(self, whole: Tensor, count: int) -> Tensor | None:
        """``count`` steps from the symbols ``whole``; whole symbols of no more bits than the budget, None where
        nothing is within it."""
        aims = self.at(self.placed.scaled)
        generator = torch.Generator().manual_seed(SEED)
        losses = sorted({share * self.survive for share in LOOKED_AT})
        narrowness = _Narrowness(self.channels, self.placed.tables.shape[0])
        found = self._slope(whole, *self.lose(0.0, generator))
        signs = torch.randint(0, 2, whole.shape, generator=generator).to(whole) * (2 * PROBE) - PROBE
        moved = self._slope(whole + signs, *self.lose(0.0, generator))
        narrowness.learn(signs, moved[1] - found[1], self.bends)
        before = None
        for number in range(count):
            slope, seen, bends = (torch.zeros_like(whole) for _ in range(3))
            for loss in losses:
                lost, copy = self.lose(loss, generator)
                error, gradient = found if number == loss == 0 else self._slope(whole, lost, copy)
                if loss == 0:
                    if before is not None:
                        narrowness.learn(whole - before[0], gradient - before[1], self.bends)
                    before = whole, gradient
                weight = DECIBELS / max(error, LEAST_ERROR) / len(losses)
                slope += weight * gradient
                # Without any loss all are known, so none stays 0.
                seen += weight * self.bends * ~lost[self.places]
                bends += weight * self.bends * (1 - loss)
            factor = narrowness.factors()
            aims = torch.lerp(aims, whole - slope / (seen * factor), FIRST_MOVE / (1 + SLOWING * number))
            whole = self._fitted(aims, bends * factor)
            if whole is None:
                return None
        return whole

    def _slope(self, whole: Tensor, lost: Tensor, copy: Tensor) -> tuple[float, Tensor]:
        """The squared error and its first derivative after each symbol."""
        values = whole.clone().requires_grad_(True)
        error = self.error(values, lost, copy)
        (gradient,) = torch.autograd.grad(error, values)
        return error.item(), gradient

    def _fitted(self, aims: Tensor, bends: Tensor) -> Tensor | None:
        """Whole symbols at the price that fills the budget."""
        sizes = aims.abs()
        below = torch.minimum(sizes.floor(), self.most.float())
        choices = [torch.zeros_like(below), below, torch.minimum(below + 1, self.most.float())]
        parts = [(0.5 * bends * (each - sizes).square(), self.cost(each)) for each in choices]

        def at(price: float) -> tuple[Tensor, float]:
            worth = torch.stack([error + price / self.budget * bits for error, bits in parts])
            best = worth.argmin(0, keepdim=True)
            bits = torch.stack([bits for _, bits in parts]).gather(0, best).sum(dtype=torch.float64)
            return torch.stack(choices).gather(0, best)[0], float(bits)

        low, high = math.log(CHEAPEST), math.log(DEAREST)
        found = None
        for _ in range(PRICES_TRIED):
            middle = (low + high) / 2
            symbols, bits = at(math.exp(middle))
            if bits > self.budget:
                low = middle
            else:
                high, found = middle, symbols
        return None if found is None else torch.copysign(found, aims)

    def symbols(self, values: Tensor) -> np.ndarray:
        """Whole symbols, flat, to ``int16[K, cells]``."""
        full = torch.zeros(self.sent.shape, device=values.device).index_copy(0, self.places, values)
        return full.view(self.placed.tables.shape).cpu().numpy().astype(np.int16)


class _Narrowness:
    """Second derivatives of the decoder's squared error over what the transform says, a factor a channel, from how
    the slopes change as symbols move (a secant for each channel)."""

    def __init__(self, channels: Tensor, count: int):
        self._channels = channels
        self._found, self._expected = torch.zeros(2, count, device=channels.device).unbind()

    def learn(self, moves: Tensor, changes: Tensor, bends: Tensor) -> None:
        for sums, seen in ((self._found, changes * moves), (self._expected, bends * moves.square())):
            sums.mul_(REMEMBERED).index_add_(0, self._channels, seen)

    def factors(self) -> Tensor:
        """Of every symbol that is sent."""
        least = torch.finfo(torch.float32).tiny
        return (self._found / self._expected.clamp(min=least)).clamp(*NARROWNESS)[self._channels]
