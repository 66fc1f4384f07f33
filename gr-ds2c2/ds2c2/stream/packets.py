# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets: one code block and 8 bytes of header, network byte order. docs/wire-format.md.

    byte 0      version (high half) and type (low half)
    byte 1      stream
    bytes 2-3   frame, modulo 65536
    bytes 4-5   index of the block in its frame
    bytes 6-7   CRC-16 of bytes 0-5, exclusive-or the stream format's digest

The last field does two jobs: a header whose bits were changed does not check, and a sender
with another stream format is recognised as such.
"""

from dataclasses import dataclass

import numpy as np

from ds2c2.stream.streamformat import StreamFormat

VERSION = 1
TYPE_BLOCK = 0
TYPE_END = 1  # end of stream: frame and index hold the number of frames sent, 32 bits
HEADER_BYTES = 8
# End-of-stream packets are sent this often, since some may be lost.
END_COPIES = 8
FRAME_MODULUS = 1 << 16
MAX_STREAM = 255

# CRC-16/IBM-3740 ("CCITT-FALSE"): polynomial 0x1021, start 0xFFFF, nothing reflected.
CRC_POLYNOMIAL = 0x1021
CRC_START = 0xFFFF


def _crc_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32) << 8
    for _ in range(8):
        table = np.where(table & 0x8000, (table << 1) ^ CRC_POLYNOMIAL, table << 1) & 0xFFFF
    return table.astype(np.uint16)


_TABLE = _crc_table()


def crc16(rows: np.ndarray) -> np.ndarray:
    """CRC-16/IBM-3740 of each row: ``uint8[n, k]`` to ``uint16[n]``."""
    crc = np.full(len(rows), CRC_START, np.uint16)
    for column in rows.T:
        crc = (crc << 8) ^ _TABLE[(crc >> 8) ^ column]
    return crc


def build_headers(kind: int, stream_number: int, frames: np.ndarray, indices: np.ndarray, digest: int) -> np.ndarray:
    """Header bytes ``uint8[n, 8]`` for frames and indices ``int[n]``."""
    headers = np.empty((len(frames), HEADER_BYTES), np.uint8)
    headers[:, 0] = VERSION << 4 | kind
    headers[:, 1] = stream_number
    headers[:, 2:4] = frames.astype(">u2").view(np.uint8).reshape(-1, 2)
    headers[:, 4:6] = indices.astype(">u2").view(np.uint8).reshape(-1, 2)
    check = crc16(headers[:, :6]) ^ np.uint16(digest)
    headers[:, 6:8] = check.astype(">u2").view(np.uint8).reshape(-1, 2)
    return headers


class Packetizer:
    """Numbers code blocks in the order they come: block n of the stream is block n mod N of
    frame n div N."""

    def __init__(self, stream_format: StreamFormat, stream_number: int = 0):
        self.format = stream_format
        self.stream_number = stream_number
        self.sent = 0

    def pack(self, blocks: np.ndarray) -> np.ndarray:
        """``uint8[n, block_size]`` to packets ``uint8[n, 8 + block_size]``."""
        sequence = np.arange(self.sent, self.sent + len(blocks))
        self.sent += len(blocks)
        frames, indices = np.divmod(sequence, self.format.blocks)
        headers = build_headers(TYPE_BLOCK, self.stream_number, frames % FRAME_MODULUS, indices, self.format.digest)
        return np.concatenate([headers, blocks], axis=1)

    def end(self) -> np.ndarray:
        """End-of-stream packets ``uint8[END_COPIES, 8 + block_size]``."""
        frames = -(-self.sent // self.format.blocks)
        high, low = divmod(frames, 1 << 16)
        headers = build_headers(
            TYPE_END, self.stream_number, np.full(END_COPIES, high), np.full(END_COPIES, low), self.format.digest
        )
        return np.concatenate([headers, np.zeros((END_COPIES, self.format.block_size), np.uint8)], axis=1)


@dataclass(frozen=True)
class ParsedPackets:
    """Packets of our stream and format, sorted out of ``received``.

    ``frames`` (modulo 65536), ``indices`` and ``blocks`` of the code blocks, in the order of
    arrival; ``ends`` holds the frame counts of end-of-stream packets, ``end_places`` how many of the
    code blocks came before each; ``malformed`` counts what does not parse, ``foreign`` other
    streams, ``other_format`` packets of our stream whose check says another stream format (or a
    changed header).
    """

    frames: np.ndarray
    indices: np.ndarray
    blocks: np.ndarray
    ends: list[int]
    end_places: list[int]
    malformed: int
    foreign: int
    other_format: int


def parse_packets(packets: np.ndarray, stream_format: StreamFormat, stream_number: int = 0) -> ParsedPackets:
    """Sort packets ``uint8[n, 8 + block_size]``; any bytes may come in, nothing is raised."""
    kind = packets[:, 0] & 0x0F
    digest = packets[:, 6:8].copy().view(">u2")[:, 0].astype(np.uint16) ^ crc16(packets[:, :6])
    first = packets[:, 2:4].copy().view(">u2")[:, 0].astype(np.int64)
    second = packets[:, 4:6].copy().view(">u2")[:, 0].astype(np.int64)
    known = (packets[:, 0] >> 4 == VERSION) & (kind <= TYPE_END)
    known &= (kind == TYPE_END) | (second < stream_format.blocks)
    ours = known & (packets[:, 1] == stream_number)
    same_format = digest == stream_format.digest
    data = ours & same_format & (kind == TYPE_BLOCK)
    end = ours & same_format & (kind == TYPE_END)
    return ParsedPackets(
        frames=first[data],
        indices=second[data],
        blocks=packets[data, HEADER_BYTES:],
        ends=[int(high) << 16 | int(low) for high, low in zip(first[end], second[end], strict=True)],
        end_places=np.cumsum(data)[end].tolist(),
        malformed=int((~known).sum()),
        foreign=int((known & ~ours).sum()),
        other_format=int((ours & ~same_format).sum()),
    )
