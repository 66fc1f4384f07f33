# SPDX-License-Identifier: GPL-3.0-or-later
"""The base layer in shares, one in every code block (layout ``spread``), and back.

The container and its CRC-32 are the source symbols of a RaptorQ code (RFC 6330, one source block); block i
begins with the symbols that ``StreamFormat.share_symbols`` names. Any large enough set of blocks gives
the container back, so no block is dearer than another and no burst finds the base layer in one place.
"""

import zlib

import numpy as np
import raptorq

from ds2c2.codec.baselayer import PAYLOAD_ID_BYTES, ReceivedBase
from ds2c2.stream.streamformat import CRC_BYTES, StreamFormat


def share_base(container: bytes, stream: StreamFormat) -> list[np.ndarray]:
    """``stream.base_capacity`` bytes to what each of the N blocks begins with, ``uint8[share_bytes[i]]``."""
    data = container + zlib.crc32(container).to_bytes(CRC_BYTES, "big")
    encoder = raptorq.Encoder.with_defaults(data, stream.symbol_bytes)
    ends = stream.share_symbols
    packets = encoder.get_encoded_packets(int(ends[-1]) - stream.base_sources)
    symbols = np.frombuffer(b"".join(packets), np.uint8).reshape(len(packets), -1)[:, PAYLOAD_ID_BYTES:]
    return [symbols[first:last].reshape(-1) for first, last in zip(ends[:-1], ends[1:], strict=True)]


def gather_base(blocks: np.ndarray, arrived: np.ndarray, stream: StreamFormat) -> ReceivedBase:
    """Blocks ``uint8[N, block_size]``, of which ``bool[N]`` arrived, to the container; its counts are
    symbols of the base layer. A container whose CRC is wrong counts as not received."""
    size, ends, sources = stream.symbol_bytes, stream.share_symbols, stream.base_sources
    counts = np.diff(ends)
    here = np.repeat(arrived, counts)
    numbers = np.flatnonzero(here)
    missing = int((~here[:sources]).sum())
    if len(numbers) < sources:
        return ReceivedBase(None, len(numbers), 0, 0)
    largest = int(counts.max()) * size
    # Row by row the symbols of a block, as many as the largest share has; those beyond a share are left out.
    rows = blocks[:, :largest].reshape(len(blocks), -1, size)
    symbols = rows[np.arange(rows.shape[1]) < counts[:, None]]
    if missing == 0:
        data = symbols[:sources].tobytes()
    else:
        decoder = raptorq.Decoder.with_defaults(stream.base_bytes, size)
        data = None
        for number in numbers.tolist():
            # One source block: its number is 0, the rest of the payload id is the symbol's.
            data = decoder.decode(number.to_bytes(PAYLOAD_ID_BYTES, "big") + symbols[number].tobytes())
            if data is not None:
                break
    if data is None:
        return ReceivedBase(None, len(numbers), 0, 0)
    container, check = data[:-CRC_BYTES], data[-CRC_BYTES:]
    if zlib.crc32(container).to_bytes(CRC_BYTES, "big") != check:
        return ReceivedBase(None, len(numbers), 1, 0)
    return ReceivedBase(container, len(numbers), 0, missing)
