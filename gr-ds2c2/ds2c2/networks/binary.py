# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of the ``binary`` profile, joined as in the paper's signal path."""

from dataclasses import asdict, dataclass

from torch import Tensor, nn

from ds2c2.networks.bresnet import BResNetDecoder, BResNetEncoder
from ds2c2.networks.finenet import FineNet, refine
from ds2c2.networks.sumnet import SumNet
from ds2c2.stream.geometry import REDUCTION

# c is the picture reduced this many times each way (PAPER: CompNet, three strides of 2).


@dataclass(frozen=True)
class BinaryShape:
    """Sizes of the networks; stored beside the weights, so that weights describe themselves.

    ``channels`` = binary symbols per 16x16 cell at most: 256 is one bit per pixel.
    ``widths`` and ``blocks`` are channels and residual blocks at H/4, H/8, H/16.
    """

    fine_steps: int = 2
    fine_width: int = 64
    fine_blocks: int = 3
    widths: tuple[int, int, int] = (48, 96, 144)
    encoder_blocks: tuple[int, int, int] = (0, 1, 2)
    decoder_blocks: tuple[int, int, int] = (1, 1, 3)
    channels: int = 256
    sum_width: int = 16
    sum_blocks: int = 2

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> "BinaryShape":
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


class BinaryNetworks(nn.Module):
    """FineNets, BResNet and SumNet. Pixels in [-1, 1], H and W multiples of 16."""

    profile = "binary"

    def __init__(self, shape: BinaryShape):
        super().__init__()
        self.shape = shape
        self.finenets = nn.ModuleList(FineNet(shape.fine_width, shape.fine_blocks) for _ in range(shape.fine_steps))
        self.encoder = BResNetEncoder(shape.widths, shape.encoder_blocks, shape.channels)
        self.decoder = BResNetDecoder(shape.widths, shape.decoder_blocks, shape.channels)
        self.sumnet = SumNet(shape.sum_width, shape.sum_blocks)

    def base_picture(self, small: Tensor) -> Tensor:
        """c ``(B, 3, H/8, W/8)`` to x' ``(B, 3, H, W)``: bicubic, then every FineNet."""
        return refine(small, REDUCTION, self.finenets)

    def latents(self, picture: Tensor, base: Tensor) -> Tensor:
        """x and x' to latents before the binarizer, ``(B, channels, H/16, W/16)``."""
        return self.encoder(picture - base, base)

    def picture(self, symbols: Tensor, base: Tensor) -> Tensor:
        """Received symbols in {-1, 0, +1} and x' to x-hat ``(B, 3, H, W)``, not clamped."""
        return self.sumnet(base, self.decoder(symbols, base))
