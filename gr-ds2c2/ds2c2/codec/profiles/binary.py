# SPDX-License-Identifier: GPL-3.0-or-later
"""``binary``: latents become one bit each, as in the paper; survives flipped bits.

Symbols are ordered channel by channel, each channel row by row, and the rate cuts the list:
one set of weights serves all rates.
"""

import numpy as np
import torch

from ds2c2.codec.baselayer import pack_base
from ds2c2.codec.profiles.profile import Base, EncodedLayers, Profile
from ds2c2.codec.smallpicture import reduce_picture
from ds2c2.errors import FormatError, WeightsError
from ds2c2.networks.binarizer import binarize
from ds2c2.networks.binary import BinaryNetworks
from ds2c2.pictures.pictures import to_tensor
from ds2c2.stream.geometry import REDUCTION
from ds2c2.stream.streamformat import StreamFormat


class BinaryProfile(Profile):
    """Raises ``WeightsError`` when the weights have fewer symbols than the rate sends."""

    def __init__(self, networks: BinaryNetworks, stream: StreamFormat):
        super().__init__(networks, stream)
        self.shape = (1, networks.shape.channels, self.rows, self.columns)
        symbols = int(np.prod(self.shape))
        if stream.enhancement_bits > symbols:
            raise WeightsError(
                f"model {stream.model_name} gives {symbols} symbols for {stream.width}x{stream.height}, "
                f"bpp {stream.bpp:g} sends {stream.enhancement_bits}: "
                f"use bpp {stream.bpp * symbols / stream.enhancement_bits // 0.01 / 100:g} or less"
            )

    def encode(
        self, picture: np.ndarray, side_info: bytes, favour: np.ndarray | None, labels: np.ndarray | None = None
    ) -> EncodedLayers:
        if favour is not None:
            raise FormatError(
                f"model {self.stream.model_name} sends every region alike; to favour one, use a model of profile coded"
            )
        container = pack_base(reduce_picture(picture, REDUCTION), side_info, self.stream.base_capacity)
        base = self.read_base(container)
        latents = self.networks.latents(to_tensor(picture).to(self.device), base.picture)
        symbols = binarize(latents.float())[0].cpu().numpy().reshape(-1)
        bits = (symbols[: self.stream.enhancement_bits] > 0).astype(np.uint8)
        enhancement = np.packbits(bits).reshape(self.stream.enhancement_blocks, self.stream.block_size)
        return EncodedLayers(container, enhancement, base.picture, base.layer.small_bytes)

    def decode(self, soft: np.ndarray, base: Base) -> tuple[torch.Tensor, int]:
        symbols = torch.zeros(self.shape, dtype=torch.float32)
        flat = torch.from_numpy(soft.reshape(-1).astype(np.float32))
        symbols.view(-1)[: len(flat)] = flat
        return self.networks.picture(symbols.to(self.device), base.picture), 0
