# SPDX-License-Identifier: GPL-3.0-or-later
"""SegNet at laptop size: a pyramid scene parsing network small enough to be shipped.

Zhao, Shi, Qi, Wang, Jia, "Pyramid scene parsing network", CVPR 2017, on inverted residual blocks
(Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2", CVPR 2018) in place of a ResNet.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ds2c2.pictures.labelsets import label_set_of

BINS = (1, 2, 3, 6)  # of the pyramid: mean over so many parts each way
EXPANSION = 4  # of an inverted residual block's inner channels
STRIDE = 8  # pixels an output of the trunk covers


@dataclass(frozen=True)
class SegNetShape:
    """``widths`` and ``blocks`` at H/4, H/8 and, dilated, at H/8 again. Raises ``UserError``."""

    label_set: str = "camvid"
    widths: tuple[int, int, int] = (24, 40, 64)
    blocks: tuple[int, int, int] = (2, 3, 4)

    def __post_init__(self) -> None:
        label_set_of(self.label_set)

    @property
    def classes(self) -> int:
        return label_set_of(self.label_set).count

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> "SegNetShape":
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(
        inputs, outputs, size, stride, dilation * (size // 2), dilation, groups=groups, bias=False
    )  # the norm has a bias
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class InvertedBlock(nn.Module):
    """1x1 to ``EXPANSION`` times the channels, 3x3 of each channel alone, 1x1 back."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int):
        super().__init__()
        inner = EXPANSION * inputs
        self.skips = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            _conv(inputs, inner, 1),
            nn.ReLU6(),
            _conv(inner, inner, 3, stride, dilation, groups=inner),
            nn.ReLU6(),
            _conv(inner, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.skips else self.body(x)


class SegNet(nn.Module):
    """Pictures ``(B, 3, H, W)`` in [-1, 1] to logits ``(B, classes, H, W)``; sides of 64 at least."""

    profile = "segnet"

    def __init__(self, shape: SegNetShape):
        super().__init__()
        self.shape = shape
        quarter, eighth, dilated = shape.widths
        trunk: list[nn.Module] = [_conv(3, quarter, 3, stride=2), nn.ReLU6()]
        channels = quarter
        for width, count, stride, dilation in zip(shape.widths, shape.blocks, (2, 2, 1), (1, 1, 2), strict=True):
            for number in range(count):
                trunk.append(InvertedBlock(channels, width, 1 if number else stride, dilation))
                channels = width
        self.trunk = nn.Sequential(*trunk)
        part = dilated // len(BINS)
        # Without a norm: a bin of one value has no spread while training.
        self.pyramid = nn.ModuleList(nn.Sequential(nn.Conv2d(dilated, part, 1), nn.ReLU6()) for _ in BINS)
        self.head = nn.Sequential(
            _conv(dilated + part * len(BINS), dilated, 3), nn.ReLU6(), nn.Conv2d(dilated, shape.classes, 1)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.trunk(pictures)
        size = x.shape[2:]
        levels = [
            F.interpolate(level(F.adaptive_avg_pool2d(x, bins)), size=size, mode="bilinear", align_corners=False)
            for bins, level in zip(BINS, self.pyramid, strict=True)
        ]
        logits = self.head(torch.cat([x, *levels], dim=1))
        return F.interpolate(logits, size=pictures.shape[2:], mode="bilinear", align_corners=False)
