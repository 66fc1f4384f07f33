# SPDX-License-Identifier: GPL-3.0-or-later
"""Video files, cameras and addresses, by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ds2c2.errors import PictureError, UserError
from ds2c2.pictures.moving.source import MovingSource, Shot

if TYPE_CHECKING:
    import av

SUFFIXES = (
    ".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".ogv", ".flv", ".wmv",
    ".3gp", ".y4m", ".mjpeg", ".mjpg", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf",
)  # fmt: skip
SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "srt", "rtp", "tcp", "udp")
OPEN_SECONDS, READ_SECONDS = 15.0, 10.0  # that an address may take to answer, and then between two pieces
CAMERA = "v4l2"  # FFmpeg's name of Video4Linux
QUARTER = 90  # degrees


def check_av(what: str) -> None:
    """Raises ``UserError`` where PyAV is not there."""
    if find_spec("av") is None:
        raise UserError(f"{what}: video needs the package av, which is not installed: pip install 'gr-ds2c2[video]'")


class Film(MovingSource):
    """The pictures of a film in the order in which they are shown.

    Args:
        name: a file, ``/dev/video0`` or an address, or what a stream is called
        camera: it is a camera
        stream: bytes to be read instead of the name
        kind: FFmpeg's name of the stream's format, where it need not be guessed

    Raises ``PictureError`` for what holds no video, ``UserError`` without PyAV.
    """

    def __init__(self, name: str, camera: bool = False, stream: BinaryIO | None = None, kind: str | None = None):
        super().__init__()
        check_av(name)
        import av

        # FFmpeg writes of every torn packet on its own.
        av.logging.set_level(av.logging.PANIC)
        logging.getLogger("libav").setLevel(logging.CRITICAL)
        self.name = name
        self._rewindable = stream is None and not camera and "://" not in name
        self._container: av.container.InputContainer | None = None
        self._settings = {"format": CAMERA if camera else kind}
        if "://" in name:
            self._settings["timeout"] = (OPEN_SECONDS, READ_SECONDS)
        if name.startswith("rtsp"):
            self._settings["options"] = {"rtsp_transport": "tcp"}
        self._from = stream if stream is not None else name
        self.read_so_far = 0
        self._ended = False
        self._open()
        rate = self._video.average_rate or self._video.guessed_rate
        self.rate = float(rate) if rate and rate > 0 else 0.0
        # An address that knows how long it is serves a file.
        self.live = camera or (stream is None and "://" in name and self._container.duration is None)
        self.endless = self.live or stream is not None

    def _open(self) -> None:
        import av

        try:
            self._container = av.open(self._from, **self._settings)
        except (av.FFmpegError, OSError, ValueError) as error:
            words = f"cannot be opened as video ({_reason(error)})"
            raise PictureError(f"{self.name}: {words}; give a film, a camera or an address of one") from None
        if not self._container.streams.video:
            self.close()
            raise PictureError(f"{self.name}: holds no video; give a film, a camera or an address of one")
        self._video = self._container.streams.video[0]
        self._video.thread_type = "AUTO"
        self._shots = self._decode()

    def _decode(self) -> Iterator[Shot]:
        import av

        first = None
        try:
            for frame in self._container.decode(self._video):
                if first is None:
                    first = frame.time or 0.0
                yield Shot(_upright(frame), (frame.time or first) - first)
        except (av.FFmpegError, OSError) as error:
            if not self.read_so_far:
                raise PictureError(f"{self.name}: no picture can be decoded ({_reason(error)})") from None
            if not isinstance(error, EOFError):
                self.problems.append(f"{self.name}: ends after {self.read_so_far} pictures ({_reason(error)})")

    def read(self, wait: float) -> Shot | None:
        shot = next(self._shots, None)
        if shot is None:
            self._ended = True
            if not self.read_so_far:
                raise PictureError(f"{self.name}: holds no picture; give a film, a camera or an address of one")
        else:
            self.read_so_far += 1
        return shot

    @property
    def ended(self) -> bool:
        return self._ended

    def rewind(self) -> bool:
        if not self._rewindable:
            return False
        self.close()
        self._open()
        self._ended = False
        return True

    def close(self) -> None:
        if self._container is not None:
            # What a broken file leaves is no concern of who has read it.
            with contextlib.suppress(Exception):
                self._container.close()
            self._container = None


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """``uint8[H, W, 3]``, turned as a telephone held it, with square pixels."""
    width, height = frame.width, frame.height
    aspect = frame.sample_aspect_ratio if hasattr(frame, "sample_aspect_ratio") else None
    if aspect and aspect > 0 and aspect != 1:
        width = max(1, round(width * float(aspect)))
    picture = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    turns = round(getattr(frame, "rotation", 0) / QUARTER) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
