# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures from the standard input: PNG and JPEG one behind the other (MJPEG), and what PyAV knows (Y4M)."""

import io
from collections.abc import Iterator
from typing import BinaryIO

from ds2c2.errors import PictureError
from ds2c2.pictures.moving.film import Film
from ds2c2.pictures.moving.source import MovingSource, Shot
from ds2c2.pictures.pictures import decode_picture

NAME = "standard input"
READ_BYTES = 1 << 16
PNG, JPEG, Y4M = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"YUV4MPEG2"
LONGEST_START = len(Y4M)
MOST_BYTES = 256 << 20  # of one picture: what goes on for longer is none
# JPEG (ITU-T T.81, table B.1): markers without a length, and those that end a scan's data.
STANDING_ALONE = {0x01, *range(0xD0, 0xD9)}
WITHIN_SCAN = {0x00, *range(0xD0, 0xD8)}
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9


class Bytes:
    """Bytes of a stream, looked at before they are taken. Raises ``EOFError`` behind the last one."""

    def __init__(self, stream: BinaryIO):
        self._stream, self._held, self._start = stream, bytearray(), 0
        self.place = 0  # of what is read next, from the first byte that is not taken

    def peek(self, count: int) -> bytes:
        """So many bytes from ``place``, fewer at the end."""
        while len(self._held) < self.place + count:
            # What is there, not as much as is asked for: a camera's pipe must not hold a picture back.
            piece = self._stream.read1(READ_BYTES) if hasattr(self._stream, "read1") else self._stream.read(READ_BYTES)
            if not piece:
                break
            self._held += piece
            if len(self._held) > MOST_BYTES:
                raise PictureError(f"{NAME}: a picture without an end after {MOST_BYTES >> 20} MiB; give PNG or JPEG")
        return bytes(self._held[self.place : self.place + count])

    def read(self, count: int) -> bytes:
        data = self.peek(count)
        if len(data) < count:
            raise EOFError
        self.place += count
        return data

    def to(self, sign: int) -> None:
        """Go behind the next byte of this value."""
        while (found := self._held.find(sign, self.place)) < 0:
            self.place = len(self._held)
            if not self.peek(1):
                raise EOFError
        self.place = found + 1

    def take(self) -> bytes:
        """What lies before ``place``, which is the first from then on."""
        taken, self._held = bytes(self._held[: self.place]), self._held[self.place :]
        self.place = 0
        return taken

    def rest(self) -> BinaryIO:
        """All that is left, as a stream."""
        return _Rest(bytes(self._held), self._stream)


class _Rest(io.RawIOBase):
    """A stream with some bytes before it, as PyAV reads one."""

    def __init__(self, before: bytes, stream: BinaryIO):
        self._before, self._stream = before, stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._before:
            piece, self._before = self._before[:size], self._before[size:]
            return piece
        return self._stream.read(size)


def _png(data: Bytes) -> bytes:
    """A PNG, up to the chunk that ends it (W3C PNG, 5.3)."""
    data.read(len(PNG))
    while True:
        head = data.read(8)
        data.read(int.from_bytes(head[:4], "big") + 4)
        if head[4:] == b"IEND":
            return data.take()


def _jpeg(data: Bytes) -> bytes:
    """A JPEG, segment by segment up to the marker that ends it: thumbnails within have such markers too."""
    data.read(2)
    while True:
        data.to(0xFF)
        while (marker := data.read(1)[0]) == 0xFF:
            pass
        if marker == END_OF_IMAGE:
            return data.take()
        if marker in STANDING_ALONE:
            continue
        data.read(int.from_bytes(data.read(2), "big") - 2)
        if marker == START_OF_SCAN:
            while True:
                data.to(0xFF)
                if data.peek(1) and data.peek(1)[0] not in WITHIN_SCAN:
                    data.place -= 1
                    break


class PipedPictures(MovingSource):
    """The pictures of a stream of bytes. What is neither PNG nor JPEG is read by PyAV, as a film.

    Raises ``PictureError`` where nothing comes, and for what is no picture.
    """

    endless = True

    def __init__(self, stream: BinaryIO):
        super().__init__()
        self._data, self._ended, self.read_so_far = Bytes(stream), False, 0
        self._film: Film | None = None
        start = self._data.peek(LONGEST_START)
        if not start:
            raise PictureError(f"{NAME}: nothing came; give PNG, JPEG, MJPEG or Y4M")
        if not start.startswith((PNG, JPEG)):
            kind = "yuv4mpegpipe" if start.startswith(Y4M) else None
            self._film = Film(NAME, stream=self._data.rest(), kind=kind)
            self.rate = self._film.rate
        self._shots = self._pictures()

    def _pictures(self) -> Iterator[Shot]:
        while start := self._data.peek(len(PNG)):
            cut = _png if start.startswith(PNG) else _jpeg if start.startswith(JPEG) else None
            if cut is None:
                self.problems.append(f"{NAME}: {self.read_so_far} pictures, and behind them bytes that are none")
                return
            try:
                picture = cut(self._data)
            except EOFError:
                self.problems.append(f"{NAME}: ends within a picture, after {self.read_so_far} whole ones")
                return
            try:
                yield Shot(decode_picture(io.BytesIO(picture), f"{NAME}, picture {self.read_so_far + 1}"))
            except PictureError as error:
                self.problems.append(str(error))

    def read(self, wait: float) -> Shot | None:
        shot = self._film.read(wait) if self._film else next(self._shots, None)
        if shot is not None:
            self.read_so_far += 1
        elif not self._film:
            self._ended = True
            if not self.read_so_far:
                reason = f" ({self.problems[-1]})" if self.problems else ""
                raise PictureError(f"{NAME}: no picture came{reason}; give PNG, JPEG, MJPEG or Y4M")
        return shot

    @property
    def ended(self) -> bool:
        return self._film.ended if self._film else self._ended

    def close(self) -> None:
        if self._film:
            self.problems += self._film.problems
            self._film.close()
            self._film.problems = []
