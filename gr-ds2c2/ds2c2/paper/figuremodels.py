# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the models given each of the paper's figures is made from.

All are of the reference's family (``papermodels``), as the tables' rows are: alike but for rate,
pe_train, way of training and pictures.
"""

from collections.abc import Callable

from ds2c2.paper.archive import PaperModel
from ds2c2.paper.models import by_pictures, family_of, with_and_without_errors
from ds2c2.paper.units import EvaluationError

# Bits per pixel of r that the paper's figures have: 4 to 8 in all 0.26, 9 and 11 in all 0.54 (its
# table 6 has r's part).
R_BPP = {9: 0.5, 11: 0.5}
USUAL_R_BPP = 0.1875
PE_TRAIN = 0.08  # the paper's, of a model that is trained with errors


def _nearest(number: int, reference: PaperModel) -> Callable[[PaperModel], tuple]:
    """Key: first what is nearest to the paper's rate, then trained as the reference."""
    rate = R_BPP.get(number, USUAL_R_BPP)
    return lambda m: (abs(m.r_bpp - rate), m.training != reference.training, m.name)


def _family(number: int, reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    """Raises ``EvaluationError`` for models that send the original, which have no residual."""
    if reference.recipe.networks.source != "residual" and number != 11:
        raise EvaluationError(
            f"figure {number} needs models that send the residual (networks.source); {reference.name} sends the "
            "original: name another --reference"
        )
    return sorted(family_of(reference, models), key=_nearest(number, reference))


def _without_errors(number: int, reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    found = [model for model in _family(number, reference, models) if model.pe_train == (0, 0)]
    if not found:
        raise EvaluationError(
            f"figure {number} needs a model like {reference.name} that was trained without channel errors; train one "
            "with --set channel.pe_train=0.0, or name another --reference"
        )
    return found[:1]


def _same_encoder(number: int, reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    family = _family(number, reference, models)
    return ([model for model in family if model.pe_train == (0, 0)] or family)[:1]


def _pair(number: int, reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    pairs = with_and_without_errors(_family(number, reference, models))
    if not pairs:
        raise EvaluationError(
            f"figure {number} needs two models like {reference.name} of one rate, trained with --set "
            "channel.pe_train=0.0 and =0.08; they are not both there"
        )
    first, others = min(pairs, key=lambda pair: _nearest(number, reference)(pair[0]))
    return [first, min(others, key=lambda m: (abs(m.pe_train[0] - PE_TRAIN) + abs(m.pe_train[1] - PE_TRAIN), m.name))]


def _by_pictures(number: int, reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    found = by_pictures(reference, models)
    if not found:
        raise EvaluationError(
            f"figure {number} needs models like {reference.name} that were trained on different numbers of pictures "
            "(training.pictures of a recipe, or ds2c2 update); they all were on as many"
        )
    groups: dict[tuple, dict[int, PaperModel]] = {}
    for model in found:
        # Of several on as many pictures the one that is trained as the reference.
        group = groups.setdefault((model.r_bpp, model.pe_train), {})
        if model.pictures not in group or model.training == reference.training:
            group.setdefault(model.pictures, model)
    rate = R_BPP.get(number, USUAL_R_BPP)
    best = max(groups, key=lambda key: (len(groups[key]), -abs(key[0] - rate), key[1] == reference.pe_train))
    return [groups[best][pictures] for pictures in sorted(groups[best])]


def _synthesised(number: int, reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    found = [m for m in _family(number, reference, models) if m.recipe.networks.fine_steps]
    if not found:
        raise EvaluationError(
            f"figure {number} needs a model with FineNets (networks.fine_steps); {reference.name} has none: name "
            "another --reference"
        )
    return found[:1]


CHOICES = {
    4: _without_errors,
    5: _same_encoder,
    6: _pair,
    7: _without_errors,
    8: _without_errors,
    9: _by_pictures,
    10: _by_pictures,
    11: _synthesised,
}


def choose_models(number: int, reference: PaperModel, models: list[PaperModel]) -> list[PaperModel]:
    """The models of a figure, in the order in which it shows them. Raises ``EvaluationError`` that
    says which are missing."""
    return CHOICES[number](number, reference, models)
