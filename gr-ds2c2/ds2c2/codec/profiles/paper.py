# SPDX-License-Identifier: GPL-3.0-or-later
"""``paper``: the paper's networks; c and s in the base layer, C / 4^d bit per pixel of r.

Symbols are ordered channel by channel, each channel row by row, and fill a fixed number of
blocks; what is left of the last one is zeros. c and s are coded without loss where the base
layer has room for it; else s is halved until it fits half of it, and c is coded lossy.
"""

import struct
from functools import cached_property

import numpy as np
import torch

from ds2c2.codec.baselayer import BaseLayerError, pack_base
from ds2c2.codec.labelcoder import LabelMapError, decode_labels, encode_labels
from ds2c2.codec.profiles.profile import Base, EncodedLayers, Profile
from ds2c2.codec.segmentation import Segmenter, default_segnet, open_segmenter
from ds2c2.errors import FormatError
from ds2c2.networks.binarizer import binarize
from ds2c2.networks.paper import PaperNetworks
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.pictures.pictures import to_picture, to_tensor
from ds2c2.stream.streamformat import MAX_BPP, StreamFormat

SIDE = struct.Struct("!H")  # bytes of the label map, which follow
LABEL_SHARE = 0.5  # of the base layer that s may take


class PaperProfile(Profile):
    """Raises ``FormatError`` unless the stream's enhancement is as many blocks as the symbols fill."""

    networks: PaperNetworks

    def __init__(self, networks: PaperNetworks, stream: StreamFormat):
        self.cell = networks.shape.cell
        super().__init__(networks, stream)
        self.label_set = networks.shape.label_set
        side = self.cell >> networks.shape.depth  # latents a cell each way
        self.shape = (1, networks.shape.channels, self.rows * side, self.columns * side)
        self.symbols = int(np.prod(self.shape))
        blocks = -(-self.symbols // (8 * stream.block_size))
        if stream.enhancement_blocks != blocks:
            wanted = exact_bpp(stream.base_blocks + blocks, stream)
            remedy = f"use bpp {wanted:.6g}"
            if wanted > MAX_BPP:
                remedy = f"that and the base layer take {wanted:.3g} bpp: use a smaller base_bpp or redundancy"
            raise FormatError(
                f"model {stream.model_name} gives {self.symbols} symbols for {stream.width}x{stream.height}, exactly "
                f"{blocks} blocks of {stream.block_size} bytes; bpp {stream.bpp:g} leaves {stream.enhancement_blocks} "
                f"beside the base layer: {remedy}"
            )

    @cached_property
    def segmenter(self) -> Segmenter:
        return open_segmenter(default_segnet(self.label_set), label_set_of(self.label_set), str(self.device))

    def encode(
        self, picture: np.ndarray, side_info: bytes, favour: np.ndarray | None, labels: np.ndarray | None
    ) -> EncodedLayers:
        if favour is not None:
            raise FormatError(
                f"model {self.stream.model_name} sends every region alike; to favour one, use a model of profile coded"
            )
        coded = b""
        if self.label_set != "none":
            labels = self.segmenter.labels(picture) if labels is None else labels
            coded = encode_labels(labels, int(LABEL_SHARE * self.stream.base_capacity))
        side = SIDE.pack(len(coded)) + coded + side_info
        known = self._labels(coded)
        pixels = to_tensor(picture).to(self.device)
        small = to_picture(self.networks.small(known, pixels))
        container = pack_base(small, side, self.stream.base_capacity, lossless=True)
        base = self.read_base(container)
        latents = self.networks.latents(pixels, base.picture).float()
        symbols = binarize(latents)[0].cpu().numpy().reshape(-1)
        bits = np.zeros(self.stream.enhancement_bits, np.uint8)
        bits[: self.symbols] = symbols > 0
        enhancement = np.packbits(bits).reshape(self.stream.enhancement_blocks, self.stream.block_size)
        return EncodedLayers(container, enhancement, base.picture, base.layer.small_bytes)

    def decode(self, soft: np.ndarray, base: Base) -> tuple[torch.Tensor, int]:
        symbols = torch.from_numpy(soft.reshape(-1)[: self.symbols].astype(np.float32)).view(self.shape)
        residual = self.networks.residual(symbols.to(self.device), base.picture)
        return self.networks.picture(residual, base.picture), 0

    def read_base(self, container: bytes) -> Base:
        layer = self.read_layer(container)
        try:
            (size,) = SIDE.unpack_from(layer.side_info)
            labels = self._labels(layer.side_info[SIDE.size : SIDE.size + size])
        except (struct.error, LabelMapError) as error:
            raise BaseLayerError(f"the base layer is damaged: {error}") from None
        small = to_tensor(layer.small).to(self.device)
        return Base(layer, self.networks.base_pictures(labels, small)[-1])

    def _labels(self, coded: bytes) -> torch.Tensor:
        """One-hot s ``(1, classes, H, W)`` as both ends have it."""
        height, width = self.rows * self.cell, self.columns * self.cell
        if self.label_set == "none":
            return torch.zeros(1, 0, height, width, device=self.device)
        labels = torch.from_numpy(decode_labels(coded, height, width))[None]
        return self.networks.one_hot(labels.to(self.device))


def exact_bpp(blocks: int, stream: StreamFormat) -> float:
    """The lowest bpp of six digits whose stream format has so many blocks."""
    exact = blocks * stream.block_size * 8 / stream.pixels
    return np.ceil(exact * 1e5) / 1e5
