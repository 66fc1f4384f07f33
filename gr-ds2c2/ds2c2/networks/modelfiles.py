# SPDX-License-Identifier: GPL-3.0-or-later
"""Where weights lie and what names them, without reading them: no torch is loaded."""

import hashlib
import os
from pathlib import Path

from ds2c2.errors import WeightsError
from ds2c2.files import MODELS_VARIABLE, shipped_folders
from ds2c2.stream.streamformat import StreamFormat

SUFFIX = ".safetensors"


def models_folders() -> list[Path]:
    """Where a model's name is looked up: $DS2C2_MODELS, the checkout, the installation."""
    named = os.environ.get(MODELS_VARIABLE)
    return [*([Path(named)] if named else []), *shipped_folders("models")]


def find_weights(model: str | Path) -> Path:
    """A model's name (``binary``) or a path to the file. Raises ``WeightsError``."""
    path = Path(model)
    if path.suffix == SUFFIX or path.parent != Path("."):
        if path.is_file():
            return path
        raise WeightsError(f"{model}: no such weights; train some with `ds2c2 train`, or use a name from models/")
    for folder in models_folders():
        if (folder / f"{model}{SUFFIX}").is_file():
            return folder / f"{model}{SUFFIX}"
    known = sorted({p.stem for folder in models_folders() for p in folder.glob(f"*{SUFFIX}")})
    raise WeightsError(
        f"model {model!r} is unknown: no {model}{SUFFIX} in {models_folders()[0]}; "
        f"known: {', '.join(known) or 'none'}; or set {MODELS_VARIABLE}, or give a path"
    )


def weights_digest(model: str | Path) -> str:
    """SHA-256 of the weights file, hexadecimal: both ends must hold the same."""
    return hashlib.sha256(find_weights(model).read_bytes()).hexdigest()


def pinned(stream: StreamFormat) -> StreamFormat:
    """The format with its weights' digest, as packets carry it. Raises ``WeightsError``."""
    return stream if stream.model_digest else stream.pinned(weights_digest(stream.model_name))
