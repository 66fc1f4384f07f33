# SPDX-License-Identifier: GPL-3.0-or-later
"""SSDV as a rival: what amateur balloons and satellites send, packets of a JPEG that decode alone."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from ds2c2.evaluation.rivals.pillowcodecs import missing_feature, opened
from ds2c2.evaluation.rivals.rivalcodec import Encodings, Rival, Sent
from ds2c2.evaluation.rivals.ssdvpackets import (
    LEVELS,
    OVERHEAD_BYTES,
    PACKET_BYTES,
    SAMPLINGS,
    UNIT,
    Coefficients,
    after_head,
    jpeg_of,
    pack,
    read_jpeg,
    unpack,
)
from ds2c2.pictures.metrics import psnr

# Its eight qualities lie far apart, and the coarsest but one takes 0.3 bpp: smaller pictures, shown at full size.
SIDES = (1.0, 0.75, 0.5, 0.375, 0.25)
# Packets carry DC values anew, and most JPEGs grow: what is larger than so many of the bits is not tried.
HOPELESS = 1.1
SIZE = struct.Struct(">HH")  # width and height of a picture before it is padded or made smaller


@dataclass(frozen=True)
class Choice:
    """A picture as one JPEG, not yet in packets: its quality without loss, PSNR in dB, and what was set."""

    psnr: float
    side: float
    level: int
    sampling: int
    data: bytes
    width: int
    height: int

    def coefficients(self) -> Coefficients:
        return read_jpeg(self.data, self.width, self.height, self.level, self.sampling)

    @property
    def setting(self) -> str:
        size = "" if self.side == 1 else f", {self.width}x{self.height}"
        return f"{SAMPLINGS[self.sampling][0]} level {self.level}{size}"


def _fitted(picture: np.ndarray, side: float) -> np.ndarray:
    """A picture whose sides are multiples of 16: padded, or made smaller."""
    height, width = picture.shape[:2]
    if side == 1:
        return np.pad(picture, ((0, -height % UNIT), (0, -width % UNIT), (0, 0)), "edge")
    size = [max(1, round(length * side / UNIT)) * UNIT for length in (width, height)]
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _shown(jpeg: bytes, width: int, height: int) -> np.ndarray:
    """At the size at which the picture was: cut where it was padded, enlarged where it was made smaller."""
    picture = opened(jpeg)
    padded = -(-height // UNIT) * UNIT, -(-width // UNIT) * UNIT
    if picture.shape[:2] == padded:
        return np.ascontiguousarray(picture[:height, :width])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def _choices(picture: np.ndarray, most: int) -> Iterator[Choice]:
    """Every JPEG that may fit into ``most`` bytes, smaller pictures and coarser levels first."""
    height, width = picture.shape[:2]
    whole = _fitted(picture, 1.0)
    for side in reversed(SIDES):
        small = _fitted(picture, side)
        if side < 1 and small.shape == whole.shape:
            continue
        for sampling in SAMPLINGS:
            for level in range(LEVELS):
                data = jpeg_of(small, level, sampling)
                if len(data) - after_head(data) > HOPELESS * most:
                    break
                quality = psnr(picture, _shown(data, width, height))
                yield Choice(quality, side, level, sampling, data, small.shape[1], small.shape[0])


def _send(picture: np.ndarray, blocks: int, block_size: int) -> Sent | None:
    """Of the choices whose packets fit, the one of highest PSNR without loss."""
    length = min(PACKET_BYTES, block_size)
    if length <= OVERHEAD_BYTES:
        return None
    each = block_size // length  # packets a block
    choices = _choices(picture, blocks * each * (length - OVERHEAD_BYTES))
    for choice in sorted(choices, key=lambda choice: choice.psnr, reverse=True):
        packets = pack(choice.coefficients(), length)
        if len(packets) <= blocks * each:
            height, width = picture.shape[:2]
            return Sent(choice.setting, length * len(packets), partial(_receive, packets, each, width, height))
    return None


def _receive(packets: list[bytes], each: int, width: int, height: int, lost: np.ndarray) -> np.ndarray | None:
    """``each`` packets a block of which some are lost, ``bool[blocks]``, to the picture."""
    image = unpack([packet for place, packet in enumerate(packets) if not lost[place // each]])
    return None if image is None else _shown(image.jpeg(), width, height)


def _encodings(picture: np.ndarray, budgets: list[int]) -> Encodings:
    """As a file: the picture's size, and packets of 256 bytes."""
    height, width = picture.shape[:2]
    for choice in _choices(picture, max(budgets)):
        yield choice.setting, SIZE.pack(width, height) + b"".join(pack(choice.coefficients()))


def _decode(data: bytes) -> np.ndarray:
    image = unpack([data[at : at + PACKET_BYTES] for at in range(SIZE.size, len(data), PACKET_BYTES)])
    return _shown(image.jpeg(), *SIZE.unpack_from(data))


RIVALS = {
    "ssdv": Rival(
        "SSDV (JPEG in packets that decode alone)",
        _encodings,
        _decode,
        missing_feature("jpg"),
        optional=True,
        rank=11,
        colour="#882255",
        marker="p",
        send=_send,
    )
}
