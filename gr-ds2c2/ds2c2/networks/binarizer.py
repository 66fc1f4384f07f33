# SPDX-License-Identifier: GPL-3.0-or-later
"""The binarizer of Toderici et al., "Variable rate image compression with recurrent
neural networks", ICLR 2016."""

import torch
from torch import Tensor


def binarize(z: Tensor, noise: Tensor | None = None) -> Tensor:
    """Map latents to symbols in {-1, +1}, same shape and dtype as ``z``.

    Inference (``noise=None``): the sign of tanh(z), with 0 going to +1. Training:
    ``noise`` uniform in [-1, 1), same shape; the symbol is +1 with probability
    (1 + tanh z) / 2, and the gradient is that of tanh (straight-through).
    """
    t = torch.tanh(z)
    threshold = t if noise is None else t - noise
    one = torch.ones((), dtype=z.dtype, device=z.device)
    symbols = torch.where(threshold >= 0, one, -one)
    return symbols if noise is None else t + (symbols - t).detach()
