# SPDX-License-Identifier: GPL-3.0-or-later
"""Key files: the secret that both ends of a signed stream share. One line, 64 hexadecimal digits."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from ds2c2.errors import LinkError
from ds2c2.files import no_room, part_of, read_bytes, unwritable

KEY_BYTES = 32  # BLAKE2s takes 32 at most
MOST_BYTES = 1024  # of a key file: blanks are allowed, and what has no end is none


def make_key(path: str | Path) -> bytes:
    """Write a new key, readable by its owner only. Raises ``LinkError`` rather than replace a file."""
    key = secrets.token_bytes(KEY_BYTES)
    part = part_of(path)
    try:
        # Never for a moment readable by others, never half under its name, and never over another file.
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{key.hex()}\n")
        os.link(part, path)
    except FileExistsError:
        raise LinkError(f"{path}: is there already, and a key is not replaced; choose another name") from None
    except OSError as error:
        if no_room(error):
            raise unwritable(path, error) from None
        raise LinkError(f"{path}: no place for a key ({error.strerror}); choose another") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return key


def read_key(path: str | Path) -> bytes:
    """The key in a file; no key for no path. Raises ``LinkError``, also when others can read the file."""
    if not path:
        return b""
    try:
        if Path(path).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise LinkError(f"{path}: others can read it; `chmod 600 {path}`, or make a new one if they may have")
        key = bytes.fromhex(read_bytes(path, "a key", MOST_BYTES).decode("ascii"))
        if len(key) != KEY_BYTES:
            raise ValueError
    except OSError as error:
        raise LinkError(f"{path}: cannot be read ({error.strerror}); `ds2c2 key {path}` makes a key") from None
    except ValueError:
        raise LinkError(f"{path}: not a key file; `ds2c2 key` writes them") from None
    return key
