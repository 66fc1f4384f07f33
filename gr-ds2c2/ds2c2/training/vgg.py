# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VGG network sees of a picture, for the perceptual loss.

Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR
2015. The weights are a user's own: a checkpoint in torchvision's layout.
"""

import os
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from ds2c2.errors import WeightsError

VGG_VARIABLE = "DS2C2_VGG"
# Convolutions of relu1_1, of relu2_1 and so on to relu5_1: indices in torchvision's ``features``.
LAYERS = {
    "VGG16": ((0,), (2, 5), (7, 10), (12, 14, 17), (19, 21, 24)),
    "VGG19": ((0,), (2, 5), (7, 10), (12, 14, 16, 19), (21, 23, 25, 28)),
}
ONLY_VGG19 = "features.16.weight"  # in VGG16 that place pools
# Of ImageNet's colours in [0, 1], as torchvision trains with.
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def find_vgg(given: str, otherwise: str = "or switch the loss off with --set losses.vgg=0") -> Path:
    """The checkpoint that was given or is named by ``$DS2C2_VGG``. Raises ``WeightsError``, which
    says what helps ``otherwise``."""
    named = given or os.environ.get(VGG_VARIABLE, "")
    if not named:
        raise WeightsError(
            f"the VGG loss needs a VGG19 or VGG16 checkpoint in torchvision's layout: give --vgg FILE, or set "
            f"{VGG_VARIABLE}, {otherwise}"
        )
    if not Path(named).is_file():
        raise WeightsError(f"{named}: no such VGG checkpoint; torchvision's are files like vgg19-dcbb9e9d.pth")
    return Path(named)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors by name, float32, of a .pth or .safetensors file. Raises ``WeightsError``."""
    try:
        tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        return {name: tensor.float() for name, tensor in tensors.items()}
    except (SafetensorError, OSError, RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{path}: no checkpoint that can be read ({type(error).__name__}); give a .pth file of torchvision, or a "
            ".safetensors file such as `ds2c2 trunks` makes"
        ) from None


class VggFeatures(nn.Module):
    """Outputs of relu1_1, relu2_1, ... relu5_1 for pictures ``(B, 3, H, W)`` in [-1, 1], sides of
    16 pixels at least. Frozen. Raises ``WeightsError`` when the file is no VGG16 or VGG19."""

    def __init__(self, path: Path):
        super().__init__()
        tensors = read_checkpoint(path)
        self.kind = "VGG19" if ONLY_VGG19 in tensors else "VGG16"
        self.slices = nn.ModuleList()
        channels = 3
        for indices in LAYERS[self.kind]:
            convs = nn.ModuleList()
            for index in indices:
                weight, bias = (tensors.get(f"features.{index}.{part}") for part in ("weight", "bias"))
                if weight is None or bias is None or weight.dim() != 4 or weight.shape[1:] != (channels, 3, 3):
                    raise WeightsError(
                        f"{path}: features.{index} is missing or no 3x3 convolution of {channels} channels, so this is "
                        "neither VGG19 nor VGG16 (without batch normalisation) in torchvision's layout"
                    )
                conv = nn.Conv2d(channels, len(weight), 3, padding=1)
                conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
                convs.append(conv)
                channels = len(weight)
            self.slices.append(convs)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor(SPREAD).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        x = ((pictures + 1) / 2 - self.mean) / self.spread
        seen = []
        for convs in self.slices:
            for i, conv in enumerate(convs):
                # A slice's last convolution begins a level, before it the level above is pooled.
                if seen and i == len(convs) - 1:
                    x = F.max_pool2d(x, 2)
                x = F.relu(conv(x))
            seen.append(x)
        return seen
