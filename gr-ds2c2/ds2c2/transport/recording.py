# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet recordings: a stream's packets in a file, with the stream format in its first lines.

ds2c2-packets/1 LF
the stream format's text form LF
packets, one after another, each packet_bytes bytes; one of zeros says that then nothing came for a while

A file of packets alone, as GNU Radio's File Sink writes it, is read too by who knows the stream format.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from ds2c2.errors import FormatError, LinkError
from ds2c2.files import whole
from ds2c2.stream.packets import plausible
from ds2c2.stream.packetsize import LOOKED_AT, misfit, packet_size_in
from ds2c2.stream.streamformat import StreamFormat

MAGIC = b"ds2c2-packets/1\n"
LONGEST_TEXT = 1024  # bytes of the text form
READ_PACKETS = 4096  # packets per read
# Of the first packets of a file of packets alone, this share begins as the stream format's do, or it is no such file:
# of any bytes, 1 in 100 does. Below the larger one packets of another size are looked for, some of which would fit.
LEAST_PLAUSIBLE, PLAUSIBLE = 0.1, 0.5


class RecordingWriter:
    """Writes a recording, whole or not at all: its name appears at the end. Raises ``FileError``."""

    def __init__(self, path: str | Path, stream: StreamFormat):
        self.path = Path(path)
        self._packet_bytes = stream.packet_bytes
        self._still = True  # nothing came since the beginning, or since silence was told
        with ExitStack() as stack:
            part = stack.enter_context(whole(self.path))
            # Unbuffered: what does not fit is said by the write and not by the end.
            self._file = stack.enter_context(part.open("wb", buffering=0))
            self._file.write(MAGIC + stream.text.encode() + b"\n")
            self._closing = stack.pop_all()

    def write(self, packets: np.ndarray) -> None:
        """Append ``uint8[n, packet_bytes]``. What came as zeros is written as a malformed packet of another kind."""
        if not len(packets):
            return
        zeros = ~packets.any(axis=1)
        if zeros.any():
            packets = packets.copy()
            packets[zeros, -1] = 1
        self._write(packets.tobytes())
        self._still = False

    def silence(self) -> None:
        """Nothing came for a while: what comes next is no longer mixed with what came before. Said once."""
        if not self._still:
            self._write(bytes(self._packet_bytes))
            self._still = True

    def _write(self, some: bytes) -> None:
        data = memoryview(some)
        while len(data):
            data = data[self._file.write(data) :]

    def finish(self) -> Path:
        """End it now, whatever becomes of what is around it; returns its path. Raises ``FileError``."""
        self._closing.pop_all().__exit__(None, None, None)
        return self.path

    def __enter__(self) -> "RecordingWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.__exit__(kind, error, trace)


class RecordingReader:
    """Reads a recording: ``stream`` is its format, iteration gives ``uint8[n, packet_bytes]``, an empty one where
    nothing came for a while.

    ``torn_bytes`` counts the bytes of a last packet that is not whole.

    Args:
        path: a recording, or a file of packets alone, one behind the other
        stream: the format that is expected; a file of packets alone needs it, a recording of another one is refused

    Raises ``LinkError`` for a missing file and ``FormatError`` for one that is neither, or of another format.
    """

    def __init__(self, path: str | Path, stream: StreamFormat | None = None):
        self.path = Path(path)
        self.torn_bytes = 0
        try:
            self._file = self.path.open("rb")
            # Of a pipe nothing is read twice.
            self._first = self._file.read(len(MAGIC))
        except OSError as error:
            raise LinkError(f"{path}: no recording to read ({error.strerror})") from None
        try:
            self.stream = self._recorded(stream) if self._first == MAGIC else self._alone(stream)
        except FormatError:
            self._file.close()
            raise

    def _recorded(self, wanted: StreamFormat | None) -> StreamFormat:
        self._first = b""
        stream = StreamFormat.parse(self._file.readline(LONGEST_TEXT).decode(errors="replace").strip())
        if wanted is not None and not stream.agrees(wanted):
            raise FormatError(f"{self.path}: recorded as {stream.text}, not as {wanted.text}; leave --format out")
        return stream

    def _alone(self, stream: StreamFormat | None) -> StreamFormat:
        if stream is None:
            raise FormatError(
                f"{self.path}: not a packet recording as `ds2c2 send --to` writes it; packets alone, as a File Sink "
                "writes them, are read with --format"
            )
        size = stream.packet_bytes
        self._first += self._file.read(max(LOOKED_AT, size) - len(self._first))
        first = self._first
        rows = np.frombuffer(first[: len(first) // size * size], np.uint8).reshape(-1, size)
        share = plausible(rows, stream).mean() if len(rows) else 0.0
        if share < LEAST_PLAUSIBLE or (share < PLAUSIBLE and packet_size_in(first) not in (None, size)):
            length = self.path.stat().st_size if self._file.seekable() else 0
            rest = f" ({length} bytes, no whole number of them)" if length % size else ""
            raise FormatError(f"{self.path}: {misfit(first, stream)}{rest}; give the sender's --format")
        return stream

    def __iter__(self) -> Iterator[np.ndarray]:
        size = self.stream.packet_bytes
        with self._file:
            held = self._first
            # What is there: what comes through a pipe is not held back until there is as much as may be.
            while data := self._file.read1(READ_PACKETS * size):
                held += data
                whole = len(held) // size * size
                yield from _pieces(held[:whole], size)
                held = held[whole:]
            whole = len(held) // size * size
            self.torn_bytes = len(held) - whole
            yield from _pieces(held[:whole], size)

    def close(self) -> None:
        """For who does not read it to its end."""
        self._file.close()


def _pieces(data: bytes, size: int) -> Iterator[np.ndarray]:
    """Packets between silences, and an empty piece for each of these."""
    packets = np.frombuffer(data, np.uint8).reshape(-1, size)
    begin = 0
    for place in np.flatnonzero(~packets.any(axis=1)).tolist():
        if place > begin:
            yield packets[begin:place]
        yield packets[place:place]
        begin = place + 1
    if begin < len(packets):
        yield packets[begin:]
