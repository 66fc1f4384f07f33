# SPDX-License-Identifier: GPL-3.0-or-later
"""What a long measurement has finished, so that a killed run goes on: a line of JSON a unit.

The first line says what kind of measurement it is and its settings; another run in the same folder
must have the same.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ds2c2.errors import UserError
from ds2c2.files import make_folder, unwritable

PROGRESS = "progress.jsonl"


@dataclass(frozen=True)
class ProgressFile:
    """A folder's progress.

    Args:
        folder: that the results go to
        kind: what the first line says, with the version of its shape
        noun: what the measurement is called in its errors
        error: their class
    """

    folder: Path
    kind: str
    noun: str
    error: type[UserError] = UserError

    @property
    def path(self) -> Path:
        return self.folder / PROGRESS

    def read(self) -> tuple[dict | None, list[dict], int]:
        """Settings, finished units and how many bytes of the file are whole lines; what a kill left
        half-written at the end does not count. Raises the error for another kind of file."""
        data = self.path.read_bytes() if self.path.is_file() else b""
        lines, whole = [], 0
        for line in data.splitlines(keepends=True):
            try:
                if not line.endswith(b"\n"):
                    break
                lines.append(json.loads(line))
            except (ValueError, RecursionError):
                break
            whole += len(line)
        other = self.error(f"{self.path}: not a {self.noun}'s progress; choose another --out")
        if not lines:
            if data.strip() and not data.startswith(b'{"kind"'):
                raise other
            return None, [], 0
        if not isinstance(lines[0], dict) or lines[0].get("kind") != self.kind:
            raise other
        return lines[0]["settings"], lines[1:], whole

    def compare(self, begun: dict, asked: dict) -> None:
        """Raises the error, naming the first setting in which the folder differs."""
        for key in asked:
            if begun.get(key) != asked[key]:
                if key == "pictures":
                    differs = f"{len(begun.get(key, []))} pictures, now {len(asked[key])}, or others"
                else:
                    differs = f"{key} {begun.get(key)}, now {asked[key]}"
                raise self.error(f"{self.folder} was begun with {differs}; use the same settings or another --out")

    @contextlib.contextmanager
    def opened(self, settings: dict) -> Iterator[tuple[list[dict], Callable[[dict], None]]]:
        """The finished units and a way to add one, for one run at a time; the folder is made.

        Raises the error for a folder that cannot be made, is in use, or was begun with others.
        """
        begun, _, _ = self.read()
        if begun is not None:
            self.compare(begun, settings)
        make_folder(self.folder)
        try:
            # Unbuffered: what does not fit is said by the write and not by the end.
            opened = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed below
        except OSError as error:
            raise unwritable(self.path, error) from None
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise self.error(f"{self.folder}: another {self.noun} is writing there; choose another --out") from None

            def add(entry: dict) -> None:
                line = memoryview(json.dumps(entry, allow_nan=False).encode() + b"\n")
                try:
                    while len(line):
                        line = line[file.write(line) :]
                    os.fsync(file.fileno())
                except OSError as error:
                    raise unwritable(self.path, error) from None

            begun, finished, whole = self.read()
            os.truncate(self.path, whole)
            if begun is None:
                add({"kind": self.kind, "settings": settings})
            yield finished, add
