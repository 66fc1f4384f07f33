# SPDX-License-Identifier: GPL-3.0-or-later
"""Which models belong together in a table: alike but for rate, pe_train, way of training or pictures."""

from dataclasses import asdict

from ds2c2.paper.archive import PaperModel
from ds2c2.paper.units import EvaluationError

# Settings that a table's rows may differ in, since columns say them.
RATE = ("networks.depth", "networks.channels")
TRAINING = "training"  # joint or disjoint, instead of the phases, which depend on what a run began with
# Settings of the course of a run: where models differ in one of these alone, nothing else is told apart.
COURSE_SECTIONS = ("data", "training")
CHANNEL_PRINCIPAL = ("effect", "unit", "block_size", "interleave")


def principal(model: PaperModel) -> dict[str, object]:
    """What the networks are and learn from: ``SECTION.KEY`` to value, and how they were trained.
    Not among them: pe_train, pictures, and the course of the run."""
    recipe = model.recipe
    found = {f"networks.{key}": value for key, value in asdict(recipe.networks).items()}
    found |= {f"losses.{key}": value for key, value in asdict(recipe.losses).items()}
    found |= {f"channel.{key}": getattr(recipe.channel, key) for key in CHANNEL_PRINCIPAL}
    return found | {TRAINING: model.training}


def course(model: PaperModel) -> dict[str, object]:
    """How a run went that gave the weights: size and layout of pictures, steps, rate, seed."""
    sections = {name: asdict(getattr(model.recipe, name)) for name in COURSE_SECTIONS}
    found = {f"{name}.{key}": value for name, section in sections.items() for key, value in section.items()}
    return {key: value for key, value in found.items() if key not in ("training.phases", "training.pictures")}


def differences(first: dict[str, object], second: dict[str, object]) -> list[str]:
    """Keys of the settings that are not the same."""
    return [key for key in first if first[key] != second[key]]


def is_family(first: PaperModel, second: PaperModel) -> bool:
    """Whether two differ in rate, pe_train, way of training, pictures and course at most."""
    return set(differences(principal(first), principal(second))) <= {*RATE, TRAINING}


def is_sibling(first: PaperModel, second: PaperModel) -> bool:
    """Whether two differ in exactly one principal setting, and have pe_train and pictures in common."""
    alike = first.pe_train == second.pe_train and first.pictures == second.pictures
    return alike and len(differences(principal(first), principal(second))) == 1


def relatives(reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    """Models of the reference's pe_train and pictures that differ from it in one principal setting, then
    in more."""
    found = [m for m in complete(models) if m.pe_train == reference.pe_train and m.pictures == reference.pictures]
    changes = {m.path: differences(principal(reference), principal(m)) for m in found}
    return sorted((m for m in found if changes[m.path]), key=lambda m: (len(changes[m.path]), m.name))


def complete(models: list[PaperModel]) -> list[PaperModel]:
    """Those whose BResNet was trained, by rate, way of training and pe_train."""
    return sorted(
        (model for model in models if model.training != "rgan"),
        key=lambda m: (m.r_bpp, m.training, m.pe_train, -(m.pictures or 0), m.name),
    )


def choose_reference(models: list[PaperModel], name: str = "") -> PaperModel:
    """The model that others are compared with: the one that was named, else the disjoint one that
    most others differ from in one setting. Raises ``EvaluationError``."""
    usable = complete(models)
    if name:
        found = [model for model in usable if name in (model.name, f"{model.name}@{model.digest[:8]}", str(model.path))]
        if len(found) != 1:
            names = ", ".join(model.name for model in usable)
            how = "no such model" if not found else "the name of several, give NAME@DIGEST"
            raise EvaluationError(f"--reference {name}: {how}; there are {names or 'none with a trained BResNet'}")
        return found[0]
    if not usable:
        raise EvaluationError(
            "no model has a trained BResNet (they are RGANs alone): train the phase enhancement or joint"
        )

    def standing(model: PaperModel) -> tuple:
        siblings = sum(is_sibling(model, other) for other in usable)
        relatives = sum(is_family(model, other) for other in usable)
        return siblings, relatives, model.pictures or 0

    return max([m for m in usable if m.training == "disjoint"] or usable, key=standing)


def family_of(reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    """The reference's family; of those alike but for the pictures the ones with most of them."""
    members = [model for model in complete(models) if is_family(reference, model)]
    most: dict[tuple, int] = {}
    for model in members:
        key = (model.r_bpp, model.training, model.pe_train)
        most[key] = max(most.get(key, 0), model.pictures or 0)
    return [m for m in members if (m.pictures or 0) == most[m.r_bpp, m.training, m.pe_train]]


def by_pictures(reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    """Of the reference's family those of one rate and pe_train that were trained on different numbers
    of pictures."""
    groups: dict[tuple, list[PaperModel]] = {}
    for model in complete(models):
        if is_family(reference, model) and model.pictures is not None:
            groups.setdefault((model.r_bpp, model.pe_train), []).append(model)
    found = []
    for group in groups.values():
        # Like stays with like; only an update, which is disjoint whatever its RGAN comes from, meets a joint one.
        kinds = [[m for m in group if m.training == kind] for kind in ("disjoint", "joint")]
        rows = [m for kind in kinds if len({m.pictures for m in kind}) > 1 for m in kind] or group
        if len({m.pictures for m in rows}) > 1:
            found += sorted(rows, key=lambda m: (m.training, m.pictures, m.name))
    return found


def with_and_without_errors(family: list[PaperModel]) -> list[tuple[PaperModel, list[PaperModel]]]:
    """Models of pe_train 0, each with those that differ from it in having errors in training."""
    return [
        (model, found)
        for model in family
        if model.pe_train == (0, 0)
        and (
            found := [m for m in family if m.pe_train[1] > 0 and (m.r_bpp, m.training) == (model.r_bpp, model.training)]
        )
    ]


def pe_train_text(model: PaperModel) -> str:
    low, high = (f"{100 * share:g}" for share in model.pe_train)
    return f"{low} %" if low == high else f"{low} to {high} %"
