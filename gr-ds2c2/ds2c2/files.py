# SPDX-License-Identifier: GPL-3.0-or-later
"""Files: where those lie that come with the program, and writing so that a file is whole or not there."""

import errno
import hashlib
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path

from ds2c2.errors import FileError

# What a reader has to say that is no error. Python prints it on the standard error where nobody takes it.
_log = logging.getLogger("ds2c2")

# Names a folder of models that goes before those that are shipped.
MODELS_VARIABLE = "DS2C2_MODELS"
PACKAGE = Path(__file__).resolve().parent
# In a checkout the library lies in gr-ds2c2/ds2c2/, with the module's other parts beside it.
_MODULE = PACKAGE.parent if PACKAGE.parent.name == "gr-ds2c2" else None
# What a write fails with where there is no more room: full disk, quota, the process's own limit.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def shipped_folders(name: str) -> list[Path]:
    """Folders that may hold shipped ``models``, ``recipes`` or ``grc``: the checkout's (there
    beside the module or at its top), then the installation's. None need exist."""
    checkout = [_MODULE / name, _MODULE.parent / name] if _MODULE else []
    return [*checkout, PACKAGE / name]


def sha256_of(path: str | Path) -> str:
    """A file's SHA-256, hexadecimal; empty where there is no such file. Raises ``OSError`` where it cannot be read."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if Path(path).is_file() else ""


def part_of(path: str | Path) -> Path:
    """Where a file is written before it is whole: hidden, beside it. What a killed process leaves there the
    next try replaces."""
    path = Path(path)
    return path.with_name(f".{path.name}.part")


def is_file(path: str | Path) -> bool:
    """Whether there is a file, for names from anywhere: none whose name is too long, or in a folder that is closed to
    us, where ``Path.is_file`` raises."""
    return os.path.isfile(path)


def missing(path: str | Path) -> str:
    """Words for what is not there: a link may lead in a circle, or to nothing."""
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads in a circle"
    return "a link that leads nowhere" if os.path.islink(path) else "no such file"


def is_pipe(path: str | Path) -> bool:
    """A named pipe, the shell's ``<(command)`` too."""
    try:
        return stat.S_ISFIFO(Path(path).expanduser().stat().st_mode)
    except (OSError, ValueError):
        return False


def waiting_line(path: str | Path, what: str) -> str:
    """What is to be said before a pipe is opened, which waits until somebody writes; empty where the shell has opened
    it, and for files."""
    opened = str(path).startswith(("/dev/fd/", "/proc/self/fd/")) or str(path) == "/dev/stdin"
    return f"{path}: a pipe; waiting for {what}" if is_pipe(path) and not opened else ""


def announce_pipe(path: str | Path, what: str) -> None:
    """Says ``waiting_line``, if there is one, as a warning of the log ``ds2c2``: to be called before opening."""
    if line := waiting_line(path, what):
        _log.warning("%s", line)


def read_bytes(path: str | Path, what: str, most: int = -1) -> bytes:
    """What a file holds, or a pipe once somebody has written it, which is said; ``most`` bytes of it at most, -1 for
    all. Raises ``OSError``, also for a device, which may have no end."""
    with suppress(ValueError):  # of a name with a 0 in it: said by open
        if stat.S_ISCHR(os.stat(path).st_mode) and not str(path).startswith("/dev/std"):
            raise OSError(errno.EINVAL, "a device and no file")
    announce_pipe(path, what)
    with open(path, "rb") as file:
        return file.read(most)


def no_room(error: OSError) -> bool:
    """The disk, a quota or the process's own limit left no room for a file."""
    return error.errno in _NO_ROOM


def unwritable(path: str | Path, error: OSError) -> FileError:
    """One line for a file that cannot be written, with the remedy."""
    if no_room(error):
        return FileError(f"{path}: no space is left for it ({os.strerror(error.errno)}); make room, then try again")
    return FileError(f"{path}: cannot be written ({error.strerror or error}); choose another place")


def check_free(*paths: str | Path) -> None:
    """Raises ``FileError``, before a run and not after it, where one of its files would replace what is there or
    another of its own, or could not be written. Empty names are none, and nothing is left there."""
    named: dict[str, str | Path] = {}
    for path in filter(None, paths):
        _check_device(path)
        # A link to nothing is something, too.
        if os.path.lexists(path) and not os.path.isdir(path):
            raise FileError(f"{path}: is there already and is kept; choose another name, or remove it")
        check_place(path)
        real = os.path.realpath(path)
        if real in named:
            raise FileError(f"{path}: named twice, as {named[real]} too; choose another name for one of them")
        named[real] = path


def check_place(path: str | Path) -> None:
    """Raises ``FileError``, before a run and not after it, where a file and its folder could not be written. Nothing
    is left there."""
    if not os.fspath(path):
        raise FileError("'': a file that is written needs a name; give one")
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder is there")
        above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
        part = part_of(above / path.name)
        with suppress(FileExistsError):  # somebody's who is writing there, or was killed: it can be written
            part.touch(exist_ok=False)
            part.unlink()
    except OSError as error:
        raise unwritable(path, error) from None


def check_folder(path: str | Path) -> None:
    """Raises ``FileError``, before a run and not after it, where there is no folder and none could be made. Nothing is
    left there."""
    if os.path.isdir(path):
        return
    if os.path.lexists(path):
        raise unwritable(path, FileExistsError(errno.EEXIST, "it is no folder"))
    check_place(path)


def _check_device(path: str | Path) -> None:
    """Raises ``FileError`` for a pipe or a device, /dev/null say, whose place a file would take."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise FileError(f"{path}: a pipe or device and no file; choose another name")


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A path to write to; what stands there in the end takes the place of ``path``, or nothing does.

    Raises ``FileError`` for an ``OSError`` within; for that and for any other error, an interrupt included,
    nothing is left behind.
    """
    target, part = Path(path), part_of(path)
    _check_device(target)
    try:
        yield part
        os.replace(part, target)
    except OSError as error:
        raise unwritable(target, error) from None
    finally:
        try:
            part.unlink(missing_ok=True)
        except OSError:
            pass  # the folder itself is no folder, or gone


def write_bytes(path: str | Path, data: bytes | memoryview) -> Path:
    """Write a file whole or not at all; returns its path. Raises ``FileError``."""
    with whole(path) as part:
        part.write_bytes(data)
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """The same for text, UTF-8. Raises ``FileError``."""
    return write_bytes(path, text.encode())


@contextmanager
def kept_if_used(folder: str | Path) -> Iterator[None]:
    """Takes back, however it ends, the folder that was made meanwhile, and those above it, as far as they are empty; an
    empty name is none."""
    place = Path(folder).absolute()
    made = [one for one in (place, *place.parents) if not one.exists()] if folder else []
    try:
        yield
    finally:
        with suppress(OSError):
            for one in made:
                one.rmdir()


def make_folder(path: str | Path) -> Path:
    """A folder and those above it. Raises ``FileError``."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise unwritable(path, FileExistsError(errno.EEXIST, "it is no folder")) from None
    except OSError as error:
        raise unwritable(path, error) from None
    return Path(path)


def distinct(names: Iterable[str]) -> list[str]:
    """The names, those that were there before with a number: ``a``, ``a-2``, ``a-3``."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        found.append(next(one for one in chain([name], numbered) if one not in found))
    return found
