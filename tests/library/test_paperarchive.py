# SPDX-License-Identifier: GPL-3.0-or-later
"""Paper models tell how they were trained."""

import json
from dataclasses import replace

import pytest

from ds2c2.errors import WeightsError
from ds2c2.networks.modelfiles import weights_digest
from ds2c2.networks.paper import PaperNetworks
from ds2c2.networks.weights import save_weights
from ds2c2.paper.archive import list_models, read_model
from ds2c2.training.recipefile import PaperRecipe, Plan, RecipeError


def save(folder, name, shape, notes):
    return save_weights(folder / f"{name}.safetensors", PaperNetworks(shape), notes)


def test_a_model_says_how_it_was_trained(tmp_path, tiny_paper_shape):
    recipe = PaperRecipe(networks=tiny_paper_shape)
    recipe = replace(
        recipe,
        channel=replace(recipe.channel, pe_train=(0.16, 0.16)),
        training=replace(recipe.training, phases=("joint",)),
    )
    notes = {"recipe": json.dumps(recipe.as_dict()), "pictures": "88", "steps": "120", "updated_from": "first@01234567"}
    path = save(tmp_path, "mine", tiny_paper_shape, notes)
    model = read_model(path)
    assert (model.name, model.digest) == ("mine", weights_digest(path))
    assert (model.pe_train, model.training, model.pictures, model.steps) == ((0.16, 0.16), "joint", 88, 120)
    assert (model.origin, model.recipe) == ("first@01234567", recipe)
    assert model.r_bpp == tiny_paper_shape.channels / 4**tiny_paper_shape.depth


@pytest.mark.parametrize(
    ("phases", "training"),
    [(("rgan",), "rgan"), (("rgan", "enhancement"), "disjoint"), (("enhancement",), "disjoint"), (("joint",), "joint")],
)
def test_the_way_of_training(tmp_path, tiny_paper_shape, phases, training):
    recipe = PaperRecipe(networks=tiny_paper_shape, training=Plan(phases=phases))
    path = save(tmp_path, "mine", tiny_paper_shape, {"recipe": json.dumps(recipe.as_dict())})
    assert read_model(path).training == training


def test_a_folder_lists_its_paper_models_once_and_by_name(tmp_path, tiny_paper_shape, models):
    for name in ("b", "a"):
        save(tmp_path, name, tiny_paper_shape, {})
    (tmp_path / "other.safetensors").write_bytes((models / "binary.safetensors").read_bytes())
    found = list_models([tmp_path, tmp_path / "a.safetensors"])
    assert [model.name for model in found] == ["a", "b"]
    assert found[0].pictures is None and found[0].origin == ""


def test_what_is_no_paper_model_is_named(tmp_path, tiny_paper_shape, models):
    with pytest.raises(WeightsError, match="profile binary, those of paper are wanted"):
        list_models([models / "binary.safetensors"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="no weights of profile paper there"):
        list_models([tmp_path / "empty"])
    path = save(tmp_path, "bad", tiny_paper_shape, {"recipe": '{"training": {"phases": ["sleep"]}}'})
    with pytest.raises(WeightsError, match="how it was trained cannot be read"):
        read_model(path)


def test_more_training_pictures_contain_fewer():
    samples = list(range(40))
    few, more = (Plan(pictures=count, seed=3).some_of(samples) for count in (5, 12))
    assert len(few) == 5 and len(more) == 12 and set(few) < set(more)
    assert few == sorted(few) and few != Plan(pictures=5, seed=4).some_of(samples)
    assert Plan().some_of(samples) == samples
    with pytest.raises(RecipeError, match="training.pictures = 41: there are 40"):
        Plan(pictures=41).some_of(samples)
