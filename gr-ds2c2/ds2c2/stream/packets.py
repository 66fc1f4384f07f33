# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets: one code block and a header, network byte order. docs/wire-format.md.

    byte 0      version (high half) and type (low half)
    byte 1      stream
    bytes 2-3   frame, modulo 65536
    bytes 4-5   index of the block in its frame

Version 1 goes on with a CRC-16 of these six bytes, exclusive-or the stream format's digest; version 2, where the
packets are signed, with the session (the second in which the sender began, 4 bytes, since 1970), and with a check
of 4 bytes (``ds2c2.stream.packetcheck``). In both a header whose bits were changed does not check, and a sender
with another stream format is recognised as such.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ds2c2.errors import FormatError
from ds2c2.stream.packetcheck import PacketCheck, check_key
from ds2c2.stream.stamps import Stamp, pack_stamp, read_stamp
from ds2c2.stream.streamformat import PACKET_V1_BYTES, SESSION_BYTES, StreamFormat

HEADER_BYTES = PACKET_V1_BYTES  # of version 1; ``StreamFormat.header_bytes`` of any
TYPE_BLOCK = 0
TYPE_END = 1  # end of stream: frame and index hold the number of frames sent, 32 bits
TYPE_STAMP = 2  # of version 2: what is said of the frame (``ds2c2.stream.stamps``)
NUMBER_BYTES = 6  # of the header, before sessions and checks
# End-of-stream packets are sent this often, since some may be lost.
END_COPIES = 8
FRAME_MODULUS = 1 << 16
MAX_STREAM = 255
# Settings that are told from a digest, of those that leave the packets' size alone.
TRIED = {"seed": range(256), "depth": range(1, 17), "interleave": ("none", "bit", "block")}

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


def _numbers(version: int, kind: int, stream_number: int, frames: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The first six bytes of headers, ``uint8[n, 6]``."""
    numbers = np.empty((len(frames), NUMBER_BYTES), np.uint8)
    numbers[:, 0] = version << 4 | kind
    numbers[:, 1] = stream_number
    numbers[:, 2:4] = frames.astype(">u2").view(np.uint8).reshape(-1, 2)
    numbers[:, 4:6] = indices.astype(">u2").view(np.uint8).reshape(-1, 2)
    return numbers


def build_headers(kind: int, stream_number: int, frames: np.ndarray, indices: np.ndarray, digest: int) -> np.ndarray:
    """Headers of version 1, ``uint8[n, 8]``, for frames and indices ``int[n]``."""
    numbers = _numbers(1, kind, stream_number, frames, indices)
    check = crc16(numbers) ^ np.uint16(digest)
    return np.concatenate([numbers, check.astype(">u2").view(np.uint8).reshape(-1, 2)], axis=1)


def build_packets(
    kind: int,
    stream_number: int,
    frames: np.ndarray,
    indices: np.ndarray,
    blocks: np.ndarray,
    stream_format: StreamFormat,
    check: PacketCheck | None = None,
    session: int = 0,
) -> np.ndarray:
    """Packets ``uint8[n, header_bytes + block_size]`` for frames and indices ``int[n]`` and blocks
    ``uint8[n, block_size]``; ``check`` is made anew where none is given."""
    if stream_format.version == 1:
        headers = build_headers(kind, stream_number, frames, indices, stream_format.digest)
        return np.concatenate([headers, blocks], axis=1)
    numbers = _numbers(2, kind, stream_number, frames, indices)
    if stream_format.key:
        when = np.frombuffer(session.to_bytes(SESSION_BYTES, "big"), np.uint8)
        numbers = np.concatenate([numbers, np.broadcast_to(when, (len(numbers), SESSION_BYTES))], axis=1)
    checks = (check or PacketCheck(stream_format)).make(numbers, blocks)
    return np.concatenate([numbers, checks, blocks], axis=1)


class Packetizer:
    """Numbers code blocks in the order they come: block n of the stream is block n mod N of
    frame n div N.

    Args:
        stream_format: gives N, the version, and whether packets are signed
        stream_number: which stream, 0 to 255
        key: of a signed stream
        session: of a signed stream, seconds since 1970; None: now

    Raises ``FormatError`` when the format names another key.
    """

    def __init__(
        self, stream_format: StreamFormat, stream_number: int = 0, key: bytes = b"", session: int | None = None
    ):
        self.format = stream_format
        self.stream_number = stream_number
        self.sent = 0
        self.session = int(time.time()) if session is None else session
        check_key(stream_format, key)
        self._check = PacketCheck(stream_format, key) if stream_format.version > 1 else None

    def _build(self, kind: int, frames: np.ndarray, indices: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        return build_packets(kind, self.stream_number, frames, indices, blocks, self.format, self._check, self.session)

    def pack(self, blocks: np.ndarray) -> np.ndarray:
        """``uint8[n, block_size]`` to packets ``uint8[n, header_bytes + block_size]``."""
        sequence = np.arange(self.sent, self.sent + len(blocks))
        self.sent += len(blocks)
        frames, indices = np.divmod(sequence, self.format.blocks)
        return self._build(TYPE_BLOCK, frames % FRAME_MODULUS, indices, blocks)

    def stamp(self, times: Sequence[float], call: str = "") -> np.ndarray:
        """Packets that say of the frames which are packed next when their pictures were there, seconds since 1970,
        and who sends: ``uint8[n, header_bytes + block_size]``. Raises ``FormatError`` for version 1, and for the call
        sign."""
        if self.format.version == 1:
            raise FormatError("stamps need version 2 of the wire format: leave --redundancy (base_redundancy) out")
        frames = (self.sent // self.format.blocks + np.arange(len(times))) % FRAME_MODULUS
        said = np.stack([pack_stamp(Stamp(seconds, call), self.format.block_size) for seconds in times])
        return self._build(TYPE_STAMP, frames, np.zeros(len(times), np.int64), said)

    def end(self) -> np.ndarray:
        """End-of-stream packets ``uint8[END_COPIES, header_bytes + block_size]``."""
        frames = -(-self.sent // self.format.blocks)
        high, low = divmod(frames, 1 << 16)
        nothing = np.zeros((END_COPIES, self.format.block_size), np.uint8)
        return self._build(TYPE_END, np.full(END_COPIES, high), np.full(END_COPIES, low), nothing)


@dataclass(frozen=True)
class ParsedPackets:
    """Packets of our stream and format, sorted out of ``received``.

    ``frames`` (modulo 65536), ``indices``, ``sessions`` (0 where packets are not signed), ``blocks`` and
    ``places`` among the packets given, of the code blocks, in the order of arrival; ``ends`` holds the frame
    counts of end-of-stream packets, ``end_places`` how many of the code blocks came before each,
    ``end_sessions`` their sessions. ``malformed`` counts what does not parse, ``damaged`` packets that are not
    as they were sent, ``forged`` those that the key did not sign, ``foreign`` other streams, ``other_format``
    sound packets of another stream format. ``stamps``: frame (modulo 65536), session and what is said of it.
    """

    frames: np.ndarray
    indices: np.ndarray
    sessions: np.ndarray
    blocks: np.ndarray
    places: np.ndarray
    ends: list[int]
    end_places: list[int]
    end_sessions: list[int]
    malformed: int
    damaged: int
    forged: int
    foreign: int
    other_format: int
    stamps: list[tuple[int, int, Stamp]]


class PacketParser:
    """Sorts packets of one stream; any bytes may come in, nothing is raised for them.

    Raises ``FormatError`` when the format names another key than is given.
    """

    def __init__(self, stream_format: StreamFormat, stream_number: int = 0, key: bytes = b""):
        self.format = stream_format
        self.stream_number = stream_number
        check_key(stream_format, key)
        self._check = PacketCheck(stream_format, key) if stream_format.version > 1 else None

    def parse(self, packets: np.ndarray, damaged: bool = False) -> ParsedPackets:
        """Sort packets ``uint8[n, header_bytes + block_size]``.

        Those that the link gave out as ``damaged`` are taken by the numbers they show: a check over all of a
        packet cannot say whether its header is right. For what must not move a stream.
        """
        form = self.format
        kind = packets[:, 0] & 0x0F
        first, second = _pairs(packets, 2), _pairs(packets, 4)
        known, digests = self._read(packets, damaged)
        sound = known & (digests >= 0)
        ours = sound & (packets[:, 1] == self.stream_number)
        same_format = ours & (digests == form.digest)
        data, end = same_format & (kind == TYPE_BLOCK), same_format & (kind == TYPE_END)
        sessions = np.zeros(len(packets), np.int64)
        if form.key:
            sessions = _pairs(packets, NUMBER_BYTES) << 16 | _pairs(packets, NUMBER_BYTES + 2)
        stamps = []
        for place in np.flatnonzero(same_format & (kind == TYPE_STAMP)):
            if (stamp := read_stamp(packets[place, form.header_bytes :])) is not None:
                stamps.append((int(first[place]), int(sessions[place]), stamp))
            else:
                sound[place] = ours[place] = False
        unsound = int((known & ~sound).sum())
        signed = bool(form.key)
        return ParsedPackets(
            frames=first[data],
            indices=second[data],
            sessions=sessions[data],
            blocks=packets[data, form.header_bytes :],
            places=np.flatnonzero(data),
            ends=[int(high) << 16 | int(low) for high, low in zip(first[end], second[end], strict=True)],
            end_places=np.cumsum(data)[end].tolist(),
            end_sessions=sessions[end].tolist(),
            malformed=int((~known).sum()),
            damaged=0 if signed else unsound,
            forged=unsound if signed else 0,
            foreign=int((sound & ~ours).sum()),
            other_format=int((ours & ~same_format).sum()),
            stamps=stamps,
        )

    def other_digests(self, packets: np.ndarray) -> np.ndarray:
        """Digests ``int64[m]`` of the other stream formats that sound packets of our stream show."""
        known, digests = self._read(packets)
        ours = known & (digests >= 0) & (packets[:, 1] == self.stream_number)
        return digests[ours & (digests != self.format.digest)]

    def _read(self, packets: np.ndarray, damaged: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """``bool[n]`` what parses, and ``int64[n]`` the format's digest each packet shows, -1 where unsound."""
        form, known = self.format, plausible(packets, self.format)
        digests = np.full(len(packets), -1, np.int64)
        if self._check is None:
            digests = _pairs(packets, NUMBER_BYTES) ^ crc16(packets[:, :NUMBER_BYTES])
        elif damaged:
            digests[known] = form.digest
        elif known.any():
            digests[known] = self._check.digests(packets[known])
        return known, digests


def known_difference(stream_format: StreamFormat, digest: int) -> str:
    """Words for the one difference to another stream format that its digest gives away: weights not named, or one
    setting of ``TRIED``; empty where it is another one. A digest has 16 bits, so a setting may fit by chance."""
    unnamed = replace(stream_format, model=stream_format.model_name).digest
    if digest == unnamed:
        return ", which differs only in the weights it names: none"
    for name, values in TRIED.items():
        here = getattr(stream_format, name)
        for there in values:
            with contextlib.suppress(FormatError):
                if there != here and replace(stream_format, **{name: there}).digest == digest:
                    return f", perhaps only in {name}: {there} there, {here} here"
    return ""


def plausible(packets: np.ndarray, stream_format: StreamFormat) -> np.ndarray:
    """``bool[n]``: packets ``uint8[n, header_bytes + block_size]`` that begin as the format's do, damaged or not."""
    kind = packets[:, 0] & 0x0F
    last = TYPE_END if stream_format.version == 1 else TYPE_STAMP
    known = (packets[:, 0] >> 4 == stream_format.version) & (kind <= last)
    return known & ((kind == TYPE_END) | (_pairs(packets, 4) < stream_format.blocks))


def parse_packets(packets: np.ndarray, stream_format: StreamFormat, stream_number: int = 0) -> ParsedPackets:
    """Sort packets of a stream that is not signed: ``PacketParser.parse`` for who does it once."""
    return PacketParser(stream_format, stream_number).parse(packets)


def _pairs(packets: np.ndarray, place: int) -> np.ndarray:
    """Numbers of two bytes that stand at a place of each packet, ``int64[n]``."""
    return packets[:, place : place + 2].copy().view(">u2")[:, 0].astype(np.int64)
