# SPDX-License-Identifier: GPL-3.0-or-later
"""DISTS: Ding, Ma, Wang, Simoncelli, "Image quality assessment: unifying structure and texture similarity", TPAMI 2022.

The package ``DISTS_pytorch`` brings the learned weights, and only they are taken from it: its own class
fetches VGG16. That is the user's file here.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ds2c2.evaluation.lpips import package_file
from ds2c2.evaluation.trunks import TRUNKS, look, read_trunk
from ds2c2.training.vgg import MEAN, SPREAD

VGG = TRUNKS["vgg16"]
CHANNELS = (3, *VGG.channels)  # the picture itself is looked at, too
STABLE = 1e-6  # the paper's c1 and c2
HANN = (0.5, 1.0, 0.5)  # the inner three of a Hann window of five
EPSILON = 1e-12


def _l2_pool(x: Tensor) -> Tensor:
    """Every second place, the root of the squares' weighted mean, so that nothing folds over (the paper's eq. 2)."""
    row = torch.tensor(HANN, dtype=x.dtype, device=x.device)
    window = torch.outer(row, row) / row.sum() ** 2
    window = window.expand(x.shape[1], 1, *window.shape)
    return (F.conv2d(x.square(), window, stride=2, padding=1, groups=x.shape[1]) + EPSILON).sqrt()


class Dists:
    """The metric on pictures ``(1, 3, H, W)`` in [-1, 1]; 0 for equal ones, larger is worse.

    Raises ``UserError`` when the package is missing, ``WeightsError`` for the file with VGG16.
    """

    def __init__(self, path: Path, device: torch.device, option: str = "--perception"):
        weights = package_file("DISTS_pytorch", "weights.pt", option, option.lstrip("-"))
        whole = weights["alpha"].sum() + weights["beta"].sum()
        self.texture, self.structure = (
            (weights[name].detach().to(device) / whole).split(CHANNELS, 1) for name in ("alpha", "beta")
        )
        self.tensors = {key: tensor.to(device) for key, tensor in read_trunk(path, "vgg16").items()}
        self.mean, self.spread = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (MEAN, SPREAD))

    def _seen(self, picture: Tensor):
        yield picture
        yield from look(VGG, self.tensors, (picture - self.mean) / self.spread, _l2_pool)

    @torch.inference_mode()
    def __call__(self, original: Tensor, received: Tensor) -> float:
        seen = (self._seen((x + 1) / 2) for x in (original, received))
        alike = 0.0
        for texture, structure, first, second in zip(self.texture, self.structure, *seen, strict=True):
            means = [x.mean((2, 3), keepdim=True) for x in (first, second)]
            apart = [x - mean for x, mean in zip((first, second), means, strict=True)]
            spreads = [x.square().mean((2, 3), keepdim=True) for x in apart]
            both = (apart[0] * apart[1]).mean((2, 3), keepdim=True)
            of_means = (2 * means[0] * means[1] + STABLE) / (means[0].square() + means[1].square() + STABLE)
            alike += float((texture * of_means + structure * (2 * both + STABLE) / (sum(spreads) + STABLE)).sum())
        return 1 - alike
