# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints of runs: files of torch's, whole or not there."""

import io
from pathlib import Path
from typing import Any

import torch

from ds2c2.errors import WeightsError
from ds2c2.files import make_folder, write_bytes


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint whose resumption gives what the unbroken run would give. Raises ``FileError``."""
    make_folder(path.parent)
    # In memory first: a full disk inside torch.save is an error of torch's own, a page long.
    data = io.BytesIO()
    torch.save(state, data)
    write_bytes(path, data.getbuffer())


def load_checkpoint(path: Path, wanted: set[str], what: str, device: torch.device) -> dict[str, Any]:
    """The state in a checkpoint that has all ``wanted`` keys; ``what`` it is of, in words.

    Raises ``WeightsError`` for another file.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        missing = wanted - set(state)
        if missing:
            raise KeyError(*sorted(missing))
    except Exception as error:
        # torch's own words are a page long and advise to read pickles; only the kind is said.
        raise WeightsError(
            f"{path}: not a checkpoint{what} that can be resumed ({type(error).__name__}); start without it"
        ) from None
    return state
