# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of a command or of a block name: still pictures, or one of the sources that move."""

import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from ds2c2.errors import PictureError
from ds2c2.files import is_pipe, waiting_line
from ds2c2.pictures.moving import film
from ds2c2.pictures.moving.film import Film
from ds2c2.pictures.moving.folder import GrowingFolder, StillPictures
from ds2c2.pictures.moving.piped import PipedPictures
from ds2c2.pictures.moving.source import MovingSource, Shot
from ds2c2.pictures.pictures import check_sources, find_pictures, matching

STANDARD_INPUT = "-"


def is_address(name: str) -> bool:
    """``rtsp://camera/stream`` and the like."""
    return "://" in name and urlsplit(name).scheme.lower() in film.SCHEMES


def is_camera(name: str) -> bool:
    """A character device: ``/dev/video0``, there or not."""
    if name.startswith("/dev/video"):
        return True
    try:
        return stat.S_ISCHR(Path(name).stat().st_mode)
    except (OSError, ValueError):
        return False


def waiting_lines(names: Sequence[str]) -> list[str]:
    """What is to be said before a source is opened that gives nothing until somebody writes."""
    lines = [line for name in names if (line := waiting_line(name, "pictures"))]
    if STANDARD_INPUT in names and sys.stdin and sys.stdin.isatty():
        lines.append("standard input: waiting for pictures")
    return lines


def is_film(name: str) -> bool:
    """A video file or a glob of them, by its suffix; a folder never is one."""
    return Path(name).suffix.lower() in film.SUFFIXES and not Path(name).expanduser().is_dir()


def moves(names: Sequence[str]) -> bool:
    """Whether any of these is more than files of still pictures."""
    return any(
        name == STANDARD_INPUT or is_address(name) or is_camera(name) or is_film(name) or is_pipe(name)
        for name in names
    )


def check_names(names: Sequence[str]) -> None:
    """Raises ``PictureError`` for what is not there, as far as that is known without opening anything."""
    for name in names:
        if name == STANDARD_INPUT or is_address(name) or is_pipe(name):
            continue
        if is_camera(name):
            _check_there(name)
        elif is_film(name):
            _films(name)
        else:
            _check_scheme(name)
            check_sources([name])


def check_folder(names: Sequence[str]) -> None:
    """Raises ``PictureError`` for what cannot be followed."""
    if len(names) != 1 or not Path(names[0]).expanduser().is_dir():
        raise PictureError(f"{' '.join(names)}: one folder can be followed, and nothing else; give its name")


def open_sources(names: Sequence[str], follow: bool = False, strict: bool = False) -> MovingSource:
    """All of them, one after the other. ``follow``: the one folder that is named grows. Raises ``PictureError``,
    and ``UserError`` where a package is missing."""
    if follow:
        check_folder(names)
        return GrowingFolder(Path(names[0]).expanduser(), strict)
    parts: list[MovingSource] = []
    for name in names:
        if name == STANDARD_INPUT:
            parts.append(PipedPictures(sys.stdin.buffer))
        elif is_pipe(name):
            parts.append(PipedPictures(_opened(name), name))
        elif is_camera(name):
            _check_there(name)
            parts.append(Film(name, camera=True))
        elif is_address(name):
            parts.append(Film(name))
        elif is_film(name):
            parts += [Film(str(path)) for path in _films(name)]
        else:
            _check_scheme(name)
            parts.append(StillPictures(find_pictures([name]), strict))
    return parts[0] if len(parts) == 1 else OneAfterTheOther(parts)


def _opened(name: str) -> BinaryIO:
    """A pipe, once somebody writes. Raises ``PictureError``."""
    try:
        return Path(name).expanduser().open("rb")
    except OSError as error:
        raise PictureError(f"{name}: cannot be read ({error.strerror}); name another pipe") from None


def _check_there(name: str) -> None:
    if not Path(name).exists():
        raise PictureError(f"{name}: no such camera; `ls /dev/video*` shows those there are")


def _check_scheme(name: str) -> None:
    if "://" in name:
        raise PictureError(f"{name}: not an address that is known; write {', '.join(film.SCHEMES)}://…")


def _films(name: str) -> list[Path]:
    paths = sorted(matching(name, film.SUFFIXES))
    if not paths:
        raise PictureError(f"{name}: no such film; give a file, a camera, an address, or - for the standard input")
    return paths


class OneAfterTheOther(MovingSource):
    """Several sources in a row, as fast as the fastest of them; live as soon as one is."""

    def __init__(self, parts: list[MovingSource]):
        super().__init__()
        self._parts, self._place, self._before, self._last = parts, 0, 0.0, 0.0
        self.rate = max(part.rate for part in parts)
        self.live = any(part.live for part in parts)
        self.endless = any(part.endless for part in parts)

    def read(self, wait: float) -> Shot | None:
        while self._place < len(self._parts):
            part = self._parts[self._place]
            shot = part.read(wait)
            if shot is not None:
                # Time goes on where the one before has ended.
                self._last = self._before + shot.seconds
                return Shot(shot.picture, self._last)
            if not part.ended:
                return None
            self.problems += part.problems
            part.problems = []
            self._place += 1
            self._before = self._last + (1.0 / part.rate if part.rate else 0.0)
        return None

    @property
    def ended(self) -> bool:
        return self._place >= len(self._parts)

    def rewind(self) -> bool:
        if not all([part.rewind() for part in self._parts]):
            return False
        self._place, self._before, self._last = 0, 0.0, 0.0
        return True

    def close(self) -> None:
        for part in self._parts:
            part.close()
            self.problems += part.problems
            part.problems = []
