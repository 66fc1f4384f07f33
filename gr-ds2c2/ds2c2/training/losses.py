# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's losses, with their weights as settings.

L_d = L1 + L_SSIM + L_VGG between a picture and its estimate; adversarial losses in the log form
(the paper) or as least squares (DSSLIC); feature matching (pix2pixHD). All are means over a
batch, so that shares of a batch in several processes average to the whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from pytorch_msssim import ssim
from torch import Tensor
from torch.nn import functional as F

from ds2c2.errors import UserError

# Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
# similarity", IEEE Trans. Image Processing 13(4), 2004.
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels
# Of relu1_1 ... relu5_1 (pix2pixHD, DSSLIC).
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
FORMS = ("log", "least-squares")
# 4 / (layers + 1) a layer of a PatchGAN and 1 / scales (pix2pixHD), layers being its three strided ones.
FEATURE_WEIGHT = 4 / 4

Verdicts = list[list[Tensor]]  # of a DiscNet: a list a scale, the last entry logits


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses; 0 switches one off.

    ``form`` of the adversarial losses: ``log`` or ``least-squares``. ``disc`` is a factor on the
    discriminators' own loss. Raises ``UserError``.
    """

    l1: float = 1.0
    ssim: float = 1.0
    vgg: float = 1.0
    gan: float = 1.0
    feature_matching: float = 0.0
    disc: float = 1.0
    form: str = "log"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UserError(
                f"form {self.form!r} of the adversarial losses is unknown; choose one of {', '.join(FORMS)}"
            )
        for name in ("l1", "ssim", "vgg", "gan", "feature_matching", "disc"):
            if getattr(self, name) < 0:
                raise UserError(f"weight {getattr(self, name):g} of the loss {name} is negative; 0 switches it off")


PRESETS = {
    "paper": LossWeights(),
    # The weights of DSSLIC's published program.
    "dsslic": LossWeights(20.0, 1.0, 10.0, 1.0, 10.0, 0.5, "least-squares"),
}


def distance(
    original: Tensor, estimate: Tensor, weights: LossWeights, vgg: Callable[[Tensor], list[Tensor]] | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """L_d of two ``(B, 3, H, W)`` in [-1, 1], weighted, and its parts without weights.

    L1 is a mean over samples; L_SSIM is 1 - SSIM (11x11 window, sigma 1.5), a mean over
    pictures; L_VGG the weighted L1 between what VGG sees. Sides of 16 pixels at least.
    """
    parts = {}
    with torch.autocast(original.device.type, enabled=False):
        x, y = original.float(), estimate.float()
        if weights.l1:
            parts["l1"] = F.l1_loss(y, x)
        if weights.ssim:
            found = ssim((y + 1) / 2, (x + 1) / 2, 1.0, win_size=SSIM_WINDOW, win_sigma=SSIM_SIGMA)
            parts["ssim"] = 1 - found
    if weights.vgg:
        with torch.no_grad():
            wanted = vgg(original)
        found = zip(VGG_WEIGHTS, vgg(estimate), wanted, strict=True)
        parts["vgg"] = sum(weight * F.l1_loss(a.float(), b.float()) for weight, a, b in found)
    total = sum((getattr(weights, name) * part for name, part in parts.items()), original.new_zeros(()))
    return total, {name: part.detach() for name, part in parts.items()}


def _against(logits: Tensor, original: bool, form: str) -> Tensor:
    logits = logits.float()
    if form == "least-squares":
        return (logits - 1).square().mean() if original else logits.square().mean()
    # -log D and -log(1 - D) with D = sigmoid(logits), without its overflow.
    return F.softplus(-logits).mean() if original else F.softplus(logits).mean()


def generator_loss(verdicts: Verdicts, form: str) -> Tensor:
    """-sum over scales of log D(x'), or of the squares (D(x') - 1)^2."""
    return sum(_against(scale[-1], True, form) for scale in verdicts)


def discriminator_loss(real: Verdicts, fake: Verdicts, form: str) -> Tensor:
    """-sum over scales of log D(x) + log(1 - D(x')), or the squares."""
    return sum(
        _against(ours[-1], True, form) + _against(theirs[-1], False, form)
        for ours, theirs in zip(real, fake, strict=True)
    )


def feature_matching_loss(real: Verdicts, fake: Verdicts) -> Tensor:
    """Mean L1 between what a DiscNet's layers see of x and of x', without the verdicts."""
    total = 0.0
    for ours, theirs in zip(real, fake, strict=True):
        for a, b in zip(ours[:-1], theirs[:-1], strict=True):
            total = total + F.l1_loss(b.float(), a.detach().float()) * FEATURE_WEIGHT / len(real)
    return total
