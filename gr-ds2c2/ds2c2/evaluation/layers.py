# SPDX-License-Identifier: GPL-3.0-or-later
"""JPEG 2000 in quality layers, cut where a layer ends (ITU-T T.800, Annex A and B).

OpenJPEG writes the packets layer by layer and, when asked, the packets' lengths (PLT marker).
Cut there, and with the header told how many layers are left, a beginning of the file is a whole
smaller file. The PLT marker itself is not needed to decode: it is taken out and not counted.
"""

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ds2c2.evaluation.erasurecode import allocate
from ds2c2.pictures.metrics import psnr

SOC_BYTES = 2
COD, SOT, PLT, SOD, EOC = 0xFF52, 0xFF90, 0xFF58, 0xFF93, b"\xff\xd9"
COD_LAYERS_AT = 6  # bytes from the COD marker to its number of layers, big-endian, 2 bytes
SOT_LENGTH_AT = 6  # bytes from the SOT marker to the tile-part's length, big-endian, 4 bytes
SOT_BYTES = 12
# Points of a picture's quality curve, and its first one in bytes: the headers take 120.
CURVE_POINTS = 24
CURVE_FIRST = 300
# Rounds of aiming lower where OpenJPEG's layers are larger than asked.
AIMS = 8


@dataclass(frozen=True)
class LayeredFile:
    """A codestream in layers. ``ends[j]``: bytes of all packets up to the end of layer j."""

    main_header: bytes
    tile_header: bytes
    packets: bytes
    ends: tuple[int, ...]

    def upto(self, layers: int) -> bytes:
        """A whole codestream of the first ``layers`` layers."""
        packets = self.packets[: self.ends[layers - 1]]
        main, tile = bytearray(self.main_header), bytearray(self.tile_header)
        struct.pack_into(">H", main, _find(self.main_header, COD) + COD_LAYERS_AT, layers)
        struct.pack_into(">I", tile, SOT_LENGTH_AT, len(tile) + len(packets))
        return bytes(main + tile) + packets + EOC


def _segments(data: bytes, at: int):
    """Marker, position and length (marker not counted) of each segment up to SOD."""
    while True:
        (marker,) = struct.unpack_from(">H", data, at)
        if marker == SOD:
            yield marker, at, 0
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        yield marker, at, length
        at += 2 + length


def _find(main_header: bytes, wanted: int) -> int:
    at = SOC_BYTES
    while struct.unpack_from(">H", main_header, at)[0] != wanted:
        at += 2 + struct.unpack_from(">H", main_header, at + 2)[0]
    return at


def _packet_lengths(body: bytes) -> list[int]:
    """Seven bits a byte, most significant first, the top bit says that more follow."""
    lengths, value = [], 0
    for byte in body:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            lengths.append(value)
            value = 0
    return lengths


def encode_layers(picture: np.ndarray, aims: list[int]) -> LayeredFile:
    """``uint8[H, W, 3]`` to layers whose codestreams take about ``aims`` bytes, ascending.

    9/7 wavelet and colour transform (both lossy), packets in the order layer, resolution,
    component, position. OpenJPEG may miss an aim by some bytes to either side.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(
        buffer,
        "JPEG2000",
        no_jp2=True,
        irreversible=True,
        mct=1,
        quality_mode="rates",
        quality_layers=[picture.size / aim for aim in aims],
        plt=True,
        comment="-",  # else OpenJPEG signs with 25 bytes
    )
    data = buffer.getvalue()
    tile_at, lengths, sod_at = 0, [], 0
    for marker, at, length in _segments(data, SOC_BYTES):
        if marker == SOT:
            tile_at = at
        elif marker == PLT:
            lengths += _packet_lengths(data[at + 5 : at + 2 + length])
        elif marker == SOD:
            sod_at = at
    per_layer = len(lengths) // len(aims)
    ends = np.cumsum(lengths)[per_layer - 1 :: per_layer]
    tile_header = data[tile_at : tile_at + SOT_BYTES] + data[sod_at : sod_at + 2]
    packets = data[sod_at + 2 : sod_at + 2 + int(ends[-1])]
    return LayeredFile(data[:tile_at], tile_header, packets, tuple(map(int, ends)))


def quality_curve(picture: np.ndarray, most: int) -> list[tuple[int, float]]:
    """What the codec gives this picture: (bytes, PSNR in dB), ascending, up to ``most`` bytes."""
    aims = np.unique(np.geomspace(CURVE_FIRST, max(most, CURVE_FIRST + 1), CURVE_POINTS).astype(int))
    points = {}
    for aim in aims:
        data = encode_layers(picture, [int(aim)]).upto(1)
        points[len(data)] = psnr(picture, _decode(data))
    sizes = sorted(points)
    return [(size, max(points[s] for s in sizes if s <= size)) for size in sizes]


def _decode(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class ProtectedLayers:
    """Layers as sent: layer j needs ``needs[j]`` blocks and gives ``pictures[j]``; the file up to
    its end takes ``sizes[j]`` of at most ``capacity[j]`` bytes."""

    needs: tuple[int, ...]
    sizes: tuple[int, ...]
    capacity: tuple[int, ...]
    pictures: tuple[np.ndarray, ...]


def protect_layers(
    picture: np.ndarray, blocks: int, block_size: int, curve: list[tuple[int, float]], grey_psnr: float
) -> ProtectedLayers:
    """A picture in quality layers, shared out over ``blocks`` packets as ``allocate`` finds best.

    A layer that does not fit, or that adds nothing, is left out.
    """
    plan = allocate(blocks, block_size, curve, grey_psnr)
    used = [j for j, share in enumerate(plan.shares) if share > 0 and plan.capacity[j] >= curve[0][0]]
    capacity = [plan.capacity[j] for j in used]
    aims = list(capacity)
    for _ in range(AIMS if used else 0):
        file = encode_layers(picture, aims)
        sizes = [len(file.upto(j + 1)) for j in range(len(used))]
        excess = [max(0, size - room) for size, room in zip(sizes, capacity, strict=True)]
        if not any(excess):
            break
        aims = [max(1, aim - (more + 1 if more else 0)) for aim, more in zip(aims, excess, strict=True)]
    fitting = [j for j in range(len(used)) if sizes[j] <= capacity[j]] if used else []
    return ProtectedLayers(
        needs=tuple(plan.needs[used[j]] for j in fitting),
        sizes=tuple(sizes[j] for j in fitting),
        capacity=tuple(capacity[j] for j in fitting),
        pictures=tuple(_decode(file.upto(j + 1)) for j in fitting),
    )
