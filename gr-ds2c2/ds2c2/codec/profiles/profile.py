# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface that the codec's profiles share, and what they have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ds2c2.codec.baselayer import BaseLayer, unpack_base
from ds2c2.pictures.pictures import to_tensor
from ds2c2.stream.geometry import CELL, REDUCTION
from ds2c2.stream.streamformat import StreamFormat


@dataclass(frozen=True)
class EncodedLayers:
    """A picture's base layer before its erasure code, ``stream.base_bytes`` long, enhancement
    blocks ``uint8[N_e, block_size]``, x' ``float32[1, 3, H, W]``, and the bytes of c."""

    container: bytes
    enhancement: np.ndarray
    picture: torch.Tensor
    small_bytes: int


@dataclass(frozen=True)
class Base:
    """A received base layer and its x' ``float32[1, 3, H, W]``, pixels in [-1, 1]."""

    layer: BaseLayer
    picture: torch.Tensor


class Profile(ABC):
    """Networks at work for one stream format. H and W below are padded to whole cells of
    ``cell`` pixels each way. ``label_set`` names what the profile's label maps are made of;
    ``none``: it sends none."""

    cell = CELL
    label_set = "none"

    def __init__(self, networks: nn.Module, stream: StreamFormat):
        self.networks = networks
        self.stream = stream
        self.device = next(networks.parameters()).device
        self.rows, self.columns = -(-stream.height // self.cell), -(-stream.width // self.cell)

    @abstractmethod
    def encode(
        self, picture: np.ndarray, side_info: bytes, favour: np.ndarray | None, labels: np.ndarray | None
    ) -> EncodedLayers:
        """``uint8[H, W, 3]`` to its layers. ``side_info`` is carried for the receiver;
        ``favour`` ``float[H, W]`` says how much finer than 1 a region is quantized; ``labels``
        ``uint8[H, W]`` is the label map s, None to find it. Raises ``FormatError`` where the
        profile cannot do that."""

    @abstractmethod
    def decode(self, soft: np.ndarray, base: Base) -> tuple[torch.Tensor, int]:
        """Soft bits of the enhancement ``int8[N_e, 8 * block_size]`` to x-hat
        ``float32[1, 3, H, W]`` and the number of blocks that arrived but made no sense."""

    def read_base(self, container: bytes) -> Base:
        """Raises ``BaseLayerError`` when the container cannot be read."""
        layer = self.read_layer(container)
        return Base(layer, self.base_picture(layer.small))

    def read_layer(self, container: bytes) -> BaseLayer:
        """Raises ``BaseLayerError``."""
        return unpack_base(container, self.rows * self.cell // REDUCTION, self.columns * self.cell // REDUCTION)

    def base_picture(self, small: np.ndarray) -> torch.Tensor:
        """c ``uint8[h, w, 3]`` to x'."""
        return self.networks.base_picture(to_tensor(small).to(self.device))
