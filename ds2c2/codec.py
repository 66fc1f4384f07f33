# SPDX-License-Identifier: GPL-3.0-or-later
"""The codec: a picture to exactly N code blocks, and soft bits back to a picture.

The path is the paper's: c from the picture, x' from c, latents of x - x', binarizer; back:
symbols and x' to x-hat. Symbols are ordered channel by channel, each channel row by row, and
the rate cuts the list: one set of weights serves all rates.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ds2c2.baselayer import (
    BaseLayer,
    BaseLayerError,
    pack_base,
    protect_base,
    recover_base,
    unpack_base,
)
from ds2c2.errors import PictureError, WeightsError
from ds2c2.networks.binarizer import binarize
from ds2c2.networks.binary import REDUCTION
from ds2c2.networks.bresnet import CELL
from ds2c2.pictures import pad_to_multiple, to_picture, to_tensor
from ds2c2.smallpicture import reduce_picture
from ds2c2.softbits import to_hard
from ds2c2.streamformat import DIGEST_HEX, StreamFormat
from ds2c2.weights import choose_device, load_networks, weights_digest

# Shown when the first frame of all has lost its base: the middle of the scale.
MID_GREY = 128


@dataclass(frozen=True)
class EncodedPicture:
    """Code blocks ``uint8[N, block_size]``, base first, and what the sender knows already:
    the base picture x' ``uint8[H, W, 3]`` and the bytes of c."""

    blocks: np.ndarray
    base_picture: np.ndarray
    small_bytes: int


@dataclass(frozen=True)
class DecodedPicture:
    """A picture ``uint8[H, W, 3]`` as received.

    ``base_picture`` is x', None when the base layer was lost; ``concealed`` says that the
    picture is then the one before. Counts are code blocks: ``base_repaired`` of the lost
    source blocks were computed from the others, ``base_damaged`` came with a wrong CRC.
    """

    picture: np.ndarray
    base_picture: np.ndarray | None
    concealed: bool
    base_repaired: int
    base_damaged: int
    base_lost: int
    enhancement_lost: int


class Codec:
    """Encoder and decoder of one stream format; holds the networks of its model.

    ``stream.model`` without a digest is taken as it is; with one, the weights must match.
    Raises ``WeightsError`` and ``DeviceError``.
    """

    def __init__(self, stream: StreamFormat, device: str = "auto"):
        self.device = choose_device(device)
        digest = weights_digest(stream.model_name)
        if stream.model_digest not in ("", digest[:DIGEST_HEX]):
            raise WeightsError(
                f"model {stream.model}: the weights here are {stream.model_name}@{digest[:DIGEST_HEX]}; "
                "both ends need the same file"
            )
        self.stream = stream.pinned(digest)
        self.networks = load_networks(stream.model_name, self.device)
        symbols = int(np.prod(self._latent_shape()))
        if stream.enhancement_bits > symbols:
            raise WeightsError(
                f"model {stream.model_name} gives {symbols} symbols for {stream.width}x{stream.height}, "
                f"bpp {stream.bpp:g} sends {stream.enhancement_bits}: "
                f"use bpp {stream.bpp * symbols / stream.enhancement_bits // 0.01 / 100:g} or less"
            )
        self._last: np.ndarray | None = None

    @torch.inference_mode()
    def encode(self, picture: np.ndarray, label_map: bytes = b"") -> EncodedPicture:
        """``uint8[H, W, 3]`` of the stream's size to its N blocks. Raises ``PictureError``."""
        stream = self.stream
        if picture.shape != (stream.height, stream.width, 3):
            raise PictureError(
                f"a picture of {picture.shape[1]}x{picture.shape[0]} in a stream of {stream.width}x{stream.height}; "
                "fit it first"
            )
        padded = pad_to_multiple(picture, CELL)
        container = pack_base(reduce_picture(padded, REDUCTION), label_map, stream.base_bytes)
        base_layer = self._unpack(container)
        base = self._base_picture(base_layer)
        latents = self.networks.latents(to_tensor(padded).to(self.device), base)
        symbols = binarize(latents.float())[0].cpu().numpy().reshape(-1)
        bits = (symbols[: stream.enhancement_bits] > 0).astype(np.uint8)
        enhancement = np.packbits(bits).reshape(stream.enhancement_blocks, stream.block_size)
        blocks = np.concatenate([protect_base(container, stream), enhancement])
        return EncodedPicture(blocks, self._crop(base), base_layer.small_bytes)

    @torch.inference_mode()
    def decode(self, soft: np.ndarray) -> DecodedPicture:
        """Soft bits ``int8[N, 8 * block_size]`` in {-1, 0, +1}, in the encoder's order, to the
        picture. When the base layer is lost the last picture stands in for it."""
        stream = self.stream
        blocks, arrived = to_hard(soft[: stream.base_blocks])
        received = recover_base(blocks, arrived, stream)
        # Counted in symbols: after deinterleaving a lost block's are everywhere.
        lost = round(np.count_nonzero(soft[stream.base_blocks :] == 0) / (8 * stream.block_size))
        counts = {
            "base_repaired": received.repaired,
            "base_damaged": received.damaged,
            "base_lost": int((~arrived).sum()),
            "enhancement_lost": lost,
        }
        try:
            if received.container is None:
                raise BaseLayerError("too few base blocks")
            base = self._base_picture(self._unpack(received.container))
        except BaseLayerError:
            grey = np.full((stream.height, stream.width, 3), MID_GREY, np.uint8)
            picture = grey if self._last is None else self._last
            return DecodedPicture(picture, None, True, **counts)
        symbols = torch.zeros(self._latent_shape(), dtype=torch.float32)
        flat = torch.from_numpy(soft[stream.base_blocks :].reshape(-1).astype(np.float32))
        symbols.view(-1)[: len(flat)] = flat
        picture = self._crop(self.networks.picture(symbols.to(self.device), base))
        self._last = picture
        return DecodedPicture(picture, self._crop(base), False, **counts)

    def forget(self) -> None:
        """Forget the last picture: the next lost base is concealed by grey."""
        self._last = None

    def _latent_shape(self) -> tuple[int, int, int, int]:
        cells = (-(-self.stream.height // CELL), -(-self.stream.width // CELL))
        return (1, self.networks.shape.channels, *cells)

    def _unpack(self, container: bytes) -> BaseLayer:
        _, _, rows, columns = self._latent_shape()
        return unpack_base(container, rows * CELL // REDUCTION, columns * CELL // REDUCTION)

    def _base_picture(self, base_layer: BaseLayer) -> torch.Tensor:
        return self.networks.base_picture(to_tensor(base_layer.small).to(self.device))

    def _crop(self, pixels: torch.Tensor) -> np.ndarray:
        return np.ascontiguousarray(to_picture(pixels)[: self.stream.height, : self.stream.width])
