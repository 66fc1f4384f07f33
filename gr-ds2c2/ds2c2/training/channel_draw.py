# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training sample's symbols meet: a rate, then a channel."""

import torch
from torch import Tensor

# Symbols per cell that are sent, drawn log-uniformly: 0.06 to 1 bit per pixel.
LEAST_CHANNELS = 16
# Loss rates: a share without loss, most below 30 %, the rest anywhere up to everything.
CLEAN_SHARE = 0.25
USUAL_SHARE = 0.55
USUAL_LOSS = 0.3
# Share of samples that meet the paper's channel (a lost +1 reads -1, unknown positions).
PAPER_CHANNEL_SHARE = 0.1


def through_channel(symbols: Tensor, generator: torch.Generator) -> Tensor:
    """Cut each sample's symbols ``(B, C, h, w)`` to a random rate and lose some of them.

    Interleaving makes the loss of blocks an independent loss of symbols (the paper's
    reason for it), so symbols are drawn one by one. Not sent or erased: 0.
    """
    batch, channels = symbols.shape[:2]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(symbols.device)

    depth = LEAST_CHANNELS * (channels / LEAST_CHANNELS) ** uniform(batch, 1, 1, 1)
    # The last channel that fits is sent in part, as in a real frame.
    index = torch.arange(channels, device=symbols.device).view(1, -1, 1, 1)
    sent = index + uniform(batch, 1, *symbols.shape[2:]) < depth

    kind = uniform(batch, 1, 1, 1)
    level = uniform(batch, 1, 1, 1)
    usual = level * USUAL_LOSS
    loss = torch.where(kind < CLEAN_SHARE, 0 * level, torch.where(kind < CLEAN_SHARE + USUAL_SHARE, usual, level))
    paper = uniform(batch, 1, 1, 1) < PAPER_CHANNEL_SHARE
    hit = uniform(*symbols.shape) < torch.where(paper, usual, loss)
    after_hit = torch.where(paper, -torch.ones_like(symbols), torch.zeros_like(symbols))
    return torch.where(hit, after_hit, symbols) * sent
