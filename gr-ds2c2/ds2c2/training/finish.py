# SPDX-License-Identifier: GPL-3.0-or-later
"""From a finished run to a weights file."""

import copy
from pathlib import Path

from ds2c2.networks.modelfiles import find_weights, weights_digest
from ds2c2.networks.weights import save_weights
from ds2c2.stream.streamformat import DIGEST_HEX
from ds2c2.training.loop import Trainer
from ds2c2.training.perceptual import DECODER


def origin(model: str | Path) -> str:
    """``name@digest`` of weights, as stream formats write it. Raises ``WeightsError``."""
    path = find_weights(model)
    return f"{path.stem}@{weights_digest(path)[:DIGEST_HEX]}"


def finish(trainer: Trainer, path: Path, pictures: list[Path], storage: str = "float16") -> Path:
    """Write the run's average as weights, completed by the profile's recipe with the pictures. A run
    with another objective than ``mse`` writes the decoder alone and names where the rest is.

    Raises ``PictureError`` when the tables cannot be counted; nothing is written then.
    """
    settings = trainer.settings
    notes = {"steps": str(trainer.step), "seed": str(settings.seed)}
    if settings.start_from:
        notes["updated_from" if settings.update else "started_from"] = settings.start_from
    networks = copy.deepcopy(trainer.average)
    if settings.objective != "mse":
        # Encoder and tables are those of the weights it started from, and are not stored again.
        notes["objective"] = settings.objective
        return save_weights(path, networks, notes, storage, DECODER, settings.start_from)
    trainer.recipe.complete(networks, pictures, settings.seed, storage)
    return save_weights(path, networks, notes, storage)
