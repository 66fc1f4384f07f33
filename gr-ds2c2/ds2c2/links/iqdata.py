# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bytes of a SigMF recording lie: a pair of files, a file that ``core:dataset`` names, or an archive."""

import json
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ds2c2.errors import LinkError
from ds2c2.files import missing

DATA, META, ARCHIVE = ".sigmf-data", ".sigmf-meta", ".sigmf"
# Metadata of a recording: more are no description of samples.
MOST_METADATA = 64 << 20  # bytes


class NotReadable(ValueError):
    """What is wrong with a recording, in words for the user."""


def in_words(error: Exception) -> str:
    """Why a recording cannot be read, for who knows neither Python nor its packages."""
    match error:
        case json.JSONDecodeError():
            return f"its metadata are no JSON, line {error.lineno}"
        case UnicodeDecodeError():
            return "its metadata are no text in UTF-8"
        case RecursionError():
            return "its metadata are nested too deep"
        case NotReadable():
            return str(error)
    # What the schema of SigMF says, where it has been asked.
    message, place = getattr(error, "message", ""), ".".join(map(str, getattr(error, "path", ())))
    return f"{place}: {message}".removeprefix(": ") if message else "its metadata are not as SigMF has them"


def recording_paths(path: str | Path) -> tuple[Path, Path]:
    """Data and metadata file of a recording that is named with either extension or none."""
    path = Path(path)
    stem = path.name.removesuffix(DATA).removesuffix(META)
    return path.with_name(stem + DATA), path.with_name(stem + META)


@dataclass(frozen=True)
class SampleBytes:
    """``size`` bytes of the file ``path`` from ``offset`` on."""

    path: Path
    offset: int
    size: int

    def without(self, before: int, behind: int) -> "SampleBytes":
        """Less what stands before and behind the samples."""
        return replace(self, offset=self.offset + before, size=max(0, self.size - before - behind))

    def read(self, form: np.dtype, first: int, count: int) -> np.ndarray:
        """So many numbers from that one on."""
        return np.fromfile(self.path, form, count, offset=self.offset + first * form.itemsize)


def find_recording(path: str | Path) -> tuple[Path, dict[str, Any], SampleBytes]:
    """The file whose metadata these are, the metadata, and the bytes of the data. Raises ``LinkError`` for what is not
    there, ``ValueError`` and the like for what cannot be read."""
    data, meta = recording_paths(path)
    packed = Path(path) if Path(path).name.endswith(ARCHIVE) else data.with_name(data.name.removesuffix(DATA) + ARCHIVE)
    if not meta.is_file() and packed.is_file():
        return packed, *_unpacked(packed)
    if not meta.is_file():
        raise _missing(meta)
    metadata = json.loads(meta.read_text(encoding="utf-8"))
    named = _dataset(metadata)
    if named and not data.is_file():
        data = meta.with_name(named)
    if not data.is_file():
        raise _missing(data)
    return meta, metadata, SampleBytes(data, 0, data.stat().st_size)


def _missing(path: Path) -> LinkError:
    return LinkError(
        f"{path}: {missing(path)}; a SigMF recording is a pair of {META} and {DATA}, or an archive {ARCHIVE}"
    )


def _dataset(metadata: dict[str, Any]) -> str:
    """The file beside the metadata that ``core:dataset`` names, empty if none. Raises ``NotReadable``."""
    named = metadata["global"].get("core:dataset") or ""
    if named and (Path(named).name != named or "\\" in named or named == ".."):
        raise NotReadable(f"core:dataset {named!r} is no file beside it")
    return named


def _unpacked(path: Path) -> tuple[dict[str, Any], SampleBytes]:
    """Of an archive with one recording; nothing is written. Raises ``NotReadable``."""
    try:
        archive = tarfile.open(path, "r:")
    except tarfile.ReadError:
        raise NotReadable("no tar file; unpack it") from None
    with archive:
        members = {member.name: member for member in archive if member.isfile() and not member.issparse()}
        described = [name for name in members if name.endswith(META)]
        if len(described) != 1:
            raise NotReadable(f"an archive of {len(described)} recordings; unpack it, and name one")
        if members[described[0]].size > MOST_METADATA:
            raise NotReadable("metadata of more than 64 MiB")
        metadata = json.loads(archive.extractfile(members[described[0]]).read())
        folder, stem = described[0].removesuffix(META).rpartition("/")[::2]
        beside = [f"{folder}/{name}" if folder else name for name in (stem + DATA, _dataset(metadata))]
        data = next((members[name] for name in beside if name in members), None)
        if data is None:
            raise NotReadable(f"an archive without {beside[0]}")
        return metadata, SampleBytes(path, data.offset_data, data.size)
