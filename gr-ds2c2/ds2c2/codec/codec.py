# SPDX-License-Identifier: GPL-3.0-or-later
"""The codec: a picture to exactly N code blocks, and soft bits back to a picture.

The path is the paper's: c from the picture, x' from c, symbols of x - x'; back: symbols and x'
to x-hat. What the symbols are is the profile's affair.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ds2c2.codec.baselayer import BaseLayerError, protect_base, recover_base
from ds2c2.codec.baseshares import gather_base, share_base
from ds2c2.codec.effort import check_effort
from ds2c2.codec.inflight import in_order, usual_at_once
from ds2c2.codec.profiles import Base, make_profile
from ds2c2.errors import FormatError, PictureError
from ds2c2.networks.modelfiles import agreed_digest
from ds2c2.networks.weights import choose_device, load_networks
from ds2c2.pictures.pictures import pad_to_multiple, to_picture
from ds2c2.stream.geometry import MID_GREY
from ds2c2.stream.softbits import to_hard
from ds2c2.stream.streamformat import StreamFormat


@dataclass(frozen=True)
class EncodedPicture:
    """Code blocks ``uint8[N, block_size]``, base first, and what the sender knows already:
    the base picture x' ``uint8[H, W, 3]`` and the bytes of c."""

    blocks: np.ndarray
    base_picture: np.ndarray
    small_bytes: int


@dataclass(frozen=True)
class DecodedPicture:
    """A picture ``uint8[H, W, 3]`` as received, and x'; both None when the base layer was lost.

    Counts are code blocks: ``base_repaired`` of the lost source blocks were computed from the others (source symbols
    where every block carries some), ``base_damaged`` came with a wrong CRC, ``enhancement_damaged`` came with bytes
    that no encoder writes.
    """

    picture: np.ndarray | None
    base_picture: np.ndarray | None
    base_repaired: int
    base_damaged: int
    base_lost: int
    enhancement_lost: int
    enhancement_damaged: int = 0

    @property
    def concealed(self) -> bool:
        """The base layer was lost: a receiver shows something else in the picture's place."""
        return self.picture is None


def grey_picture(stream: StreamFormat) -> np.ndarray:
    """``uint8[H, W, 3]``: what a receiver shows that has nothing yet."""
    return np.full((stream.height, stream.width, 3), MID_GREY, np.uint8)


class Codec:
    """Encoder and decoder of one stream format; holds the networks of its model and nothing of a picture.

    ``stream.model`` without a digest is taken as it is; with one, the weights must match.
    ``weights``: the model's file, where it is not to be looked up by its name. ``render`` names other
    weights of the same encoder, whose decoder makes the pictures: what is sent is the same, so the other
    end need not know.
    Raises ``WeightsError``, ``DeviceError``, and ``FormatError`` where the model cannot serve
    the format.
    """

    def __init__(self, stream: StreamFormat, device: str = "auto", render: str = "", weights: str | Path | None = None):
        self.device = choose_device(device)
        digest = agreed_digest(stream, render, weights)
        self.stream = stream.pinned(digest)
        model = stream.model_name if weights is None else weights
        self.profile = make_profile(load_networks(render or model, self.device), self.stream)

    @property
    def label_set(self) -> str:
        """What the model's label maps are made of; ``none``: it sends none."""
        return self.profile.label_set

    @torch.inference_mode()
    def encode(
        self,
        picture: np.ndarray,
        side_info: bytes = b"",
        favour: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        effort: int = 0,
    ) -> EncodedPicture:
        """``uint8[H, W, 3]`` of the stream's size to its N blocks.

        ``side_info`` rides in the base layer and takes its room from c. ``favour``
        ``float[H, W]``: 2 where the quantizer's step shall be half as large as elsewhere, at
        the same total rate. ``labels`` ``uint8[H, W]`` is the label map s, for profiles that send
        one; without it their SegNet makes it. ``effort``: so many steps, 0 to 1000, refine the symbols against
        expected losses, for models of profile coded and pictures of 2 Mpixel at most; the same stream
        format, and the same blocks each time on one machine. Raises ``PictureError``, and ``FormatError`` for a
        favour or a label map that the profile cannot use.
        """
        stream = self.stream
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise PictureError(f"a picture of {picture.dtype}{list(picture.shape)}; uint8[height, width, 3] is wanted")
        if picture.shape[:2] != (stream.height, stream.width):
            raise PictureError(
                f"a picture of {picture.shape[1]}x{picture.shape[0]} in a stream of {stream.width}x{stream.height}; "
                "fit it first"
            )
        if favour is not None:
            if favour.shape != picture.shape[:2]:
                raise PictureError(f"a favour of {favour.shape} for a picture of {picture.shape[:2]}; give one a pixel")
            favour = self._pad(favour[:, :, None])[:, :, 0]
        if labels is not None:
            if self.label_set == "none":
                raise FormatError(f"model {stream.model_name} sends no label map; leave it out")
            if labels.shape != picture.shape[:2]:
                raise PictureError(
                    f"a label map of {labels.shape} for a picture of {picture.shape[:2]}; as large wanted"
                )
            labels = self._pad(labels[:, :, None])[:, :, 0]
        self.check_effort(effort)
        more = {"effort": effort} if effort else {}
        layers = self.profile.encode(self._pad(picture), side_info, favour, labels, **more)
        if stream.layout == "apart":
            blocks = np.concatenate([protect_base(layers.container, stream), layers.enhancement])
        else:
            blocks = layers.enhancement
            for row, share in zip(blocks, share_base(layers.container, stream), strict=True):
                row[: len(share)] = share
        return EncodedPicture(blocks, self._crop(layers.picture), layers.small_bytes)

    @property
    def usual_at_once(self) -> int:
        """Frames that are worked on together where nobody says otherwise: 2, on one core or above 4 Mpixel 1."""
        return usual_at_once(self.stream.width * self.stream.height)

    def encode_many(
        self, pictures: Iterable[np.ndarray], at_once: int = 0, effort: int = 0
    ) -> Iterator[EncodedPicture]:
        """What ``encode`` gives of each picture ``uint8[H, W, 3]``, in order and the same to the byte, ``at_once``
        of them (0: ``usual_at_once``) at a time, each in a thread.

        So many pictures are taken before the first is given: of a source that has yet to wait for the next one,
        encode them one by one. Raises what ``encode`` does, in the picture's place.
        """
        self.check_effort(effort)
        return in_order(partial(self.encode, effort=effort), pictures, at_once or self.usual_at_once)

    def check_effort(self, effort: int) -> None:
        """Raises ``FormatError`` where this codec cannot give so much effort to a picture."""
        check_effort(self.stream, self.profile.networks.profile, effort)

    @torch.inference_mode()
    def decode(self, soft: np.ndarray, read_base: Callable[[bytes], Base] | None = None) -> DecodedPicture:
        """Soft bits ``int8[N, 8 * block_size]`` in {-1, 0, +1}, in the encoder's order, to the
        picture. ``read_base`` stands in for the profile's, for who receives one picture many times."""
        stream = self.stream
        if stream.layout == "apart":
            blocks, arrived = to_hard(soft[: stream.base_blocks])
            received = recover_base(blocks, arrived, stream)
        else:
            received = gather_base(*to_hard(soft), stream)
            arrived = np.ones(0, bool)
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
            base = (read_base or self.profile.read_base)(received.container)
            # Side information that makes no sense, though its CRCs are right, shows only here.
            pixels, damaged = self.profile.decode(soft[stream.base_blocks :], base)
        except BaseLayerError:
            return DecodedPicture(None, None, **counts)
        return DecodedPicture(self._crop(pixels), self._crop(base.picture), **counts, enhancement_damaged=damaged)

    def decode_many(self, frames: Iterable[np.ndarray], at_once: int = 0) -> Iterator[DecodedPicture]:
        """What ``decode`` gives of each frame's soft bits ``int8[N, 8 * block_size]``, as ``encode_many`` does."""
        return in_order(self.decode, frames, at_once or self.usual_at_once)

    def _pad(self, picture: np.ndarray) -> np.ndarray:
        return pad_to_multiple(picture, self.profile.cell)

    def _crop(self, pixels: torch.Tensor) -> np.ndarray:
        return np.ascontiguousarray(to_picture(pixels)[: self.stream.height, : self.stream.width])
