# SPDX-License-Identifier: GPL-3.0-or-later
"""SSDV's packets (Philip Heron's format): a baseline JPEG cut so that every packet decodes alone.

A packet holds Huffman-coded MCUs of the tables of ITU-T T.81, Annex K.3. Its first MCU that begins in it begins on a
byte, with its DC values against zero; the last may go on in the next packet. The quantization tables are eight scales
of two fixed ones. All packets are of type 0x67, without Reed-Solomon parity, big-endian:

byte 0       0x55, the sync
byte 1       0x67
bytes 2-5    call sign, in base 40
byte 6       image
bytes 7-8    packet of the image, from 0 on
byte 9       width / 16
byte 10      height / 16
byte 11      bits 3-5 quality level xor 4, bit 2 the image's last packet, bits 0-1 how chroma is sampled
byte 12      where the first MCU of the packet begins, bytes of payload; 0xFF: none begins
bytes 13-14  its number; 0xFFFF: none begins
then         the payload, and CRC-32 of all before it but byte 0
"""

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from ds2c2.evaluation.rivals.rivalcodec import RivalError
from ds2c2.traces.formats.ssdv import CALL_SIGN_LETTERS, LAST_PACKET, PACKET_BYTES, SYNC

TYPE_WITHOUT_PARITY = 0x67
HEADER = struct.Struct(">BBIBHBBBBH")
CRC_BYTES = 4
OVERHEAD_BYTES = HEADER.size + CRC_BYTES
NO_MCU, NO_OFFSET = 0xFFFF, 0xFF
UNIT = 16  # sides are multiples of so many pixels
MOST_SIDE, MOST_MCUS, MOST_PACKETS = 255 * UNIT, 0xFFFF, 0x10000
LEVELS = 8
LEVEL_BIT, LEVEL_FLIP, CHROMA_MASK = 3, 4, 3
# How chroma is sampled, by the header's number: Pillow's name, side of an MCU, components of its blocks in order.
SAMPLINGS = {0: ("4:2:0", 16, (0, 0, 0, 0, 1, 2)), 3: ("4:4:4", 8, (0, 1, 2))}
# Per cent of the two tables, by quality level (libjpeg's qualities 1, 14, 29, 43, 50, 71, 86 and 100).
SCALES = (5000, 357, 172, 116, 100, 58, 28, 0)
# The tables of T.81, K.1, that SSDV rounds up to even numbers.
K1_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
K1_CHROMINANCE = {(0, 0): 17, (0, 1): 18, (1, 0): 18, (1, 1): 21, (1, 2): 26, (2, 1): 26, (0, 3): 47, (3, 0): 47,
                  (1, 3): 66, (3, 1): 66, (2, 2): 56, (0, 2): 22, (2, 0): 22}  # fmt: skip
K1_CHROMINANCE_REST = 99
# JPEG (T.81, annexes B and F).
SOS, DHT, EOI, STUFFED, PLAIN = 0xDA, 0xC4, b"\xff\xd9", b"\xff\x00", b"\xff"
LONGEST_CODE, COEFFICIENTS, END_OF_BLOCK = 16, 64, 0


@cache
def quantization(level: int) -> tuple[list[int], list[int]]:
    """Luminance's and chrominance's tables of a quality level 0 to 7, 64 numbers each, row by row."""
    chrominance = [K1_CHROMINANCE.get(divmod(place, 8), K1_CHROMINANCE_REST) for place in range(COEFFICIENTS)]
    even = ([entry + entry % 2 for entry in table] for table in (K1_LUMINANCE, chrominance))
    return tuple([min(max((entry * SCALES[level] + 50) // 100, 1), 255) for entry in table] for table in even)


def call_sign_number(sign: str) -> int:
    """A call sign of at most six letters and digits in base 40, least significant letter first."""
    return sum(CALL_SIGN_LETTERS.index(letter) * 40**place for place, letter in enumerate(sign))


def jpeg_of(picture: np.ndarray, level: int, sampling: int) -> bytes:
    """``uint8[H, W, 3]`` as a baseline JPEG of SSDV's quantization and the standard Huffman tables."""
    buffer = io.BytesIO()
    tables, (name, _, _) = quantization(level), SAMPLINGS[sampling]
    Image.fromarray(picture).save(buffer, "JPEG", qtables=list(tables), subsampling=name, optimize=False)
    return buffer.getvalue()


def after_head(data: bytes) -> int:
    """Where a JPEG's scan begins, in bytes."""
    at = 2
    while data[at + 1] != SOS:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


@cache
def _head(width: int, height: int, level: int, sampling: int) -> bytes:
    """All of a JPEG before its scan."""
    data = jpeg_of(np.zeros((height, width, 3), np.uint8), level, sampling)
    return data[: after_head(data)]


@dataclass(frozen=True)
class Huffman:
    """A table both ways: ``codes[symbol]`` in 0s and 1s; ``found[next 16 bits]`` is symbol and length, or None."""

    codes: dict[int, str]
    found: list[tuple[int, int] | None]


@cache
def _huffman() -> dict[tuple[int, int], Huffman]:
    """The standard tables by (0 for DC and 1 for AC, 0 for luminance and 1 for chrominance)."""
    head, tables, at = _head(UNIT, UNIT, 0, 0), {}, 2
    while head[at + 1] != SOS:
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        if head[at + 1] == DHT:
            body = head[at + 4 : at + 2 + length]
            tables[body[0] >> 4, body[0] & 1] = _table(body[1:17], body[17:])
        at += 2 + length
    return tables


def _table(counts: bytes, symbols: bytes) -> Huffman:
    codes, found, code = {}, [None] * 2**LONGEST_CODE, 0
    left = iter(symbols)
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            symbol = next(left)
            codes[symbol] = f"{code:0{length}b}"
            free = LONGEST_CODE - length
            found[code << free : (code + 1) << free] = [(symbol, length)] * (1 << free)
            code += 1
        code <<= 1
    return Huffman(codes, found)


class _Bits:
    """Bits of a scan, and what they say of one block after another."""

    def __init__(self, data: bytes):
        self.end = 8 * len(data)
        self.bits = bin(int.from_bytes(b"\1" + data, "big"))[3:] + "1" * LONGEST_CODE  # all ones are no code
        self.at = 0

    def _symbol(self, table: Huffman) -> int | None:
        """The next symbol; None where the bits end before it and its value, or are none."""
        entry = table.found[int(self.bits[self.at : self.at + LONGEST_CODE], 2)]
        if entry is None or self.at + entry[1] + (entry[0] & 15) > self.end:
            return None
        self.at += entry[1]
        return entry[0]

    def block(self, chroma: int) -> tuple[int, str, bool] | None:
        """Change of the DC value, the codes of all else, and whether these are whole; None at the end."""
        tables = _huffman()
        if (size := self._symbol(tables[0, chroma])) is None:
            return None
        value = int(self.bits[self.at : self.at + size] or "0", 2)
        change = value if not size or value >> (size - 1) else value - (1 << size) + 1
        self.at += size
        begin, place, table = self.at, 1, tables[1, chroma]
        while place < COEFFICIENTS:
            if (symbol := self._symbol(table)) is None:
                return change, self.bits[begin : self.at] + table.codes[END_OF_BLOCK], False
            self.at += symbol & 15
            if symbol == END_OF_BLOCK:
                break
            place += (symbol >> 4) + 1
        return change, self.bits[begin : self.at], True


def _coded(change: int, others: str, chroma: int) -> str:
    """A block in bits: its DC value's change, then the codes of all else."""
    size = abs(change).bit_length()
    value = f"{change if change > 0 else change + (1 << size) - 1:0{size}b}" if size else ""
    return _huffman()[0, chroma].codes[size] + value + others


@dataclass(frozen=True)
class Coefficients:
    """A JPEG's blocks in the order of its scan: the DC value itself, and the codes of all else."""

    width: int
    height: int
    level: int
    sampling: int
    blocks: list[tuple[int, str]]

    @property
    def components(self) -> tuple[int, ...]:
        return SAMPLINGS[self.sampling][2]

    @property
    def mcus(self) -> int:
        side = SAMPLINGS[self.sampling][1]
        return (self.width // side) * (self.height // side)

    def jpeg(self) -> bytes:
        """As a file."""
        before, pieces = [0, 0, 0], []
        for place, (value, others) in enumerate(self.blocks):
            component = self.components[place % len(self.components)]
            pieces.append(_coded(value - before[component], others, int(component > 0)))
            before[component] = value
        scan = _bytes("".join(pieces), "1").replace(PLAIN, STUFFED)
        return _head(self.width, self.height, self.level, self.sampling) + scan + EOI


def _bytes(bits: str, filler: str) -> bytes:
    bits += filler * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


def read_jpeg(data: bytes, width: int, height: int, level: int, sampling: int) -> Coefficients:
    """What ``jpeg_of`` wrote. Raises ``RivalError`` for a picture that SSDV cannot say."""
    found = Coefficients(width, height, level, sampling, [])
    if width % UNIT or height % UNIT or max(width, height) > MOST_SIDE or found.mcus > MOST_MCUS:
        raise RivalError(
            f"SSDV has no picture of {width}x{height} with chroma {SAMPLINGS[sampling][0]}: sides are multiples of "
            f"{UNIT} up to {MOST_SIDE}, and at most {MOST_MCUS} MCUs; leave ssdv out of --rivals"
        )
    bits, before = _Bits(data[after_head(data) : -len(EOI)].replace(STUFFED, PLAIN)), [0, 0, 0]
    for _ in range(found.mcus):
        for component in found.components:
            change, others, _ = bits.block(int(component > 0))
            before[component] += change
            found.blocks.append((before[component], others))
    return found


def pack(image: Coefficients, length: int = PACKET_BYTES, sign: str = "", number: int = 0) -> list[bytes]:
    """The packets of an image, ``length`` bytes each, 20 to 256. Raises ``RivalError`` where they are too many."""
    room = 8 * (length - OVERHEAD_BYTES)
    pieces, written = [], 0
    first: dict[int, tuple[int, int]] = {}  # packet to where its first MCU begins, and which
    each, before = len(image.components), [0, 0, 0]
    for mcu in range(image.mcus):
        if written // room not in first:
            pieces.append("1" * (-written % 8))
            written += len(pieces[-1])
            first[written // room] = written % room // 8, mcu
            before = [0, 0, 0]
        for component, (value, others) in zip(
            image.components, image.blocks[mcu * each : (mcu + 1) * each], strict=True
        ):
            pieces.append(_coded(value - before[component], others, int(component > 0)))
            written += len(pieces[-1])
            before[component] = value
    data = _bytes("".join(pieces), "1")
    count = -(-len(data) // (room // 8))
    if count > MOST_PACKETS:
        raise RivalError(f"SSDV numbers {MOST_PACKETS} packets, and these are {count}; leave ssdv out of --rivals")
    data, found = data.ljust(count * room // 8, b"\0"), []
    for packet in range(count):
        flags = (image.level ^ LEVEL_FLIP) << LEVEL_BIT | image.sampling | LAST_PACKET * (packet == count - 1)
        head = HEADER.pack(
            SYNC, TYPE_WITHOUT_PARITY, call_sign_number(sign), number, packet, image.width // UNIT,
            image.height // UNIT, flags, *first.get(packet, (NO_OFFSET, NO_MCU)),
        )  # fmt: skip
        whole = head + data[packet * room // 8 : (packet + 1) * room // 8]
        found.append(whole + zlib.crc32(whole[1:]).to_bytes(CRC_BYTES, "big"))
    return found


def unpack(packets: Sequence[bytes]) -> Coefficients | None:
    """What those packets of one image that came say of it, in any order; None where none is whole.

    As SSDV's own decoder does it, a block that did not come shows the DC value of its component's last one before,
    and mid-grey where there is none.
    """
    came: dict[int, tuple[bytes, int, int]] = {}  # packet to payload, where its first MCU begins, and which
    image = None
    for data in packets:
        if len(data) <= OVERHEAD_BYTES or zlib.crc32(data[1:-CRC_BYTES]).to_bytes(4, "big") != data[-CRC_BYTES:]:
            continue
        _, _, _, _, packet, width, height, flags, offset, mcu = HEADER.unpack_from(data)
        came[packet] = data[HEADER.size : -CRC_BYTES], offset, mcu
        image = image or Coefficients(
            width * UNIT, height * UNIT, flags >> LEVEL_BIT & LEVELS - 1 ^ LEVEL_FLIP, flags & CHROMA_MASK, []
        )
    if image is None:
        return None
    blocks: dict[int, tuple[int, str]] = {}
    for begin in sorted(came):
        if begin - 1 not in came:
            end = begin
            while end in came:
                end += 1
            _read_run(image, [came[packet] for packet in range(begin, end)], blocks)
    last, each = [0, 0, 0], len(image.components)
    nothing = {chroma: _huffman()[1, chroma].codes[END_OF_BLOCK] for chroma in (0, 1)}
    for place in range(image.mcus * each):
        component = image.components[place % each]
        block = blocks.get(place, (last[component], nothing[int(component > 0)]))
        image.blocks.append(block)
        last[component] = block[0]
    return image


def _read_run(image: Coefficients, run: list[tuple[bytes, int, int]], blocks: dict[int, tuple[int, str]]) -> None:
    """Blocks, by their place in the scan, of packets one after another."""
    bits = _Bits(b"".join(payload for payload, _, _ in run))
    starts, begin = {}, 0
    for payload, offset, mcu in run:
        if mcu != NO_MCU:
            starts[mcu] = begin + 8 * offset
        begin += 8 * len(payload)
    before = [0, 0, 0]
    for mcu in range(min(starts, default=image.mcus), image.mcus):
        if mcu in starts:
            bits.at, before = starts[mcu], [0, 0, 0]
        for place, component in enumerate(image.components, mcu * len(image.components)):
            if (found := bits.block(int(component > 0))) is None:
                return
            change, others, whole = found
            before[component] += change
            blocks[place] = before[component], others
            if not whole:
                return
