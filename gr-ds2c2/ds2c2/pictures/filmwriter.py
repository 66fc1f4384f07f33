# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures to a film: MP4 with H.264, by PyAV, an optional package."""

from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from ds2c2.errors import UserError
from ds2c2.files import check_free, whole

SUFFIX = ".mp4"
DEFAULT_RATE = 25.0  # frames a second, where nothing says how fast they came
TICKS = 1000  # a second, of frames that come when they come
QUALITY = {"crf": "18", "preset": "veryfast"}  # x264's; what the link lost is not hidden by what the film loses


class FilmWriter:
    """A film that is there whole when it is closed, by a ``with`` that ends or is interrupted, and not at all where
    nothing was written or an error ends it.

    Args:
        path: where nothing may be yet
        width, height: of the pictures; a film's are even, so the last column or row may come twice
        rate: frames a second; None: each comes at the time that ``write`` is given

    Raises ``FileError``, and ``UserError`` without PyAV.
    """

    def __init__(self, path: str | Path, width: int, height: int, rate: float | None = None):
        try:
            import av
        except ImportError:
            raise UserError(
                f"{path}: films need PyAV, which is not installed; pip install 'gr-ds2c2[video]', or write pictures "
                "into a folder"
            ) from None
        self.path = Path(path)
        check_free(self.path)
        self.frames = 0
        self._av = av
        self._rate = rate
        self._last = -1
        self._ended = False
        self._odd = ((0, height % 2), (0, width % 2), (0, 0))
        with ExitStack() as stack:
            part = stack.enter_context(whole(self.path))
            part.touch()  # av would say less of why it cannot
            self._file = av.open(str(part), "w", format="mp4")
            codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
            self._time = Fraction(1, TICKS) if rate is None else 1 / Fraction(rate).limit_denominator(TICKS)
            self._video = self._file.add_stream(codec, rate=Fraction(rate or DEFAULT_RATE).limit_denominator(TICKS))
            self._video.width, self._video.height = width + width % 2, height + height % 2
            self._video.pix_fmt = "yuv420p"
            self._video.codec_context.time_base = self._time
            if codec == "libx264":
                self._video.options = dict(QUALITY)
            self._closing = stack.pop_all()

    def write(self, picture: np.ndarray, seconds: float = 0.0) -> None:
        """Append ``uint8[H, W, 3]``, shown ``seconds`` after the film begins where it has no rate of its own. Raises
        ``FileError``."""
        frame = self._av.VideoFrame.from_ndarray(np.pad(picture, self._odd, mode="edge"), format="rgb24")
        place = self._last + 1
        self._last = place if self._rate is not None else max(place, round(seconds * TICKS))
        frame.pts, frame.time_base = self._last, self._time
        self._file.mux(self._video.encode(frame))
        self.frames += 1

    def finish(self) -> None:
        """End it now, before anybody says that it is there. Raises ``FileError``."""
        self.__exit__(None, None, None)

    def __enter__(self) -> "FilmWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._ended:
            return
        self._ended = True
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        try:
            if self.frames and (kind is None or interrupted):
                self._file.mux(self._video.encode())
                self._file.close()
                self._closing.__exit__(None, None, None)
                return
        except self._av.FFmpegError as failed:
            kind, error, trace = OSError, OSError(failed.errno, failed.strerror), failed.__traceback__
        with suppress(self._av.FFmpegError):
            self._file.close()
        if isinstance(error, self._av.FFmpegError):
            kind, error = OSError, OSError(error.errno, error.strerror)
        # Nothing was written, or it cannot be: either takes the film back.
        self._closing.__exit__(kind or _Nothing, error or _Nothing(), trace)


class _Nothing(Exception):
    """Takes a film back of which there is no frame."""
