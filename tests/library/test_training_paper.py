# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the paper's networks: phases train what they should, and are resumed bit for bit."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ds2c2.errors import UserError, WeightsError
from ds2c2.networks.paper import PaperNetworks
from ds2c2.networks.weights import save_weights
from ds2c2.paper.loop import PaperTrainer, train_paper
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.training.datasets import find_samples, values_table
from ds2c2.training.losses import LossWeights
from ds2c2.training.processes import Processes
from ds2c2.training.recipefile import ChannelSettings, DataSettings, PaperRecipe, Plan
from ds2c2.training.samples import SampleStore


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order: bits are compared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    """Five street scenes of blocks of colour, with label maps, in CamVid's layout."""
    root = tmp_path_factory.mktemp("camvid")
    rng = np.random.default_rng(1)
    for folder in ("train", "trainannot"):
        (root / folder).mkdir()
    for number in range(5):
        cells = rng.integers(0, 256, (9, 11, 3), np.uint8)
        Image.fromarray(cells.repeat(10, 0).repeat(10, 1)).save(root / f"train/{number}.png")
        classes = rng.integers(0, 12, (9, 11), np.uint8)
        Image.fromarray(classes.repeat(10, 0).repeat(10, 1)).save(root / f"trainannot/{number}.png")
    return root


@pytest.fixture
def recipe(tiny_paper_shape):
    return PaperRecipe(
        replace(tiny_paper_shape, fine_steps=1),
        DataSettings("camvid", 64, 64, "crop"),
        LossWeights(vgg=0, feature_matching=1),
        ChannelSettings((0.1, 0.3)),
        Plan(("rgan", "enhancement"), steps=3, batch=2, learning_rate=1e-3, seed=3),
    )


def store_of(recipe, root):
    labels = label_set_of(recipe.networks.label_set)
    samples = find_samples("camvid", [str(root)], "train", True)
    return SampleStore(samples, recipe.data.sizing, labels, values_table("camvid", labels))


def run(recipe, root, checkpoint=None, resume=False, **more):
    seen = []
    trainer = train_paper(recipe, store_of(recipe, root), Processes(), checkpoint, resume, seen.append, **more)
    return trainer, seen


def states(trainer):
    return {**trainer.networks.state_dict(), **{f"disc.{k}": v for k, v in trainer.discnets.state_dict().items()}}


def changed(first, second):
    """The parts of the networks whose tensors differ."""
    return {name.partition(".")[0] for name in first if not torch.equal(first[name], second[name])}


def test_a_resumed_run_gives_the_unbroken_runs_weights(recipe, camvid, tmp_path):
    """Broken off within the first phase, and again within the second."""
    unbroken, seen = run(recipe, camvid, tmp_path / "unbroken.pt")
    assert [(p.phase, p.step, p.steps) for p in seen] == [
        (phase, step, 3) for phase in ("rgan", "enhancement") for step in (1, 2, 3)
    ]
    assert seen[0].psnr is None and all(math.isfinite(p.base_psnr) for p in seen)
    assert math.isfinite(seen[-1].psnr)
    run(recipe, camvid, tmp_path / "broken.pt", stop_after=2)
    middle, _ = run(recipe, camvid, tmp_path / "broken.pt", True, stop_after=4)
    assert (middle.phase, middle.step) == ("enhancement", 1)
    resumed, seen = run(recipe, camvid, tmp_path / "broken.pt", True)
    assert [p.step for p in seen] == [2, 3] and resumed.ended
    assert changed(states(unbroken), states(resumed)) == set()
    again, seen = run(recipe, camvid, tmp_path / "broken.pt", True)
    assert seen == [] and changed(states(unbroken), states(again)) == set()


@pytest.mark.parametrize(
    ("phase", "parts"),
    [
        ("rgan", {"compnet", "finenets", "disc"}),
        ("enhancement", {"encoder", "decoder", "sumnet"}),
        ("joint", {"compnet", "finenets", "disc", "encoder", "decoder", "sumnet"}),
    ],
)
def test_a_phase_trains_its_networks_and_leaves_the_others_as_they_are(recipe, camvid, phase, parts):
    recipe = replace(recipe, training=replace(recipe.training, phases=(phase,), steps=2))
    before = states(PaperTrainer(recipe, 5, Processes()))
    trainer, seen = run(recipe, camvid)
    assert changed(before, states(trainer)) == parts
    names = set(seen[-1].figures)
    assert {"rgan/l1", "rgan/ssim", "rgan/gan", "rgan/features", "rgan/disc"} <= names or phase == "enhancement"
    assert {"bresnet/l1", "bresnet/ssim", "sumnet/l1", "sumnet/ssim", "error"} <= names or phase == "rgan"


@pytest.mark.parametrize(
    "change",
    [{"fine_steps": 0}, {"sum_blocks": 0}, {"fine_steps": 2, "upsampling": "transposed", "gdn": False}],
    ids=str,
)
def test_other_networks_and_least_squares_train_too(recipe, camvid, change):
    losses = LossWeights(vgg=0, form="least-squares", disc=0.5)
    plan = replace(recipe.training, phases=("joint",), steps=1, precision="bfloat16")
    networks = replace(recipe.networks, **change)
    trainer, seen = run(replace(recipe, networks=networks, losses=losses, training=plan), camvid)
    assert trainer.ended and all(math.isfinite(value) for value in seen[-1].figures.values())


def test_without_adversaries_no_discriminator_learns(recipe, camvid):
    recipe = replace(recipe, losses=LossWeights(vgg=0, gan=0), training=replace(recipe.training, phases=("joint",)))
    before = states(PaperTrainer(recipe, 5, Processes()))
    trainer, seen = run(recipe, camvid)
    assert "disc" not in changed(before, states(trainer)) and "rgan/disc" not in seen[-1].figures


def test_what_the_channel_hits_is_hit_in_training(recipe, camvid):
    """Everything erased: the decoder sees zeros whatever the encoder sends."""
    channel = ChannelSettings((1.0, 1.0), "erase")
    recipe = replace(recipe, channel=channel, training=replace(recipe.training, phases=("enhancement",), steps=2))
    before = states(PaperTrainer(recipe, 5, Processes()))
    trainer, _ = run(recipe, camvid)
    assert changed(before, states(trainer)) == {"decoder", "sumnet"}


def test_a_fixed_share_is_drawn_anew_for_every_picture(recipe):
    recipe = replace(recipe, channel=ChannelSettings((0.5, 0.5), unit="bit"))
    trainer = PaperTrainer(recipe, 5, Processes())
    noise, hits = trainer._draws(0, 64, 64)
    assert noise.shape == (2, 16, 8, 8) and hits.shape == (2, 1024)
    assert not torch.equal(hits[0], hits[1]) and not torch.equal(noise[0], noise[1])
    assert torch.equal(trainer._draws(0, 64, 64)[1], hits) and not torch.equal(trainer._draws(1, 64, 64)[1], hits)
    assert -1 <= noise.min() < -0.9 and 0.9 < noise.max() < 1


def test_the_rate_is_constant_and_then_falls_to_zero():
    plan = Plan(epochs=100, decay_epochs=100, batch=8, learning_rate=1.0)
    steps = plan.steps_of(8992)
    assert steps == 200 * 8992 // 8
    rates = [plan.rate(step, steps) for step in (0, steps // 2 - 1, steps // 2, steps * 3 // 4, steps - 1)]
    assert rates == pytest.approx([1, 1, 1, 0.5, 2 / steps])
    # Fewer pictures than a batch: they come again.
    assert Plan(epochs=3, decay_epochs=0, batch=8).steps_of(4) == 2
    assert replace(plan, steps=10).steps_of(8992) == 10
    assert [replace(plan, decay_epochs=0).rate(step, 10) for step in (0, 9)] == [1, 1]


def test_a_disjoint_run_starts_from_a_trained_rgan(recipe, camvid, tmp_path, monkeypatch):
    torch.manual_seed(9)
    start = save_weights(tmp_path / "start.safetensors", PaperNetworks(recipe.networks), {})
    plan = replace(recipe.training, phases=("enhancement",), steps=1)
    lines = []
    trainer, _ = run(replace(recipe, training=plan), camvid, start=start, say=lines.append)
    assert lines == [f"took {trainer.taken[0]} of {trainer.taken[0]} tensors from {start}"]
    torch.manual_seed(9)
    wanted = PaperNetworks(recipe.networks).half().float().state_dict()
    assert changed(wanted, trainer.networks.state_dict()) == {"encoder", "decoder", "sumnet"}


def test_another_runs_checkpoint_is_refused(recipe, camvid, tmp_path):
    run(recipe, camvid, tmp_path / "run.pt", stop_after=1)
    for other, words in (
        (replace(recipe, losses=replace(recipe.losses, l1=2.0)), "losses.l1 = 1.0, now 2.0"),
        (replace(recipe, networks=replace(recipe.networks, channels=8)), "networks.channels = 16, now 8"),
    ):
        with pytest.raises(WeightsError) as error:
            run(other, camvid, tmp_path / "run.pt", True)
        assert words in str(error.value) and "\n" not in str(error.value)
    (tmp_path / "text.pt").write_text("I am no checkpoint")
    with pytest.raises(WeightsError, match="text.pt: not a checkpoint of the paper's networks"):
        run(recipe, camvid, tmp_path / "text.pt", True)


def test_a_batch_that_cannot_be_shared_is_refused(recipe):
    with pytest.raises(UserError, match="training.batch 2 cannot be shared by 3 processes"):
        Processes(0, 3).share(2)
    assert list(Processes(1, 2).share(6)) == [3, 4, 5]
