# SPDX-License-Identifier: GPL-3.0-or-later
"""SSDV packets, 256 bytes each: the pictures of amateur balloons (fsphil/ssdv).

byte 0      0x55
byte 1      0x66 with Reed-Solomon parity in the last 32 bytes, 0x67 without
bytes 2-5   call sign, in base 40
byte 6      image
bytes 7-8   packet of the image, from 0 on
byte 11     bit 2: the image's last packet
then        CRC-32 of all before it but byte 0, behind 205 or 237 bytes of picture
"""

import zlib
from collections.abc import Sequence

import numpy as np

from ds2c2.traces.formats.arrivals import DECIMALS, trace_of
from ds2c2.traces.formats.content import Content, Format, Links, Reading, check_rows
from ds2c2.traces.packetfates import LossTrace, TraceError

PACKET_BYTES = 256
SYNC = 0x55
# Type byte to the bytes before the CRC.
CRC_AT = {0x66: 220, 0x67: 252}
LAST_PACKET = 4  # bit of byte 11
CALL_SIGN_LETTERS = "-0123456789---ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def is_packet(data: bytes) -> bool:
    """Whether bytes are a whole SSDV packet; its sync byte may be left out, as some modems do."""
    return _whole(data) is not None


def _whole(data: bytes) -> bytes | None:
    if len(data) == PACKET_BYTES - 1:
        data = bytes([SYNC]) + data
    if len(data) != PACKET_BYTES or data[0] != SYNC or data[1] not in CRC_AT:
        return None
    end = CRC_AT[data[1]]
    return data if zlib.crc32(data[1:end]) == int.from_bytes(data[end : end + 4], "big") else None


def call_sign(number: int) -> str:
    """Of its number in base 40, least significant letter first."""
    letters = []
    while number:
        number, place = divmod(number, len(CALL_SIGN_LETTERS))
        letters.append(CALL_SIGN_LETTERS[place])
    return "".join(letters)


def links_of(path, packets: Sequence[bytes], reading: Reading, times: np.ndarray | None = None) -> Links:
    """A link a call sign; its images one after another. Raises ``TraceError``.

    Packets before the first of an image that came are known to be lost, and those behind its last one where
    that carries the mark of the end; else a gap of unknown length follows the image.
    """
    senders: dict[str, list[tuple[int, int, bool, int]]] = {}
    damaged = 0
    for place, data in enumerate(packets):
        whole = _whole(data)
        if whole is None:
            damaged += 1
            continue
        fields = whole[6], int.from_bytes(whole[7:9], "big"), bool(whole[11] & LAST_PACKET), place
        senders.setdefault(call_sign(int.from_bytes(whole[2:6], "big")), []).append(fields)
    if not senders:
        raise TraceError(f"{path}: no SSDV packet in it whose CRC-32 is right")
    said = [f"{damaged} packets with a wrong CRC left out: nobody knows which they were"] if damaged else []
    links = Links({}, said)
    for sender, fields in senders.items():
        images: list[list[tuple[int, int, bool, int]]] = []
        for one in fields:
            if not images or images[-1][-1][0] != one[0]:
                images.append([])
            images[-1].append(one)
        # Before any is made: each may be of 65536 packets.
        check_rows(path, sum(1 + max(number for _, number, _, _ in image) for image in images), len(fields))
        pieces, name = [], sender or "no call sign"
        for place, image in enumerate(images, 1):
            trace, words = _image(str(path), image, times)
            pieces.append(trace)
            said += [f"{name}: image {place} of {len(images)}: {one}" for one in words]
        joined = _joined(pieces, [any(end for _, _, end, _ in image) for image in images])
        links.add(path, sender if len(senders) > 1 else "", joined, len(fields))
        said.append(f"{name}: {len(images)} images")
    return links


def _image(path: str, image: list, times: np.ndarray | None) -> tuple[LossTrace, list[str]]:
    """The trace of one image, from its packet 0 on, and what is to be said of it."""
    numbers = np.array([number for _, number, _, _ in image])
    when = None if times is None else times[[place for *_, place in image]]
    return trace_of(numbers, Reading(first=0, step=1, wrap=0), times=when, where=path, from_first=False)


def _joined(images: list[LossTrace], ended: list[bool]) -> LossTrace:
    """Images in a row; where the end of one is not known the trace resumes after a gap."""
    sequence, resumes, begin = [], [], 0
    for place, image in enumerate(images):
        if place and not ended[place - 1]:
            resumes.append(begin)
        # And where one began anew within.
        resumes += [begin + number for number in image.resumes]
        sequence.append(image.sequence + begin)
        begin = int(sequence[-1][-1]) + 1
    numbers = np.concatenate(sequence)
    status, time = (np.concatenate([getattr(image, name) for image in images]) for name in ("status", "time"))
    if not np.isnan(time).all():
        time = np.round(time - np.nanmin(time), DECIMALS)
    unknown, none = np.full(len(numbers), np.nan), np.zeros(len(numbers), np.int64)
    about = {"resumes": " ".join(map(str, resumes))} if resumes else {}
    return LossTrace(numbers, numbers, none, time, status, unknown, unknown, none, none, about)


def _knows(content: Content) -> bool:
    return len(content.data) >= PACKET_BYTES and content.data[0] == SYNC and content.data[1] in CRC_AT


def _read(content: Content, reading: Reading) -> Links:
    data = content.data
    packets, place = [], 0
    while place + PACKET_BYTES <= len(data):
        # A byte too many or too few must not cost all that follows.
        if data[place] == SYNC and data[place + 1] in CRC_AT:
            packets.append(data[place : place + PACKET_BYTES])
            place += PACKET_BYTES
        else:
            place += 1
    return links_of(content.path, packets, reading)


FORMAT = Format("ssdv", "SSDV packets of 256 bytes", _knows, _read)
