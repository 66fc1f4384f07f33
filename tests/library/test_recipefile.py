# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipe files: the shipped ones are whole, values are checked by name, changes are applied."""

import pytest

from ds2c2.errors import UserError
from ds2c2.training.recipefile import PaperRecipe, make_recipe, read_recipe, recipe_folders, recipe_names

SHIPPED = sorted(recipe_names())


def test_six_recipes_are_shipped():
    assert SHIPPED == ["ade20k", "camvid", "camvid-cpu", "cityscapes", "segnet-camvid", "smoke"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_is_whole_and_comes_back_from_json(name):
    recipe = read_recipe(name)
    assert make_recipe(recipe.as_dict()) == recipe
    assert read_recipe(str(recipe_folders()[0] / f"{name}.toml")) == recipe


def test_cityscapes_and_ade20k_are_the_papers():
    for name, size, batch, label_set in (
        ("cityscapes", (1024, 512), 2, "cityscapes35"),
        ("ade20k", (256, 256), 8, "ade20k"),
    ):
        recipe = read_recipe(name)
        assert ((recipe.data.width, recipe.data.height), recipe.training.batch) == (size, batch)
        shape, plan, losses = recipe.networks, recipe.training, recipe.losses
        assert (shape.label_set, shape.width, shape.fine_steps, shape.fine_blocks) == (label_set, 64, 2, 9)
        assert (plan.epochs, plan.decay_epochs, plan.learning_rate, plan.betas) == (100, 100, 2e-4, (0.5, 0.999))
        assert (losses.l1, losses.ssim, losses.vgg, losses.gan, losses.form) == (1, 1, 1, 1, "log")
        channel = recipe.channel
        assert (channel.effect, channel.unit, channel.block_size, channel.interleave) == ("zero", "block", 100, True)


def test_changes_are_applied_and_words_need_no_quotes():
    recipe = read_recipe(
        "smoke",
        ["training.batch=4", "data.fit=crop", "losses.preset=dsslic", "channel.pe_train=[0, 0.3]",
         'training.phases=["joint"]', "losses.vgg=0", "networks.gdn=false", "training.learning_rate=1"],
    )  # fmt: skip
    assert (recipe.training.batch, recipe.data.fit, recipe.losses.l1, recipe.losses.vgg) == (4, "crop", 20.0, 0.0)
    assert (recipe.channel.pe_train, recipe.training.phases, recipe.networks.gdn) == ((0.0, 0.3), ("joint",), False)
    assert recipe.training.learning_rate == 1.0
    assert read_recipe("smoke", ["channel.pe_train=0.16"]).channel.pe_train == (0.16, 0.16)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.bach=4", "training.bach is unknown; [training] has phases, epochs"),
        ("train.batch=4", "[train] is unknown; a recipe has the sections networks, data"),
        ("training.batch=two", "training.batch = 'two': a whole number is wanted"),
        ("training.batch=2.5", "training.batch = 2.5: a whole number is wanted"),
        ("data.flips=1", "data.flips = 1: true or false is wanted"),
        ("training.batch=0", "batch must be 1 at least"),
        ("training.phases=[]", "training.phases is empty"),
        ("training.phases=gan", "training.phases: 'gan' is unknown; choose from rgan, enhancement, joint"),
        ("training.precision=half", "training.precision 'half' is unknown"),
        ("data.width=250", "data.width 250: the networks take multiples of 8, 64 at least"),
        ("data.layout=coco", "layout 'coco' is unknown"),
        ("networks.label_set=ade20k", "layout camvid has label maps of camvid, the networks are for ade20k"),
        ("losses.preset=mine", "losses.preset 'mine' is unknown; choose one of paper, dsslic"),
        ("losses.form=hinge", "form 'hinge'"),
        ("losses.l1=-2", "weight -2 of the loss l1 is negative"),
        ("channel.pe_train=1.5", "pe_train [1.5, 1.5]: a share of 0 to 1"),
        ("channel.pe_train=[0.3, 0.1]", "pe_train [0.3, 0.1]"),
        ("channel.effect=drop", "effect 'drop' is unknown"),
        ("networks.depth=0", "depth 0 is too small"),
        ("batch=4", "--set batch=4: write SECTION.KEY=VALUE"),
        ("training.batch", "--set training.batch: write SECTION.KEY=VALUE"),
    ],
)
def test_what_a_recipe_cannot_be_is_named(change, words):
    with pytest.raises(UserError) as error:
        read_recipe("smoke", ["data.layout=camvid", "networks.label_set=camvid", change])
    assert words in str(error.value) and "\n" not in str(error.value)


def test_files_that_are_no_recipe(tmp_path):
    for text, words in (
        ("networks", "not a recipe in TOML"),
        ("networks = 3", "networks is a section, write [networks]"),
        ("losses = 3", "losses is a section, write [losses]"),
        ('profile = "coded"', "profile 'coded': recipes are for paper or segnet"),
        (
            'profile = "segnet"\n[losses]\nl1 = 1',
            "[losses] is unknown; a recipe has the sections networks, data, training",
        ),
        ('profile = "segnet"\n[networks]\nlabel_set = "none"', "a SegNet needs classes"),
        ('profile = "segnet"\n[training]\nepochs = 0', "epochs must be 1 at least"),
        ("[losses]\nl1 = [1]", "losses.l1 = [1]: a number is wanted"),
    ):
        (tmp_path / "mine.toml").write_text(text)
        with pytest.raises(UserError) as error:
            read_recipe(str(tmp_path / "mine.toml"))
        assert "mine.toml: " in str(error.value) and words in str(error.value)
    with pytest.raises(UserError, match="nosuch: no such recipe; give a file, or one of ade20k, camvid"):
        read_recipe("nosuch")


def test_the_defaults_are_the_papers_losses_and_a_disjoint_run():
    recipe = PaperRecipe()
    assert recipe.training.phases == ("rgan", "enhancement") and recipe.losses.vgg == 1
