# SPDX-License-Identifier: GPL-3.0-or-later
"""One training pass of the paper's networks: what a phase trains, and its objective.

    L_RGAN = sum over j of (weighted -log D_j(s, c', x'_j) + feature matching + L_d(x, x'_j))
    L_BResNet = L_d(x, x' + r-hat)        L_SumNet = L_d(x, x-hat)

``rgan`` minimises the first, ``enhancement`` the other two with RGAN frozen, ``joint`` all three.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ds2c2.channels.symbolchannel import SymbolChannel
from ds2c2.networks.binarizer import binarize
from ds2c2.networks.paper import PaperNetworks
from ds2c2.training.losses import (
    LossWeights,
    discriminator_loss,
    distance,
    feature_matching_loss,
    generator_loss,
)
from ds2c2.training.vgg import VggFeatures

# Names of parameters that a phase trains begin so.
RGAN_PARTS = ("compnet.", "finenets.")
ENHANCEMENT_PARTS = ("encoder.", "decoder.", "sumnet.")
TRAINED = {"rgan": RGAN_PARTS, "enhancement": ENHANCEMENT_PARTS, "joint": (*RGAN_PARTS, *ENHANCEMENT_PARTS)}


class Outcome(NamedTuple):
    """What a pass gave: the objective, figures without gradients, one-hot s, c' and x'_1, x'_2, ...
    for the discriminators, and x-hat where the phase has one."""

    objective: Tensor
    figures: dict[str, Tensor]
    labels: Tensor
    pictures: list[Tensor]
    received: Tensor | None


class PaperPass(nn.Module):
    """The networks of a phase at work on a batch. Only they are this module's parameters."""

    def __init__(
        self,
        phase: str,
        networks: PaperNetworks,
        discnets: nn.ModuleList,
        weights: LossWeights,
        channel: SymbolChannel,
        vgg: VggFeatures | None,
    ):
        super().__init__()
        self.networks = networks
        self.phase, self.weights, self.channel = phase, weights, channel
        # In a tuple: neither moved nor averaged as this module's own.
        self._others = (discnets, vgg)

    def forward(self, pictures: Tensor, labels: Tensor, noise: Tensor, hits: Tensor) -> Outcome:
        """Pictures ``float32[B, 3, H, W]``, label maps ``uint8[B, H, W]``, the binarizer's noise
        ``[B, C, h, w]`` in [-1, 1), and what the channel hits, ``bool[B, C h w]``."""
        networks = self.networks
        known = networks.one_hot(labels)
        figures: dict[str, Tensor] = {}
        objective = pictures.new_zeros(())
        with torch.set_grad_enabled(self.phase != "enhancement" and torch.is_grad_enabled()):
            steps = networks.base_pictures(known, networks.small(known, pictures))
        base, received = steps[-1], None
        if self.phase != "enhancement":
            objective = objective + self._rgan(pictures, known, steps, figures)
        if self.phase != "rgan":
            latents = networks.latents(pictures, base).float()
            symbols = self.channel.through(binarize(latents, noise).flatten(1), hits).view_as(latents)
            residual = networks.residual(symbols, base)
            received = networks.picture(residual, base)
            objective = objective + self._distance("bresnet", pictures, base + residual, figures)
            if networks.sumnet is not None:
                objective = objective + self._distance("sumnet", pictures, received, figures)
            figures["error"] = F.mse_loss(received.detach().float(), pictures)
        figures["base_error"] = F.mse_loss(base.detach().float(), pictures)
        return Outcome(objective, figures, known, steps, received)

    def _distance(self, name: str, original: Tensor, estimate: Tensor, figures: dict[str, Tensor]) -> Tensor:
        total, parts = distance(original, estimate, self.weights, self._others[1])
        for part, value in parts.items():
            figures[f"{name}/{part}"] = value + figures.get(f"{name}/{part}", 0)
        return total

    def _rgan(self, pictures: Tensor, known: Tensor, steps: list[Tensor], figures: dict[str, Tensor]) -> Tensor:
        weights = self.weights
        objective = pictures.new_zeros(())
        for estimate in steps[1:] or steps:
            objective = objective + self._distance("rgan", pictures, estimate, figures)
        if not (weights.gan or weights.feature_matching):
            return objective
        enlarged = steps[0].detach()
        for disc, estimate in zip(self._others[0], steps[1:], strict=True):
            fake = disc(known, enlarged, estimate)
            loss = generator_loss(fake, weights.form)
            figures["rgan/gan"] = loss.detach() + figures.get("rgan/gan", 0)
            objective = objective + weights.gan * loss
            if weights.feature_matching:
                with torch.no_grad():
                    real = disc(known, enlarged, pictures)
                matching = feature_matching_loss(real, fake)
                figures["rgan/features"] = matching.detach() + figures.get("rgan/features", 0)
                objective = objective + weights.feature_matching * matching
        return objective


class DiscPass(nn.Module):
    """The discriminators on originals and on what the generators gave: L_D.

    Every DiscNet is shown the original; the paper's formula writes its term once."""

    def __init__(self, discnets: nn.ModuleList, weights: LossWeights):
        super().__init__()
        self.discnets = discnets
        self.weights = weights

    def forward(self, labels: Tensor, originals: Tensor, steps: list[Tensor]) -> Tensor:
        """One-hot s, x, and c' followed by x'_1, x'_2, ..., none of which get a gradient."""
        enlarged = steps[0].detach()
        total = originals.new_zeros(())
        for disc, estimate in zip(self.discnets, steps[1:], strict=True):
            real, fake = disc(labels, enlarged, originals), disc(labels, enlarged, estimate.detach())
            total = total + discriminator_loss(real, fake, self.weights.form)
        return self.weights.disc * total
