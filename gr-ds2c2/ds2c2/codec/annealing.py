# SPDX-License-Identifier: GPL-3.0-or-later
"""Refinement of one picture's symbols at the encoder against the losses that it may meet.

Every symbol is a soft choice between its two neighbouring whole numbers, drawn at a temperature that falls
(Yang, Bamler, Mandt, "Improving inference for neural image compression", NeurIPS 2020, stochastic Gumbel
annealing). The objective is the decoder's squared error, with symbols lost and without, and the bits of the
tables themselves. What is sent is an ordinary stream: decoders need not know.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ds2c2.codec.symboltables import SymbolTables
from ds2c2.networks.coded import CodedNetworks
from ds2c2.networks.scales import COPY_MASK, COPY_OCTAVES
from ds2c2.stream.geometry import LEVELS

RATE = 1e-2  # Adam's, in quantizer steps
HOT, COLD = 0.5, 0.02  # temperatures; the first is held for this share of the steps
HELD = 0.3
# dB that a picture gains when its rate grows by a factor e: what a bit is worth at the start. Once symbols
# are nearly settled, the price follows the rate, so that all bits are used.
DB_PER_RATE = 4.0
SETTLED = 0.15  # temperature
PRICE_GAIN, MOST_MISS = 0.4, 0.2
SEED = 1
# Losses drawn in turn, and those that both results are judged by, as shares of what is to survive.
TRAINED = (0.0, 0.32)
JUDGED = ((0.0, 1), (0.32, 2), (1.0, 2))  # share, draws
EDGE = 1e-4  # distance from whole numbers that keeps atanh finite


@dataclass(frozen=True)
class Placed:
    """A picture at one step: tables ``int16[K, cells]`` (negative: not sent), coefficients in steps and what the
    copies hold ``[K, cells]``; ``steps`` in 8-bit levels ``(1, K, h, w)``, and what the decoder takes besides."""

    tables: np.ndarray
    scaled: np.ndarray
    copied: np.ndarray
    copies: np.ndarray
    steps: Tensor
    hidden: Tensor
    log_steps: Tensor


class Annealing:
    """Refines ``picture`` ``float32[1, 3, H, W]`` over its x' at one step of the quantizer."""

    def __init__(
        self, networks: CodedNetworks, tables: SymbolTables, picture: Tensor, base: Tensor, placed: Placed,
        survive: float,
    ):  # fmt: skip
        self.networks, self.picture, self.base, self.placed = networks, picture, base, placed
        self.survive = survive
        device = picture.device
        self.sent = torch.from_numpy(placed.tables >= 0).reshape(-1).to(device)
        self.places = self.sent.nonzero()[:, 0]
        index = torch.from_numpy(placed.tables.reshape(-1).astype(np.int64)).to(device)[self.places]
        self.bits = torch.from_numpy(tables.bits.astype(np.float32)).to(device)
        self.rows = index * self.bits.shape[1]
        self.most = torch.from_numpy(tables.most).to(device)[index]
        self.copied = torch.from_numpy(placed.copied).reshape(-1).to(device)
        self.copies = torch.from_numpy(placed.copies.reshape(-1).astype(np.float32)).to(device) * 2**COPY_OCTAVES

    def at(self, values: np.ndarray) -> Tensor:
        """Of ``[K, cells]`` what is sent, flat."""
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).reshape(-1).to(self.sent.device)[self.places]

    def cost(self, whole: Tensor) -> Tensor:
        """Bits of whole symbols."""
        return self.bits.view(-1)[self.rows + torch.minimum(whole.abs().long(), self.most)]

    def error(self, values: Tensor, loss: float, generator: torch.Generator) -> Tensor:
        """Mean squared error in squared 8-bit levels of one draw of losses."""
        lost, second = (torch.rand(self.sent.shape, generator=generator).to(self.sent.device) < loss for _ in range(2))
        lost &= self.sent
        copy = lost & self.copied & ~second
        mask = (~lost).float() + COPY_MASK * copy
        full = torch.zeros_like(mask).index_copy(0, self.places, values)
        full = torch.where(copy, self.copies, full) * (mask > 0)
        placed, shape = self.placed, self.placed.steps.shape
        residual = self.networks.decoder(
            full.view(shape) * placed.steps, mask.view(shape), placed.hidden, placed.log_steps, self.base
        )
        return (((self.base + residual).clamp(-1, 1) - self.picture) * LEVELS).square().mean()

    def judge(self, values: Tensor) -> float:
        """log of the squared error, a mean over losses of always the same draws: lower is better."""
        found = []
        with torch.no_grad():
            for share, draws in JUDGED:
                errors = [
                    self.error(values, share * self.survive, torch.Generator().manual_seed(SEED + 1 + draw))
                    for draw in range(draws)
                ]
                found.append(np.mean([math.log(max(float(each), 1e-6)) for each in errors]))
        return float(np.mean(found))

    def run(self, start: np.ndarray, budget: float, count: int, fill: bool) -> Tensor:
        """``count`` steps from coefficients ``start`` ``[K, cells]`` in steps; with ``fill`` the price of a bit
        follows the budget of so many bits. Gives the refined coefficients, not yet whole."""
        values = self.at(start).requires_grad_(True)
        adam = torch.optim.Adam([values], lr=RATE)
        generator = torch.Generator().manual_seed(SEED)
        usual = [
            float(self.error(self.at(start).round(), share * self.survive, torch.Generator().manual_seed(SEED)))
            for share in TRAINED
        ]
        price = DB_PER_RATE
        for number in range(count):
            done = max(0.0, number / count - HELD) / (1 - HELD)
            heat = HOT * (COLD / HOT) ** done
            low = values.detach().floor()
            part = (values - low).clamp(EDGE, 1 - EDGE)
            draw = torch.rand(values.shape, generator=generator).clamp(1e-6, 1 - 1e-6).to(values.device)
            up = torch.sigmoid(((torch.atanh(part) - torch.atanh(1 - part)) / heat + torch.logit(draw)) / heat)
            bits = torch.lerp(self.cost(low), self.cost(low + 1), up).sum()
            turn = number % len(TRAINED)
            error = self.error(low + up, TRAINED[turn] * self.survive, generator)
            decibels = 10 / math.log(10) * error / max(usual[turn], 1e-6)
            adam.zero_grad()
            (decibels + price * bits / budget).backward()
            adam.step()
            if fill and heat < SETTLED:
                miss = float(self.cost(values.detach().round()).sum()) / budget - 1
                price *= math.exp(PRICE_GAIN * min(max(miss, -MOST_MISS), MOST_MISS))
        return values.detach()

    def fitted(self, values: Tensor, budget: float) -> Tensor | None:
        """Whole symbols of no more bits than the budget, rounded to the nearest where that fits, else towards
        zero by as little as does; None where nothing does."""

        def whole(less: float) -> Tensor:
            return torch.sign(values) * torch.minimum((values.abs() + 0.5 - less).floor(), self.most.float())

        if float(self.cost(whole(0.0)).sum()) <= budget:
            return whole(0.0)
        low, high = 0.0, 0.5
        for _ in range(12):
            middle = (low + high) / 2
            low, high = (middle, high) if float(self.cost(whole(middle)).sum()) > budget else (low, middle)
        found = whole(high)
        return found if float(self.cost(found).sum()) <= budget else None

    def symbols(self, values: Tensor) -> np.ndarray:
        """Whole symbols, flat, to ``int16[K, cells]``."""
        full = torch.zeros(self.sent.shape, device=values.device).index_copy(0, self.places, values)
        return full.view(self.placed.tables.shape).cpu().numpy().astype(np.int16)
