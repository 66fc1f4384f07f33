# SPDX-License-Identifier: GPL-3.0-or-later
"""The base layer: c and side information to N_b erasure-coded code blocks, and back.

A base block is a RaptorQ symbol (RFC 6330, one source block, encoding symbol id = index of
the block), zeros up to the block's end, and the CRC-32 of index and symbol, so that a block
whose bytes were changed counts as lost and cannot poison the others. docs/wire-format.md
has the bytes.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import raptorq
from PIL import Image

from ds2c2.codec.smallpicture import (
    SmallPictureError,
    decode_lossless,
    decode_small,
    encode_lossless,
    encode_small_within,
)
from ds2c2.errors import UserError
from ds2c2.stream.streamformat import CRC_BYTES, StreamFormat

# Versions of the container, in the high half of its first byte: c as a VP8 key frame, or lossless.
LAYOUT, LOSSLESS_LAYOUT = 1, 2
# First byte (layout, halvings of c), bytes of c, bytes of side information.
HEADER = struct.Struct("!BHH")
MAX_PART_BYTES = 0xFFFF
MAX_HALVINGS = 9  # 4096 / 8 / 2^9 = 1 pixel
PAYLOAD_ID_BYTES = 4  # RFC 6330, 3.2: source block number (8 bits), encoding symbol id (24)


class BaseLayerError(UserError):
    """A base layer that cannot be read: another layout, or damaged beyond its CRCs."""


@dataclass(frozen=True)
class BaseLayer:
    """c ``uint8[h, w, 3]`` as the receiver sees it, what rides beside it, and the bytes of c."""

    small: np.ndarray
    side_info: bytes
    small_bytes: int


@dataclass(frozen=True)
class ReceivedBase:
    """The container, None when too few blocks came, and what became of the blocks.

    ``arrived`` blocks were used, ``damaged`` ones came with a wrong CRC, ``repaired`` source
    blocks were missing and computed from the others.
    """

    container: bytes | None
    arrived: int
    damaged: int
    repaired: int


def pack_base(small: np.ndarray, side_info: bytes, capacity: int, lossless: bool = False) -> bytes:
    """c ``uint8[h, w, 3]`` and what the profile sends beside it (may be empty) to ``capacity`` bytes.

    Takes the best quality that fits; with ``lossless`` c as it is, where that fits. Where even
    the worst does not, c is halved until it does: a coarse base layer is worth more than none.
    """
    if len(side_info) > MAX_PART_BYTES:
        raise BaseLayerError(f"side information of {len(side_info)} bytes is too large: {MAX_PART_BYTES} at most")
    budget = min(capacity - HEADER.size - len(side_info), MAX_PART_BYTES)
    exact = encode_lossless(small) if lossless else b""
    if exact and len(exact) <= budget:
        header = HEADER.pack(LOSSLESS_LAYOUT << 4, len(exact), len(side_info))
        return (header + exact + side_info).ljust(capacity, b"\0")
    for halvings, some in _coarser(small):
        data = encode_small_within(some, budget)
        if data is not None:
            header = HEADER.pack(LAYOUT << 4 | halvings, len(data), len(side_info))
            return (header + data + side_info).ljust(capacity, b"\0")
    raise BaseLayerError(f"no small picture fits {capacity} bytes of base layer; raise base_bpp")


def unpack_base(container: bytes, height: int, width: int) -> BaseLayer:
    """The container back to c of ``height`` x ``width``. Raises ``BaseLayerError``."""
    try:
        first, small_bytes, label_bytes = HEADER.unpack_from(container)
        layouts = {LAYOUT: decode_small, LOSSLESS_LAYOUT: decode_lossless}
        if first >> 4 not in layouts or HEADER.size + small_bytes + label_bytes > len(container):
            known = " and ".join(map(str, layouts))
            raise BaseLayerError(f"base layer of layout {first >> 4}; this program reads layouts {known}")
        start = HEADER.size
        small = layouts[first >> 4](container[start : start + small_bytes], max(height, width))
    except (struct.error, SmallPictureError) as error:
        raise BaseLayerError(f"the base layer is damaged: {error}") from None
    if small.shape[:2] != (height, width):
        small = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    start += small_bytes
    return BaseLayer(small, container[start : start + label_bytes], small_bytes)


def with_side_info(container: bytes, side_info: bytes) -> bytes:
    """The container with other side information of the same length, and c as it is."""
    _, small_bytes, length = HEADER.unpack_from(container)
    if len(side_info) != length:
        raise BaseLayerError(f"side information of {len(side_info)} bytes where {length} are kept")
    start = HEADER.size + small_bytes
    return container[:start] + side_info + container[start + length :]


def _coarser(small: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """c, what is left of it after so many halvings, and its mean grey, which takes fewer bytes than a colour."""
    for halvings in range(MAX_HALVINGS + 1):
        yield halvings, _halve(small, halvings)
    yield MAX_HALVINGS, np.full((1, 1, 3), round(float(small.mean())), np.uint8)


def _halve(small: np.ndarray, halvings: int) -> np.ndarray:
    if halvings == 0:
        return small
    height, width = (max(1, side >> halvings) for side in small.shape[:2])
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BOX))


def _crc(index: int, symbol: bytes) -> bytes:
    return zlib.crc32(symbol, zlib.crc32(index.to_bytes(2, "big"))).to_bytes(CRC_BYTES, "big")


def protect_base(container: bytes, stream: StreamFormat) -> np.ndarray:
    """``stream.base_bytes`` bytes to base blocks ``uint8[N_b, block_size]``."""
    encoder = raptorq.Encoder.with_defaults(container, stream.symbol_bytes)
    packets = encoder.get_encoded_packets(stream.base_blocks - stream.base_sources)
    blocks = np.zeros((stream.base_blocks, stream.block_size), np.uint8)
    for index, packet in enumerate(packets):
        symbol = packet[PAYLOAD_ID_BYTES:]
        row = symbol.ljust(stream.block_size - CRC_BYTES, b"\0") + _crc(index, symbol)
        blocks[index] = np.frombuffer(row, np.uint8)
    return blocks


def recover_base(blocks: np.ndarray, arrived: np.ndarray, stream: StreamFormat) -> ReceivedBase:
    """Base blocks ``uint8[N_b, block_size]``, of which ``bool[N_b]`` arrived, to the container."""
    sound = {}
    damaged = 0
    for index in np.flatnonzero(arrived):
        row = blocks[index].tobytes()
        symbol = row[: stream.symbol_bytes]
        if row[-CRC_BYTES:] == _crc(int(index), symbol):
            sound[int(index)] = symbol
        else:
            damaged += 1
    missing = sum(index not in sound for index in range(stream.base_sources))
    if len(sound) < stream.base_sources:
        return ReceivedBase(None, len(sound), damaged, 0)
    if missing == 0:
        container = b"".join(sound[index] for index in range(stream.base_sources))
        return ReceivedBase(container, len(sound), damaged, 0)
    decoder = raptorq.Decoder.with_defaults(stream.base_bytes, stream.symbol_bytes)
    container = None
    for index, symbol in sound.items():
        # One source block: its number is 0, the rest of the payload id is the index.
        container = decoder.decode(index.to_bytes(PAYLOAD_ID_BYTES, "big") + symbol)
        if container is not None:
            break
    return ReceivedBase(container, len(sound), damaged, missing if container is not None else 0)
