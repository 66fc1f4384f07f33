# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet recordings: a stream's packets in a file, with the stream format in its first lines.

ds2c2-packets/1 LF
the stream format's text form LF
packets, one after another, each 8 + block_size bytes
"""

import os
from pathlib import Path
from types import TracebackType

import numpy as np

from ds2c2.errors import FormatError, LinkError
from ds2c2.stream.packets import HEADER_BYTES
from ds2c2.stream.streamformat import StreamFormat

MAGIC = b"ds2c2-packets/1\n"
LONGEST_TEXT = 1024  # bytes of the text form
READ_PACKETS = 4096  # packets per read


class RecordingWriter:
    """Writes a recording; its final name appears when it is closed whole. Raises ``LinkError``."""

    def __init__(self, path: str | Path, stream: StreamFormat):
        self.path = Path(path)
        self._part = self.path.with_name(f".{self.path.name}.part")
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise LinkError(f"{path}: cannot be written ({error.strerror})") from None
        self._file.write(MAGIC + stream.text.encode() + b"\n")

    def write(self, packets: np.ndarray) -> None:
        self._file.write(packets.tobytes())

    def __enter__(self) -> "RecordingWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._part, self.path)
        else:
            self._part.unlink(missing_ok=True)


class RecordingReader:
    """Reads a recording: ``stream`` is its format, iteration gives ``uint8[n, 8 + block_size]``.

    ``torn_bytes`` counts the bytes of a last packet that is not whole. Raises ``LinkError``
    for a missing file and ``FormatError`` for one that is no recording.
    """

    def __init__(self, path: str | Path):
        try:
            self._file = Path(path).open("rb")
        except OSError as error:
            raise LinkError(f"{path}: no recording to read ({error.strerror})") from None
        if self._file.readline(len(MAGIC)) != MAGIC:
            self._file.close()
            raise FormatError(f"{path}: not a packet recording; `ds2c2 send --to {path}` writes one")
        text = self._file.readline(LONGEST_TEXT).decode(errors="replace").strip()
        self.stream = StreamFormat.parse(text)
        self.torn_bytes = 0

    def __iter__(self):
        size = HEADER_BYTES + self.stream.block_size
        with self._file:
            while data := self._file.read(READ_PACKETS * size):
                whole = len(data) // size * size
                self.torn_bytes = len(data) - whole
                yield np.frombuffer(data[:whole], np.uint8).reshape(-1, size)

    def close(self) -> None:
        """For who does not read it to its end."""
        self._file.close()
