# SPDX-License-Identifier: GPL-3.0-or-later
"""Trained models of profile ``paper``, and how each was trained, as its own weights file tells.

Tables and figures of the paper are made from these: a model says itself in which row it belongs.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ds2c2.errors import UserError, WeightsError
from ds2c2.networks.modelfiles import SUFFIX, find_weights, weights_digest
from ds2c2.networks.weights import read_metadata
from ds2c2.training.recipefile import PaperRecipe, make_recipe

PROFILE = "paper"
# Of a weights file's metadata.
RECIPE_NOTE = "recipe"  # how it was trained, in JSON
PICTURES_NOTE = "pictures"  # how many it was trained on
STEPS_NOTE = "steps"  # over all phases
ORIGIN_NOTES = ("updated_from", "started_from")  # NAME@DIGEST of the weights that a run began with


@dataclass(frozen=True)
class PaperModel:
    """A weights file of profile ``paper``.

    Args:
        path: of the file
        digest: eight hexadecimal digits, as in ``NAME@DIGEST``
        recipe: how it was trained; ``recipe.networks`` is what the file holds
        pictures: how many it was trained on; None where the file does not say
        steps: over all its phases
        origin: ``NAME@DIGEST`` of the weights that the run began with, or nothing
    """

    path: Path
    digest: str
    recipe: PaperRecipe
    pictures: int | None
    steps: int
    origin: str

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def pe_train(self) -> tuple[float, float]:
        """Shares of the blocks or bits hit in training, least and most; equal for a fixed one."""
        low, high = self.recipe.channel.pe_train
        return low, high

    @property
    def training(self) -> str:
        """``joint``; ``disjoint``: BResNet and SumNet on a frozen RGAN; ``rgan``: nothing but RGAN."""
        phases = self.recipe.training.phases
        if "joint" in phases:
            return "joint"
        return "disjoint" if "enhancement" in phases else "rgan"

    @property
    def r_bpp(self) -> float:
        """Bits per pixel of the enhancement, exactly."""
        return self.recipe.networks.bpp


def read_model(path: str | Path) -> PaperModel:
    """A model by name or path. Raises ``WeightsError`` for other profiles and for a recipe that cannot be read."""
    path = find_weights(path)
    metadata = read_metadata(path)
    if metadata["profile"] != PROFILE:
        raise WeightsError(f"{path}: weights of profile {metadata['profile']}, those of {PROFILE} are wanted")
    return _model(path, metadata)


def list_models(places: Iterable[str | Path]) -> list[PaperModel]:
    """The paper models among files, names and folders, each once, in the order of their names.

    A folder's files of other profiles are passed over. Raises ``WeightsError`` for a file that is
    none, and where no model is found.
    """
    found: dict[Path, PaperModel] = {}
    for place in places:
        if Path(place).is_dir():
            for path in sorted(Path(place).glob(f"*{SUFFIX}")):
                metadata = read_metadata(path)
                if metadata["profile"] == PROFILE:
                    found.setdefault(path.resolve(), _model(path, metadata))
        else:
            model = read_model(place)
            found.setdefault(model.path.resolve(), model)
    if not found:
        raise WeightsError(
            f"{', '.join(map(str, places)) or 'no place given'}: no weights of profile {PROFILE} there; "
            "train some with `ds2c2 train --recipe`, or give their folder"
        )
    return sorted(found.values(), key=lambda model: (model.name, model.path))


def _model(path: Path, metadata: dict[str, str]) -> PaperModel:
    try:
        tables = json.loads(metadata.get(RECIPE_NOTE, "{}"))
        # The file's own shape counts: an update may have begun with another.
        recipe = make_recipe({**tables, "networks": json.loads(metadata["shape"])})
        if not isinstance(recipe, PaperRecipe):
            raise ValueError("a SegNet's")
        pictures = int(metadata[PICTURES_NOTE]) if PICTURES_NOTE in metadata else None
        steps = int(metadata.get(STEPS_NOTE, 0))
    except (ValueError, KeyError, TypeError, UserError) as error:
        raise WeightsError(f"{path}: how it was trained cannot be read ({error}); train it anew") from None
    origin = next((metadata[note] for note in ORIGIN_NOTES if note in metadata), "")
    return PaperModel(path, weights_digest(path), recipe, pictures, steps, origin)
