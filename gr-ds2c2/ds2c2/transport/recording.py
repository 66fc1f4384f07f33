# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet recordings: a stream's packets in a file, with the stream format in its first lines.

ds2c2-packets/1 LF
the stream format's text form LF
packets, one after another, each packet_bytes bytes
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from ds2c2.errors import FormatError, LinkError
from ds2c2.files import whole
from ds2c2.stream.streamformat import StreamFormat

MAGIC = b"ds2c2-packets/1\n"
LONGEST_TEXT = 1024  # bytes of the text form
READ_PACKETS = 4096  # packets per read


class RecordingWriter:
    """Writes a recording, whole or not at all: its name appears at the end. Raises ``FileError``."""

    def __init__(self, path: str | Path, stream: StreamFormat):
        self.path = Path(path)
        with ExitStack() as stack:
            part = stack.enter_context(whole(self.path))
            # Unbuffered: what does not fit is said by the write and not by the end.
            self._file = stack.enter_context(part.open("wb", buffering=0))
            self._file.write(MAGIC + stream.text.encode() + b"\n")
            self._closing = stack.pop_all()

    def write(self, packets: np.ndarray) -> None:
        """Append ``uint8[n, packet_bytes]``."""
        data = memoryview(packets.tobytes())
        while len(data):
            data = data[self._file.write(data) :]

    def __enter__(self) -> "RecordingWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.__exit__(kind, error, trace)


class RecordingReader:
    """Reads a recording: ``stream`` is its format, iteration gives ``uint8[n, packet_bytes]``.

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
        size = self.stream.packet_bytes
        with self._file:
            while data := self._file.read(READ_PACKETS * size):
                whole = len(data) // size * size
                self.torn_bytes = len(data) - whole
                yield np.frombuffer(data[:whole], np.uint8).reshape(-1, size)

    def close(self) -> None:
        """For who does not read it to its end."""
        self._file.close()
