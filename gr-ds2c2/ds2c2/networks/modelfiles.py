# SPDX-License-Identifier: GPL-3.0-or-later
"""Where weights lie, what names them and what they say of themselves: no torch is loaded."""

import functools
import hashlib
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ds2c2.errors import FileError, FormatError, WeightsError
from ds2c2.files import MODELS_VARIABLE, is_file, shipped_folders
from ds2c2.networks.profiles import PROFILES
from ds2c2.stream.streamformat import DIGEST_HEX, WEIGHTS_SUFFIX, StreamFormat

SUFFIX = WEIGHTS_SUFFIX
LFS_POINTER = b"version https://git-lfs"  # how a file begins that git-lfs has not fetched
# By storage. A program that knows only the first would take whole numbers for weights, so they have
# a version of their own, which it refuses.
WEIGHTS_VERSIONS = {"float16": "1", "int8": "2"}
# A file that holds a part of its networks names the weights that have the rest, ``name@digest``.
REST_NOTE = "rest_from"
PART_VERSION = "3"
KNOWN_VERSIONS = (*WEIGHTS_VERSIONS.values(), PART_VERSION)


def models_folders() -> list[Path]:
    """Where a model's name is looked up: $DS2C2_MODELS, the checkout, the installation."""
    named = os.environ.get(MODELS_VARIABLE)
    return [*([Path(named)] if named else []), *shipped_folders("models")]


def check_suffix(out: Path) -> None:
    """Raises ``FileError`` for weights to be written under a name that none are read by."""
    if out.suffix != SUFFIX:
        raise FileError(f"--out {out}: weights end in {SUFFIX}; choose such a name")


def find_weights(model: str | Path) -> Path:
    """A model's name (``binary``) or a path to the file. Raises ``WeightsError``."""
    path = Path(model)
    if path.suffix == SUFFIX or path.parent != Path("."):
        if is_file(path):
            return path
        raise WeightsError(f"{model}: no such weights; train some with `ds2c2 train`, or use a name from models/")
    for folder in models_folders():
        if is_file(folder / f"{model}{SUFFIX}"):
            return folder / f"{model}{SUFFIX}"
    known = sorted({p.stem for folder in models_folders() for p in folder.glob(f"*{SUFFIX}")})
    raise WeightsError(
        f"model {model!r} is unknown: no {model}{SUFFIX} in {models_folders()[0]}; "
        f"known: {', '.join(known) or 'none'}; or set {MODELS_VARIABLE}, or give a path"
    )


def weights_digest(model: str | Path) -> str:
    """SHA-256 of the weights file, hexadecimal: both ends must hold the same."""
    path = find_weights(model)
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


# Companion asks again at every change of a flowgraph.
@functools.lru_cache(maxsize=32)
def _digest(path: Path, written: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pinned(stream: StreamFormat) -> StreamFormat:
    """The format with its weights' digest, as packets carry it. Raises ``WeightsError``."""
    return stream if stream.model_digest else stream.pinned(weights_digest(stream.model_name))


def read_metadata(path: Path) -> dict[str, str]:
    """The file's metadata. Raises ``WeightsError`` when it is truncated or not ours."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(LFS_POINTER)) == LFS_POINTER
        if pointer:
            raise WeightsError(f"{path}: a git-lfs pointer and no weights; `git lfs pull` fetches them")
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: truncated or not a safetensors file ({error}); fetch it again") from None
    profile = metadata.get("profile")
    if profile not in PROFILES:
        raise WeightsError(
            f"{path}: holds profile {profile!r}; this program knows {', '.join(map(repr, PROFILES))}: "
            "update it or choose other weights"
        )
    if metadata.get("version") not in KNOWN_VERSIONS:
        raise WeightsError(
            f"{path}: weights version {metadata.get('version')!r}, this program reads "
            f"{', '.join(map(repr, KNOWN_VERSIONS))}; update the program or take the matching weights"
        )
    return metadata


def weights_profile(model: str | Path) -> str:
    """The profile of a model's weights, one of ``PROFILES``. Raises ``WeightsError``."""
    return read_metadata(find_weights(model))["profile"]


def sending_part(model: str | Path) -> str:
    """First digits of the digest of the weights that have a model's encoder: its own, or those that
    a partial file goes with. Models of one encoder send the same. Raises ``WeightsError``."""
    rest_from = read_metadata(find_weights(model)).get(REST_NOTE)
    return rest_from.partition("@")[2] if rest_from else weights_digest(model)[:DIGEST_HEX]


def agreed_digest(stream: StreamFormat, render: str = "", weights: str | Path | None = None) -> str:
    """SHA-256 of a stream's weights, hexadecimal, where both ends can go with them.

    ``weights`` is their file, where it is not to be looked up by the model's name; ``render`` other weights of
    the same encoder. Raises ``WeightsError`` for weights of another digest than the format names, and for a
    ``render`` that cannot read what they send.
    """
    model = stream.model_name if weights is None else weights
    digest = weights_digest(model)
    if stream.model_digest not in ("", digest[:DIGEST_HEX]):
        raise WeightsError(
            f"model {stream.model}: the weights here are {stream.model_name}@{digest[:DIGEST_HEX]}; "
            "both ends need the same file"
        )
    if render and sending_part(render) != sending_part(model):
        raise WeightsError(
            f"render {render}: was not trained from {stream.model_name}@{digest[:DIGEST_HEX]}, so it cannot read what "
            f"that sends; choose weights that `ds2c2 train --objective perceptual` made from {stream.model_name}"
        )
    return digest


def check_interleave(stream: StreamFormat, profile: str) -> None:
    """Raises ``FormatError`` for interleave=bit, which would tear blocks that decode alone."""
    if profile == "coded" and stream.interleave == "bit":
        raise FormatError(
            f"interleave=bit tears the code blocks of model {stream.model_name} (profile coded), which permutes "
            "its symbols itself; use interleave=none, or block to spread bursts over frames"
        )
