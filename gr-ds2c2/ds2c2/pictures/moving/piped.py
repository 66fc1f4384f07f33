# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures from a pipe, the standard input or one with a name: PNG and JPEG one behind the other (MJPEG), and what PyAV
knows (Y4M)."""

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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
MP4 = b"ftyp"  # of ISO/IEC 14496-12's first box, behind the four bytes of its length
WANTED = "give PNG, JPEG, MJPEG or Y4M"
# JPEG (ITU-T T.81, table B.1): markers without a length, and those that end a scan's data.
STANDING_ALONE = {0x01, *range(0xD0, 0xD9)}
WITHIN_SCAN = {0x00, *range(0xD0, 0xD8)}
START_OF_IMAGE, START_OF_SCAN, END_OF_IMAGE = 0xD8, 0xDA, 0xD9


class Torn(Exception):
    """What began as a picture is none; ``Bytes.mark`` is where the next may begin."""


class Bytes:
    """Bytes of a stream, looked at before they are taken. Raises ``EOFError`` behind the last one."""

    def __init__(self, stream: BinaryIO):
        self._stream, self._held = stream, bytearray()
        self.place = 0  # of what is read next, from the first byte that is not taken
        self.mark = 0  # up to there nothing else begins

    def peek(self, count: int) -> bytes:
        """So many bytes from ``place``, fewer at the end."""
        while len(self._held) < self.place + count:
            # What is there, not as much as is asked for: a camera's pipe must not hold a picture back.
            piece = self._stream.read1(READ_BYTES) if hasattr(self._stream, "read1") else self._stream.read(READ_BYTES)
            if not piece:
                break
            self._held += piece
            if len(self._held) > MOST_BYTES:
                raise Torn
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
        self.place = self.mark = 0
        return taken

    def pass_over(self) -> int:
        """Drop what is before the next PNG or JPEG, at least what is before ``mark``; how many bytes."""
        passed, self.place = 0, max(1, self.mark)
        while True:
            starts = [found for sign in (PNG, JPEG) if (found := self._held.find(sign, self.place)) >= 0]
            if starts:
                self.place = min(starts)
                return passed + len(self.take())
            # The beginning of one may stand at the end.
            self.place = max(self.place, len(self._held) - len(PNG) + 1)
            passed += len(self.take())
            if len(self.peek(len(PNG))) < len(PNG) and not self._held.find(JPEG) >= 0:
                self.place = len(self._held)
                return passed + len(self.take())

    def rest(self) -> BinaryIO:
        """All that is left, as a stream, which is the first one where that can go back."""
        if self._stream.seekable():
            self._stream.seek(-len(self._held), io.SEEK_CUR)
            return self._stream
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
    """A PNG, up to the chunk that ends it, each with its CRC (W3C PNG, 5.3). Raises ``Torn``."""
    data.read(len(PNG))
    while True:
        data.mark = data.place
        head = data.read(8)
        length = int.from_bytes(head[:4], "big")
        if not head[4:].isalpha() or length > MOST_BYTES:
            raise Torn
        content = data.read(length)
        if zlib.crc32(content, zlib.crc32(head[4:])) != int.from_bytes(data.read(4), "big"):
            raise Torn
        if head[4:] == b"IEND":
            return data.take()


def _jpeg(data: Bytes) -> bytes:
    """A JPEG, segment by segment up to the marker that ends it: thumbnails within have such markers too. Raises
    ``Torn`` where another begins before that."""
    data.read(2)
    while True:
        # Markers stand behind each other; else a length was wrong, and what it has passed over is looked through.
        if data.peek(1) not in (b"", b"\xff"):
            raise Torn
        data.mark = data.place
        data.to(0xFF)
        while (marker := data.read(1)[0]) == 0xFF:
            pass
        if marker == END_OF_IMAGE:
            return data.take()
        if marker == START_OF_IMAGE:
            raise Torn
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
    """The pictures of a stream of bytes. What is neither PNG nor JPEG is read by PyAV, as a film. Among PNG and JPEG
    what is damaged and bytes that are none are passed over, and said.

    Raises ``PictureError`` where nothing comes, and for what is no picture.
    """

    endless = True

    def __init__(self, stream: BinaryIO, name: str = NAME):
        super().__init__()
        self.name, self._stream = name, stream
        self._data, self._ended, self.read_so_far = Bytes(stream), False, 0
        self._film: Film | None = None
        start = self._data.peek(LONGEST_START)
        if not start:
            raise PictureError(f"{name}: nothing came; {WANTED}")
        self._remedy = f"a pipe takes PNG, JPEG, MJPEG and Y4M; {WANTED}, or the name of a file"
        if start[4:8] == MP4:
            self._remedy = (
                "an MP4 whose index is at its end cannot be piped; give the file's name, or put the index first "
                "(ffmpeg -i IN.mp4 -c copy -movflags +faststart OUT.mp4)"
            )
        if not start.startswith((PNG, JPEG)):
            kind = "yuv4mpegpipe" if start.startswith(Y4M) else None
            with self._of_a_pipe():
                self._film = Film(name, stream=self._data.rest(), kind=kind)
            self.rate = self._film.rate
        self._shots = self._pictures()

    @contextmanager
    def _of_a_pipe(self) -> Iterator[None]:
        """What PyAV cannot read may be readable, but not from a pipe."""
        try:
            yield
        except PictureError as error:
            raise PictureError(f"{str(error).partition('; give')[0]}; {self._remedy}") from None

    def _pictures(self) -> Iterator[Shot]:
        while start := self._data.peek(len(PNG)):
            cut = _png if start.startswith(PNG) else _jpeg if start.startswith(JPEG) else None
            if cut is None:
                passed = self._data.pass_over()
                self.problems.append(
                    f"{self.name}: {self.read_so_far} pictures, and behind them {passed} bytes that are none, "
                    "passed over"
                )
                continue
            try:
                picture = cut(self._data)
            except (EOFError, Torn) as error:
                passed = self._data.pass_over()
                if isinstance(error, EOFError) and not self._data.peek(1):
                    self.problems.append(f"{self.name}: ends within a picture, after {self.read_so_far} whole ones")
                    return
                self.problems.append(
                    f"{self.name}: {self.read_so_far} pictures, and behind them a damaged one, {passed} bytes passed "
                    "over"
                )
                continue
            try:
                yield Shot(decode_picture(io.BytesIO(picture), f"{self.name}, picture {self.read_so_far + 1}"))
            except PictureError as error:
                self.problems.append(str(error))

    def read(self, wait: float) -> Shot | None:
        if self._film:
            with self._of_a_pipe() if not self.read_so_far else nullcontext():
                shot = self._film.read(wait)
        else:
            shot = next(self._shots, None)
        if shot is not None:
            self.read_so_far += 1
        elif not self._film:
            self._ended = True
            if not self.read_so_far:
                reason = f" ({self.problems[-1]})" if self.problems else ""
                raise PictureError(f"{self.name}: no picture came{reason}; {WANTED}")
        return shot

    @property
    def ended(self) -> bool:
        return self._film.ended if self._film else self._ended

    def close(self) -> None:
        if self._film:
            self.problems += self._film.problems
            self._film.close()
            self._film.problems = []
        if self.name != NAME:
            self._stream.close()
