# SPDX-License-Identifier: GPL-3.0-or-later
"""Still pictures one after the other, and folders that grow."""

import time
from pathlib import Path

from ds2c2.errors import PictureError
from ds2c2.pictures.moving.source import SKIPPED, MovingSource, Shot
from ds2c2.pictures.pictures import pictures_below, read_picture

LOOK_SECONDS = 0.2  # between two looks at a folder
# A file that cannot be read is tried again until it has not changed for so long: somebody may still write it.
SETTLE_SECONDS = 2.0


class StillPictures(MovingSource):
    """Picture files, among films. A bad one is skipped and said unless it is named itself, or ``strict``."""

    def __init__(self, paths: list[tuple[Path, bool]], strict: bool = False):
        super().__init__()
        self._paths, self._strict, self._place = paths, strict, 0

    def read(self, wait: float) -> Shot | None:
        while self._place < len(self._paths):
            path, named = self._paths[self._place]
            self._place += 1
            try:
                return Shot(read_picture(path))
            except PictureError as error:
                if named or self._strict:
                    raise
                self.problems.append(f"{SKIPPED}{error}")
        return None

    @property
    def ended(self) -> bool:
        return self._place >= len(self._paths)

    def rewind(self) -> bool:
        self._place = 0
        return True


class GrowingFolder(MovingSource):
    """The pictures of a folder in the order in which they were written, those that are there first; never ends.

    A picture that is still being written is waited for. One that cannot be read is skipped and said, or with
    ``strict`` raised.
    """

    endless = True
    ended = False

    def __init__(self, folder: Path, strict: bool = False):
        super().__init__()
        self.folder, self._strict = folder, strict
        self._done: set[Path] = set()

    def read(self, wait: float) -> Shot | None:
        until = time.monotonic() + wait
        while True:
            for path in self._new():
                try:
                    shot = Shot(read_picture(path))
                except PictureError as error:
                    if not self._settled(path):
                        # Those behind it wait: pictures keep their order.
                        break
                    if self._strict:
                        raise
                    self.problems.append(f"{SKIPPED}{error}")
                else:
                    self._done.add(path)
                    return shot
                self._done.add(path)
            left = until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, LOOK_SECONDS))

    def _new(self) -> list[Path]:
        """Pictures that were not read yet, the oldest first."""
        found = []
        for path in pictures_below(self.folder):
            if path not in self._done:
                try:
                    found.append((path.stat().st_mtime_ns, path))
                except OSError:
                    pass  # gone again
        return [path for _, path in sorted(found)]

    @staticmethod
    def _settled(path: Path) -> bool:
        try:
            return time.time() - path.stat().st_mtime > SETTLE_SECONDS
        except OSError:
            return True
