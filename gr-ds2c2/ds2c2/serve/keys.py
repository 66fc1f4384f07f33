# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of hosts that meet over a network: CURVE certificates (ZeroMQ RFC 26) in the files of pyzmq and czmq."""

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from zmq.auth import create_certificates, load_certificate

from ds2c2.errors import LinkError
from ds2c2.files import no_room, part_of, unwritable

PUBLIC, SECRET = ".key", ".key_secret"
KEY_LENGTH = 40  # characters of a key in Z85 (ZeroMQ RFC 32)


@dataclass(frozen=True)
class Keys:
    """A host's own pair of keys, Z85 bytes, and the public ones of hosts it knows, by name."""

    folder: Path
    name: str
    public: bytes
    secret: bytes
    others: dict[str, bytes]

    def other(self, name: str = "") -> bytes:
        """The public key of the host of this name, or of the only other one. Raises ``LinkError``."""
        if name and name in self.others:
            return self.others[name]
        known = ", ".join(sorted(self.others)) or "none"
        if name:
            raise LinkError(f"{self.folder / name}{PUBLIC}: no such key; known: {known}")
        if len(self.others) != 1:
            raise LinkError(f"{self.folder}: which of the keys is the GPU host's? say --peer NAME; known: {known}")
        return next(iter(self.others.values()))


def make_keys(folder: str | Path, name: str) -> tuple[Path, Path]:
    """Write a new pair, ``NAME.key`` to give away and ``NAME.key_secret``, readable by its owner only.
    Raises ``LinkError`` rather than replace one."""
    folder = Path(folder)
    if not name or not all(letter.isalnum() or letter in "-_." for letter in name) or name.startswith("."):
        raise LinkError(f"{name!r} is no name for a key: letters, digits and ._- are")
    public, secret = folder / f"{name}{PUBLIC}", folder / f"{name}{SECRET}"
    # Never for a moment readable by others.
    before = os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Made aside and then named, the secret one first: who was killed between finds the other half here.
        made = part_of(folder / name)
        if secret.exists() and not public.exists() and (made / public.name).is_file():
            os.replace(made / public.name, public)
            shutil.rmtree(made, ignore_errors=True)
            return public, secret
        shutil.rmtree(made, ignore_errors=True)
        if there := sorted(folder.glob(f"*{SECRET}")):
            raise LinkError(f"{there[0]}: there already is a secret key; a host has one, choose another folder")
        if public.exists():
            raise LinkError(f"{public}: is there already, another host's; choose another name")
        made.mkdir()
        create_certificates(made, name)
        os.replace(made / secret.name, secret)
        os.replace(made / public.name, public)
        made.rmdir()
    except OSError as error:
        shutil.rmtree(part_of(folder / name), ignore_errors=True)
        if no_room(error):
            raise unwritable(folder, error) from None
        raise LinkError(f"{folder}: no place for keys ({error.strerror})") from None
    finally:
        os.umask(before)
    return public, secret


def load_keys(folder: str | Path) -> Keys:
    """The pair and the other hosts' public keys in a folder. Raises ``LinkError``."""
    folder = Path(folder)
    secrets = sorted(folder.glob(f"*{SECRET}"))
    if len(secrets) != 1:
        found = "no secret key" if not secrets else f"{len(secrets)} secret keys"
        raise LinkError(f"{folder}: {found} there, one is wanted; `ds2c2 serve keys NAME --out {folder}` makes one")
    (path,) = secrets
    name = path.name.removesuffix(SECRET)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise LinkError(f"{path}: others can read it; `chmod 600 {path}`, or make a new one if they may have")
    public, secret = _load(path)
    if secret is None:
        raise LinkError(f"{path}: holds no secret key")
    others = {
        other.name.removesuffix(PUBLIC): _load(other)[0]
        for other in sorted(folder.glob(f"*{PUBLIC}"))
        if other.name != f"{name}{PUBLIC}"
    }
    if not others:
        raise LinkError(f"{folder}: no other host's key there; copy the .key file of the host at the other end into it")
    return Keys(folder, name, public, secret, others)


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = load_certificate(path)
        if any(len(key) != KEY_LENGTH for key in (public, secret) if key is not None):
            raise ValueError
    except (OSError, ValueError):
        raise LinkError(f"{path}: not a key file; `ds2c2 serve keys` writes them") from None
    return public, secret
