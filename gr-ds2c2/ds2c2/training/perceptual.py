# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``coded`` decoder trained for the eye: the paper's L1 + SSIM + VGG in place of squared error.

Encoder, scale network and base layer stay as they are. So the blocks of a picture are those of the
weights it starts from, bit for bit, at the same rate; what the receiver makes of them differs.
"""

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ds2c2.errors import UserError
from ds2c2.networks.coded import CodedNetworks, CodedShape
from ds2c2.networks.modelfiles import find_weights
from ds2c2.networks.weights import REST_NOTE, read_metadata, weights_profile
from ds2c2.training.losses import LossWeights, distance
from ds2c2.training.recipes import CodedRecipe, Figures, Group
from ds2c2.training.vgg import VggFeatures

DECODER = "decoder."  # names of its tensors begin so
# The paper's L_d without its adversarial loss; all weights 1.
WEIGHTS = LossWeights(gan=0.0)


def start_shape(profile: str, start_from: str, out: str) -> CodedShape:
    """The shape of the weights to go on from. Raises ``UserError`` where they are no whole ones of
    ``coded``, and where the decoder would be written over them."""
    if profile != CodedNetworks.profile:
        raise UserError(f"--objective perceptual: trains the decoder of profile coded, not of {profile}")
    if not start_from:
        raise UserError("--objective perceptual: trains a decoder further; give --start-from, such as coded")
    start = find_weights(start_from)
    if weights_profile(start) != profile or read_metadata(start).get(REST_NOTE):
        raise UserError(f"--start-from {start_from}: whole weights of profile coded are wanted")
    if Path(out).stem == start.stem:
        raise UserError(f"--out {out}: is called like the weights that have its encoder; choose another name")
    return CodedShape.from_dict(json.loads(read_metadata(start)["shape"]))


class PerceptualRecipe(CodedRecipe):
    """``CodedRecipe`` with L_d of x-hat, for the decoder's parameters alone.

    ``vgg`` is called as ``mixed`` says: in bfloat16, or in float32. Raises ``UserError`` without it.
    """

    batch = 4
    crop = 128

    def __init__(self, vgg: VggFeatures | None, mixed: bool = False):
        super().__init__()
        if vgg is None:
            raise UserError("the perceptual objective needs a VGG checkpoint")
        self.vgg = vgg
        self.mixed = mixed

    def groups(self, networks: CodedNetworks) -> list[Group]:
        named = {name: p for name, p in networks.named_parameters() if name.startswith(DECODER)}
        transforms = [name for name in named if name.endswith("transform")]
        return [
            Group([p for name, p in named.items() if name not in transforms], 1.0, self.WARM_UP_STEPS),
            Group([named[name] for name in transforms], self.TRANSFORM_FACTOR, self.WARM_UP_STEPS),
        ]

    def objective(
        self, pictures: Tensor, received: Tensor, base: Tensor, rate: Tensor, log_step: Tensor, loss: Tensor
    ) -> tuple[Tensor, Figures]:
        total, _ = distance(pictures, received, WEIGHTS, self._seen)
        figures = [F.mse_loss(x.detach().float(), pictures).item() for x in (received, base)]
        return total, Figures(*figures, rate.mean().item())

    def _seen(self, pictures: Tensor) -> list[Tensor]:
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=self.mixed):
            return self.vgg(pictures.contiguous(memory_format=torch.channels_last))
