# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe: all that a training run of the paper's networks depends on beside its pictures.

Recipes are TOML files (``recipes/*.toml``) with the sections ``networks``, ``data``, ``losses``,
``channel`` and ``training``; what a file leaves out has the defaults below. Every key is checked.
One that begins with ``profile = "segnet"`` trains a SegNet and has no losses and no channel.
"""

import json
import tomllib
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ds2c2.channels.symbolchannel import SymbolChannel
from ds2c2.errors import ExitCode, UserError
from ds2c2.files import is_file, shipped_folders
from ds2c2.networks.paper import PaperShape
from ds2c2.networks.segnet import STRIDE, SegNetShape
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.training.datasets import check_layout
from ds2c2.training.losses import PRESETS, LossWeights
from ds2c2.training.samples import Fit

PHASES = ("rgan", "enhancement", "joint")
PRECISIONS = ("float32", "bfloat16")
LEAST_SIDE = 64  # pixels; the smallest of DiscNet's scales sees a quarter of them
SUFFIX = ".toml"
STUDY = "-study"  # how a study's name ends


class RecipeError(UserError):
    """A recipe that cannot be read, or that asks for what cannot be."""

    exit_code = ExitCode.TRAINING


@dataclass(frozen=True)
class DataSettings:
    """``layout`` of the data set (``ds2c2.training.datasets``), and how its pictures become a batch:
    ``fit`` (``scale`` or ``crop``) to ``width`` x ``height``, half of them mirrored with ``flips``."""

    layout: str = "folder"
    width: int = 256
    height: int = 256
    fit: str = "scale"
    flips: bool = True

    @property
    def sizing(self) -> Fit:
        return Fit(self.width, self.height, self.fit, self.flips)


@dataclass(frozen=True)
class ChannelSettings:
    """The channel in the training loop (``SymbolChannel``); of every picture a share drawn from
    ``pe_train`` (from, to) is hit, both the same for a fixed one."""

    pe_train: tuple[float, ...] = (0.08, 0.08)
    effect: str = "zero"
    unit: str = "block"
    block_size: int = 100
    interleave: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        low, high = self.pe_train if len(self.pe_train) == 2 else (1, 0)
        if not 0 <= low <= high <= 1:
            raise RecipeError(f"pe_train {list(self.pe_train)}: a share of 0 to 1, or two of them, the smaller first")

    @property
    def channel(self) -> SymbolChannel:
        return SymbolChannel(self.effect, self.unit, self.block_size, self.interleave, self.seed)


@dataclass(frozen=True)
class Plan:
    """The course of a run.

    Args:
        phases: one after the other: ``rgan`` (CompNet, FineNets, DiscNets), ``enhancement``
            (BResNet and SumNet with RGAN frozen: the disjoint way), ``joint`` (all at once)
        epochs, decay_epochs: of every phase, at the full rate and while it falls linearly to zero
        steps: of every phase instead of epochs, shared between both in the same proportion; 0: epochs
        pictures: train on so many, chosen by ``seed``; 0: on all
        batch: pictures a step, over all processes
        learning_rate, betas: of Adam
        seed: of weights, order, flips, binarizer and channel
        precision: ``float32``, or ``bfloat16`` for mixed precision
    """

    phases: tuple[str, ...] = ("rgan", "enhancement")
    epochs: int = 100
    decay_epochs: int = 100
    steps: int = 0
    pictures: int = 0
    batch: int = 8
    learning_rate: float = 2e-4
    betas: tuple[float, ...] = (0.5, 0.999)
    seed: int = 1
    precision: str = "float32"

    def __post_init__(self) -> None:
        for phase in self.phases:
            if phase not in PHASES:
                raise RecipeError(f"training.phases: {phase!r} is unknown; choose from {', '.join(PHASES)}")
        if not self.phases:
            raise RecipeError(f"training.phases is empty; choose from {', '.join(PHASES)}")
        if self.precision not in PRECISIONS:
            raise RecipeError(f"training.precision {self.precision!r} is unknown; choose {' or '.join(PRECISIONS)}")
        if self.batch < 1 or min(self.steps, self.pictures, self.epochs, self.decay_epochs) < 0:
            raise RecipeError("training: batch must be 1 at least, steps, pictures and epochs not negative")
        if self.epochs + self.decay_epochs == 0:
            raise RecipeError("training.epochs and decay_epochs are both 0; nothing would be trained")
        if len(self.betas) != 2:
            raise RecipeError(f"training.betas {list(self.betas)}: Adam has two")

    def steps_of(self, samples: int) -> int:
        """Steps of a phase with so many pictures."""
        return self.steps or max(1, -(-(self.epochs + self.decay_epochs) * samples // self.batch))

    def some_of(self, samples: list) -> list:
        """The samples to train on; of the same ones, more contain fewer. Raises ``RecipeError`` for too few."""
        if self.pictures > len(samples):
            raise RecipeError(
                f"training.pictures = {self.pictures}: there are {len(samples)}; give more, or ask for fewer"
            )
        chosen = np.random.default_rng(self.seed).permutation(len(samples))[: self.pictures or None]
        return [samples[index] for index in sorted(chosen)]

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a phase's step: constant, then falling linearly."""
        decay = steps * self.decay_epochs / (self.epochs + self.decay_epochs)
        return self.learning_rate * min(1.0, (steps - step) / max(decay, 1.0))


@dataclass(frozen=True)
class PaperRecipe:
    """The sections of a recipe. Raises ``UserError`` for what does not go together."""

    networks: PaperShape = field(default_factory=PaperShape)
    data: DataSettings = field(default_factory=DataSettings)
    losses: LossWeights = field(default_factory=LossWeights)
    channel: ChannelSettings = field(default_factory=ChannelSettings)
    training: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        check_layout(self.data.layout, label_set_of(self.networks.label_set))
        self.channel.channel  # noqa: B018 - checks its values
        _check_sides(self.data, self.networks.cell)

    def as_dict(self) -> dict:
        """Plain values, as JSON gives them back."""
        return json.loads(json.dumps(asdict(self)))


@dataclass(frozen=True)
class SegNetPlan:
    """The course of a SegNet's run: ``epochs``, or ``steps`` instead (0: epochs); pictures a step;
    the rate at the start, from which it falls to zero; the seed of weights, order and flips."""

    epochs: int = 100
    steps: int = 0
    batch: int = 8
    learning_rate: float = 2e-3
    seed: int = 1

    def __post_init__(self) -> None:
        if self.batch < 1 or self.steps < 0 or self.epochs < 1:
            raise RecipeError("training: batch and epochs must be 1 at least, steps not negative")

    def steps_of(self, samples: int) -> int:
        """Steps of a run with so many pictures."""
        return self.steps or max(1, -(-self.epochs * samples // self.batch))


@dataclass(frozen=True)
class SegNetRecipe:
    """The sections of a SegNet's recipe. Raises ``UserError`` for what does not go together."""

    networks: SegNetShape = field(default_factory=SegNetShape)
    data: DataSettings = field(default_factory=DataSettings)
    training: SegNetPlan = field(default_factory=SegNetPlan)

    def __post_init__(self) -> None:
        if not self.networks.classes:
            raise RecipeError("networks.label_set none: a SegNet needs classes")
        check_layout(self.data.layout, label_set_of(self.networks.label_set))
        _check_sides(self.data, STRIDE)

    def as_dict(self) -> dict:
        """Plain values, as JSON gives them back."""
        return json.loads(json.dumps({"profile": "segnet", **asdict(self)}))


def _check_sides(data: DataSettings, cell: int) -> None:
    data.sizing  # noqa: B018 - checks its values
    for name in ("width", "height"):
        side = getattr(data, name)
        if side < LEAST_SIDE or side % cell:
            raise RecipeError(f"data.{name} {side}: the networks take multiples of {cell}, {LEAST_SIDE} at least")


def _value(given: Any, default: Any, name: str) -> Any:
    """A TOML value in the type of the default. Raises ``RecipeError``."""
    if isinstance(default, tuple):
        kind = type(default[0])
        values = given if isinstance(given, list) else [given] * (len(default) if kind is float else 1)
        return tuple(_value(value, default[0], name) for value in values)
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[type(default)]
    fits = type(given) is type(default) or (type(default) is float and type(given) is int)
    if not fits:
        raise RecipeError(f"{name} = {given!r}: {wanted} is wanted")
    try:
        return type(default)(given)
    except OverflowError:
        raise RecipeError(f"{name}: {wanted} is wanted that is not as large as that") from None


def _section(kind: type, table: Any, name: str, start: Any = None) -> Any:
    if not isinstance(table, dict):
        raise RecipeError(f"{name} is a section, write [{name}] and its keys below")
    known = {f.name: f.default if f.default is not MISSING else f.default_factory() for f in fields(kind)}
    if start is not None:
        known = {key: getattr(start, key) for key in known}
    for key in table:
        if key not in known:
            raise RecipeError(f"{name}.{key} is unknown; [{name}] has {', '.join(known)}")
    return kind(**{key: _value(table[key], default, f"{name}.{key}") if key in table else default
                   for key, default in known.items()})  # fmt: skip


def make_recipe(tables: dict) -> PaperRecipe | SegNetRecipe:
    """Tables as a recipe file or ``as_dict`` has them to the recipe. Raises ``UserError``."""
    tables = dict(tables)
    profile = tables.pop("profile", "paper")
    if profile not in ("paper", "segnet"):
        raise RecipeError(f"profile {profile!r}: recipes are for paper or segnet")
    kind = PaperRecipe if profile == "paper" else SegNetRecipe
    kinds = {f.name: f.default_factory for f in fields(kind)}
    for name in tables:
        if name not in kinds:
            raise RecipeError(f"[{name}] is unknown; a recipe has the sections {', '.join(kinds)}")
    starts = {}
    if "losses" in tables and isinstance(tables["losses"], dict):
        tables["losses"] = dict(tables["losses"])
        preset = tables["losses"].pop("preset", "paper")
        if preset not in PRESETS:
            raise RecipeError(f"losses.preset {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
        starts["losses"] = PRESETS[preset]
    return kind(**{name: _section(part, tables.get(name, {}), name, starts.get(name)) for name, part in kinds.items()})


def recipe_folders() -> list[Path]:
    """Where a recipe's name is looked up: the checkout, the installation."""
    return shipped_folders("recipes")


def recipe_names() -> set[str]:
    """Of the recipes in those folders, where studies lie, too."""
    files = {p.stem for folder in recipe_folders() for p in folder.glob(f"*{SUFFIX}")}
    return {name for name in files if not name.endswith(STUDY)}


def read_recipe(name: str, changes: list[str] | tuple[str, ...] = ()) -> PaperRecipe | SegNetRecipe:
    """A recipe by path or by name, with changes ``SECTION.KEY=VALUE``. Raises ``UserError``."""
    path = Path(name)
    if not is_file(path):
        path = next((p for p in (folder / f"{name}{SUFFIX}" for folder in recipe_folders()) if is_file(p)), None)
    if path is None:
        known = sorted(recipe_names())
        raise RecipeError(f"{name}: no such recipe; give a file, or one of {', '.join(known) or 'none installed'}")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for change in changes:
            _apply(tables, change)
        return make_recipe(tables)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(f"{path}: not a recipe in TOML ({error})") from None
    except UserError as error:
        raise RecipeError(f"{path}: {error}") from None


def _apply(tables: dict, change: str) -> None:
    place, sign, text = change.partition("=")
    section, dot, key = place.strip().partition(".")
    if not (sign and dot and section and key):
        raise RecipeError(f"--set {change}: write SECTION.KEY=VALUE, such as training.batch=4")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text.strip()  # a word without its quotes
    table = tables.setdefault(section, {})
    if not isinstance(table, dict):
        raise RecipeError(f"{section} is a section, write [{section}] and its keys below")
    table[key] = value
