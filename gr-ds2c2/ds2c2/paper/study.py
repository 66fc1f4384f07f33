# SPDX-License-Identifier: GPL-3.0-or-later
"""A study: models of one recipe that differ in a few settings, such as a table of the paper needs.

A TOML file names the recipe, changes for all models, and for each model its name, its changes and,
where it has one, the model whose weights it starts from:

    recipe = "camvid-cpu"
    set = ["training.seed=1"]

    [[model]]
    name = "rgan"
    set = ['training.phases=["rgan"]']

    [[model]]
    name = "pe08"
    start_from = "rgan"
    set = ["channel.pe_train=0.08"]
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ds2c2.files import is_file
from ds2c2.training.recipefile import SUFFIX, PaperRecipe, RecipeError, read_recipe, recipe_folders

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")  # it becomes a file's name
KEYS = {"name": str, "start_from": str, "set": list}


@dataclass(frozen=True)
class StudyModel:
    """A model to train: ``changes`` as ``SECTION.KEY=VALUE``, those of all models first."""

    name: str
    start_from: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """``recipe``: a name or file; ``models`` in the order in which they are trained."""

    recipe: str
    models: tuple[StudyModel, ...]


def read_study(name: str) -> Study:
    """A study by path or by name, every model's recipe checked. Raises ``UserError``."""
    path = Path(name)
    if not is_file(path):
        path = next((p for p in (folder / f"{name}{SUFFIX}" for folder in recipe_folders()) if is_file(p)), None)
    if path is None:
        raise RecipeError(f"{name}: no such study; give a file, or a name from recipes/, such as camvid-study")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(f"{path}: not a study in TOML ({error})") from None
    try:
        return _study(tables, path)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def _study(tables: dict, path: Path) -> Study:
    if unknown := sorted(set(tables) - {"recipe", "set", "model"}):
        raise RecipeError(f"{unknown[0]} is unknown; a study has recipe, set and [[model]]")
    recipe, given = tables.get("recipe"), tables.get("model")
    if not isinstance(recipe, str) or not isinstance(given, list) or not given:
        raise RecipeError('a study names its recipe = "NAME" and one [[model]] or more')
    # A recipe's file is looked up beside the study, too.
    beside = path.parent / f"{recipe}{SUFFIX}"
    recipe = str(beside) if is_file(beside) else recipe
    common = _changes(tables.get("set", []), "set")
    models: dict[str, StudyModel] = {}
    for table in given:
        model = _model(table, common)
        if model.name in models:
            raise RecipeError(f"model {model.name} is there twice; give each its own name")
        if model.start_from and model.start_from not in models:
            raise RecipeError(f"model {model.name} starts from {model.start_from}, which is not among those before it")
        _check(recipe, model)
        models[model.name] = model
    return Study(recipe, tuple(models.values()))


def _check(recipe: str, model: StudyModel) -> None:
    try:
        found = read_recipe(recipe, model.changes)
    except RecipeError as error:
        raise RecipeError(f"model {model.name}: {error}") from None
    if not isinstance(found, PaperRecipe):
        raise RecipeError(f"{recipe}: a SegNet's recipe; a study is of the paper's networks")


def _model(table: dict, common: tuple[str, ...]) -> StudyModel:
    if not isinstance(table, dict):
        raise RecipeError("model is a list of tables; write [[model]]")
    for key, value in table.items():
        if key not in KEYS or not isinstance(value, KEYS[key]):
            raise RecipeError(
                f"model.{key} = {value!r}: a model has name and start_from (text) and set (a list of text)"
            )
    name = table.get("name", "")
    if not NAME.fullmatch(name):
        raise RecipeError(f"model name {name!r}: small letters, digits, dot, dash and underscore are wanted")
    return StudyModel(name, table.get("start_from", ""), (*common, *_changes(table.get("set", []), f"{name}: set")))


def _changes(given: list, place: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(change, str) for change in given):
        raise RecipeError(f'{place}: a list of texts is wanted, such as ["channel.pe_train=0.08"]')
    return tuple(given)
