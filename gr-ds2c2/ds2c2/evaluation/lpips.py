# SPDX-License-Identifier: GPL-3.0-or-later
"""LPIPS, where its package and a trunk are there: Zhang et al., "The unreasonable effectiveness of deep
features as a perceptual metric", CVPR 2018, version 0.1.

The package brings what it learned on top; the trunk, AlexNet (its default) or VGG16, is the user's
own checkpoint in torchvision's layout.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from ds2c2.errors import UserError, WeightsError
from ds2c2.training.vgg import read_checkpoint

# The first convolution's sides, in pixels, tell the trunks apart.
TRUNKS = {11: ("alex", "AlexNet"), 3: ("vgg", "VGG16")}
FIRST = "features.0.weight"


def trunk_of(path: Path) -> tuple[str, str]:
    """What the package calls a checkpoint's trunk, and what people do. Raises ``WeightsError``."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such checkpoint; torchvision's are files like alexnet-owt-7be5be79.pth")
    first = read_checkpoint(path).get(FIRST)
    if first is None or first.dim() != 4 or first.shape[-1] not in TRUNKS:
        raise WeightsError(f"{path}: neither AlexNet nor VGG16 in torchvision's layout, as --lpips wants")
    return TRUNKS[first.shape[-1]]


class Lpips:
    """The metric on pictures ``(1, 3, H, W)`` in [-1, 1]; 0 for equal ones, larger is worse.

    Raises ``UserError`` when the package is missing, ``WeightsError`` for the checkpoint.
    """

    def __init__(self, path: Path, device: torch.device):
        try:
            import lpips
        except ImportError:
            raise UserError("--lpips needs the package lpips: pip install 'gr-ds2c2[lpips]'") from None
        kind, _ = trunk_of(path)
        tensors = read_checkpoint(path)
        # pnet_rand: else it would fetch a trunk.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it names an argument as old torchvisions do
            self.metric = lpips.LPIPS(net=kind, pnet_rand=True, verbose=False)
        wanted = self.metric.net.state_dict()
        try:
            # slice2.3.weight is features.3.weight.
            found = {name: tensors["features." + name.partition(".")[2]] for name in wanted}
            self.metric.net.load_state_dict(found)
        except (KeyError, RuntimeError):
            raise WeightsError(f"{path}: not all of {TRUNKS[tensors[FIRST].shape[-1]][1]} is there") from None
        self.metric.to(device)

    @torch.inference_mode()
    def __call__(self, original: Tensor, received: Tensor) -> float:
        return float(self.metric(original, received))
