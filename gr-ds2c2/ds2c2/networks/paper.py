# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of the ``paper`` profile at full size, joined as in the paper's signal path.

C. M. Yetis, "Robust End-to-End Image Transmission with Residual Learning" (DS2C2). RGAN is CompNet
and the FineNets; its DiscNets live in training only.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ds2c2.errors import UserError
from ds2c2.networks.bresnet import FullBResNetDecoder, FullBResNetEncoder
from ds2c2.networks.compnet import CompNet
from ds2c2.networks.discnet import DiscNet
from ds2c2.networks.finenet import FullFineNet
from ds2c2.networks.globalgenerator import NORMS
from ds2c2.networks.layers import clamp_pixels
from ds2c2.networks.sumnet import FullSumNet
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.stream.geometry import LEVELS, REDUCTION

UPSAMPLINGS = ("shuffle", "transposed")
SOURCES = ("residual", "original")


@dataclass(frozen=True)
class PaperShape:
    """Sizes and switches of the networks; stored beside the weights.

    Args:
        label_set: what s is made of, a name of ``ds2c2.pictures.labelsets``; ``none``: no s
        width: first channels of CompNet and FineNets, an eighth of their widest
        fine_steps: FineNets one after the other, the paper's RGAN steps; 0: x' is c enlarged
        fine_blocks: residual blocks of each
        norm: of CompNet and FineNets: ``instance``, the paper's, which takes a picture's brightness
            out of it, or ``none``
        depth: d, strided convolutions of BResNet
        channels: C, binary symbols of a 2^d x 2^d cell: C / 4^d bit per pixel
        latent_width: N, channels inside BResNet
        gdn: GDN and IGDN, else ReLU
        upsampling: ``shuffle`` or ``transposed``
        loss_mask: the decoder sees which symbols were erased (not the paper's)
        source: what BResNet encodes: the ``residual``, or the ``original`` (the paper's Fig. 5)
        sum_blocks, sum_width: SumNet's residual blocks and their channels; 0 blocks: a plain sum
        disc_width: first channels of the DiscNets

    Raises ``UserError`` for values that are no networks.
    """

    label_set: str = "cityscapes35"
    width: int = 64
    fine_steps: int = 2
    fine_blocks: int = 9
    norm: str = "instance"
    depth: int = 4
    channels: int = 48
    latent_width: int = 128
    gdn: bool = True
    upsampling: str = "shuffle"
    loss_mask: bool = False
    source: str = "residual"
    sum_blocks: int = 3
    sum_width: int = 64
    disc_width: int = 64

    def __post_init__(self) -> None:
        label_set_of(self.label_set)
        for name, known in (("upsampling", UPSAMPLINGS), ("norm", NORMS), ("source", SOURCES)):
            if getattr(self, name) not in known:
                raise UserError(f"{name} {getattr(self, name)!r} is unknown; choose one of {', '.join(known)}")
        least = {"fine_steps": 0, "fine_blocks": 0, "sum_blocks": 0}
        for name, value in asdict(self).items():
            if type(value) is int and value < least.get(name, 1):
                raise UserError(f"{name} {value} is too small: {least.get(name, 1)} at least")
        if self.depth > 6:
            raise UserError(f"depth {self.depth} is too large: a cell of 64 pixels, depth 6, is the most")

    @property
    def classes(self) -> int:
        return label_set_of(self.label_set).count

    @property
    def cell(self) -> int:
        """Pixels each way that a picture's sides must be multiples of."""
        return max(2**self.depth, REDUCTION)

    @property
    def bpp(self) -> float:
        """Bits per pixel of the enhancement, exactly."""
        return self.channels / 4**self.depth

    @property
    def needs_base(self) -> bool:
        """Whether x-hat depends on c and s. Encoding the original without a SumNet, it is what BResNet decodes."""
        return self.source == "residual" or self.sum_blocks > 0

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> "PaperShape":
        return cls(**fields)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Label maps ``uint8[B, H, W]`` to ``float32[B, classes, H, W]``; void is all zeros."""
    batch, height, width = labels.shape
    planes = torch.zeros(batch, classes + 1, height, width, device=labels.device)
    planes.scatter_(1, labels.long().clamp(max=classes)[:, None], 1.0)
    return planes[:, :classes]


def round_levels(small: Tensor) -> Tensor:
    """c in [-1, 1] to the nearest 8-bit levels; the gradient passes as if it were not rounded."""
    rounded = torch.round((small + 1) * LEVELS) / LEVELS - 1
    return small + (rounded - small).detach()


class PaperNetworks(nn.Module):
    """CompNet, FineNets, BResNet and SumNet. Pixels in [-1, 1]; label maps ``uint8[B, H, W]`` enter
    one-hot, ``(B, classes, H, W)``; sides multiples of ``shape.cell``."""

    profile = "paper"

    def __init__(self, shape: PaperShape):
        super().__init__()
        self.shape = shape
        classes = shape.classes
        self.compnet = CompNet(classes, shape.width, shape.norm)
        self.finenets = nn.ModuleList(
            FullFineNet(classes, shape.width, shape.fine_blocks, shape.norm) for _ in range(shape.fine_steps)
        )
        self.encoder = FullBResNetEncoder(shape.depth, shape.latent_width, shape.channels, shape.gdn)
        self.decoder = FullBResNetDecoder(
            shape.depth, shape.latent_width, shape.channels, shape.gdn, shape.upsampling, shape.loss_mask
        )
        self.sumnet = FullSumNet(shape.sum_width, shape.sum_blocks) if shape.sum_blocks else None

    def one_hot(self, labels: Tensor) -> Tensor:
        return one_hot(labels, self.shape.classes)

    def small(self, labels: Tensor, picture: Tensor) -> Tensor:
        """One-hot s and x to c ``(B, 3, H/8, W/8)``, in whole 8-bit levels."""
        return round_levels(self.compnet(labels, picture).float())

    def base_pictures(self, labels: Tensor, small: Tensor) -> list[Tensor]:
        """One-hot s and c to c' (bilinear) and x'_1, x'_2, ..., each ``(B, 3, H, W)``."""
        pictures = [F.interpolate(small, scale_factor=REDUCTION, mode="bilinear", align_corners=False)]
        for finenet in self.finenets:
            pictures.append(finenet(labels, pictures[-1]))
        return pictures

    def latents(self, picture: Tensor, base: Tensor) -> Tensor:
        """x and x' to latents before the binarizer, ``(B, C, H/2^d, W/2^d)``."""
        return self.encoder(picture - base if self.shape.source == "residual" else picture)

    def residual(self, symbols: Tensor, base: Tensor) -> Tensor:
        """Received symbols in {-1, 0, +1} to r-hat ``(B, 3, H, W)``; where they are the original's, r-hat
        is what the decoded picture has beyond x'."""
        decoded = self.decoder(symbols)
        return decoded if self.shape.source == "residual" else decoded - base

    def picture(self, residual: Tensor, base: Tensor) -> Tensor:
        """r-hat and x' to x-hat ``(B, 3, H, W)``."""
        return self.sumnet(base, residual) if self.sumnet is not None else clamp_pixels(base + residual)


def make_discnets(shape: PaperShape) -> nn.ModuleList:
    """A DiscNet for each FineNet."""
    return nn.ModuleList(DiscNet(shape.classes, shape.disc_width) for _ in range(shape.fine_steps))
