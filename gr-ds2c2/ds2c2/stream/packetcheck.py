# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of 32 bits that a packet of wire format 2 carries, with or without a key.

It covers what the model needs whole: all of the packet where blocks decode alone (layout ``spread``), the header
where a model bears flipped bits (layout ``apart``; the idea is UDP-Lite's, RFC 3828). Without a key it is
the CRC-32 of zlib and Ethernet; with one, keyed BLAKE2s of 4 bytes (RFC 7693), which nobody can make who has not
the key. The stream format's digest is exclusive-or'ed to the last two bytes, so that a sound packet of another
format is recognised as such.
"""

import hashlib
import zlib
from dataclasses import replace

import numpy as np

from ds2c2.errors import FormatError
from ds2c2.stream.streamformat import StreamFormat

CHECK_BYTES = 4


class PacketCheck:
    """Makes and reads checks of one stream format's packets.

    Raises ``FormatError`` when the format names another key than is given.
    """

    def __init__(self, stream_format: StreamFormat, key: bytes = b""):
        check_key(stream_format, key)
        self.keyed = bool(key)
        self._key = key
        self._digest = stream_format.digest
        # The check itself is the header's end.
        self._header = stream_format.header_bytes - CHECK_BYTES
        self._whole = stream_format.layout == "spread"

    def make(self, headers: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Checks ``uint8[n, 4]`` for headers without it ``uint8[n, h - 4]`` and payloads ``uint8[n, b]``."""
        rows = np.concatenate([headers, blocks], axis=1) if self._whole else np.ascontiguousarray(headers)
        return (self._sums(rows) ^ np.uint32(self._digest)).astype(">u4").view(np.uint8).reshape(-1, CHECK_BYTES)

    def digests(self, packets: np.ndarray) -> np.ndarray:
        """``int64[n]`` from packets ``uint8[n, h + b]``: the stream format's digest that the sender has, which no
        sound packet of ours differs in; -1 for a packet that is not as it was sent, or not by who has the key."""
        end = self._header + CHECK_BYTES
        rows = np.delete(packets, np.s_[self._header : end], axis=1) if self._whole else packets[:, : self._header]
        found = np.ascontiguousarray(packets[:, self._header : end]).view(">u4")[:, 0].astype(np.uint32)
        said = (found ^ self._sums(np.ascontiguousarray(rows))).astype(np.int64)
        return np.where(said <= 0xFFFF, said, -1)

    def _sums(self, rows: np.ndarray) -> np.ndarray:
        if self.keyed:
            key, blake = self._key, hashlib.blake2s
            data = b"".join(blake(row, digest_size=CHECK_BYTES, key=key).digest() for row in rows)
            return np.frombuffer(data, ">u4").astype(np.uint32)
        return np.fromiter((zlib.crc32(row) for row in rows), np.uint32, len(rows))


def check_key(stream_format: StreamFormat, key: bytes) -> None:
    """Raises ``FormatError`` when the format names another key than is given, or names none."""
    named, given = stream_format.key, key_id(key) if key else ""
    if named == given:
        return
    if not given:
        raise FormatError(f"the stream is signed with key {named}; give its file with --key")
    if named:
        raise FormatError(f"the stream is signed with key {named}, the key given is {given}; give both ends the same")
    if stream_format.version == 1:
        raise FormatError("the stream is not signed, and of version 1, which never is; leave the key out")
    raise FormatError(
        f"the stream is not signed, the key given is {given}; where the sender has that key, add key={given} to the "
        "text of the stream format (--format), else leave the key out"
    )


def signed_with(stream_format: StreamFormat, key: bytes) -> StreamFormat:
    """The format of a stream whose packets this key signs, as it is without a key. Raises ``FormatError`` for one of
    version 1."""
    return replace(stream_format, key=key_id(key)) if key and not stream_format.key else stream_format


def key_id(key: bytes) -> str:
    """Eight hexadecimal digits that name a key and do not tell it; stream formats carry them."""
    return hashlib.sha256(b"ds2c2 packet key\0" + key).hexdigest()[:8]
