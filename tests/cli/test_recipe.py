# SPDX-License-Identifier: GPL-3.0-or-later
"""train --recipe and update of paper weights: from a data set to weights and card, alone and as two
processes, and what is refused."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from ds2c2.cli.program import app
from ds2c2.cli.study import Run
from ds2c2.errors import ExitCode, UserError
from ds2c2.networks.weights import load_networks, read_metadata

DEADLINE_SECONDS = 180
# The recipe smoke on CamVid's layout with label maps.
CAMVID = (
    "--recipe", "smoke", "--device", "cpu", "--set", "data.layout=camvid", "--set", "networks.label_set=camvid",
    "--set", "training.steps=2", "--set", "channel.pe_train=[0.1, 0.3]",
)  # fmt: skip


@pytest.fixture
def camvid(tmp_path, monkeypatch, models):
    """Street scenes of blocks of colour with label maps, 110x90, in CamVid's layout; the work folder."""
    rng = np.random.default_rng(1)
    for split, count in (("train", 4), ("val", 2), ("test", 1)):
        for folder in (split, f"{split}annot"):
            (tmp_path / "camvid" / folder).mkdir(parents=True)
        for number in range(count):
            cells = rng.integers(0, 256, (9, 11, 3), np.uint8)
            Image.fromarray(cells.repeat(10, 0).repeat(10, 1)).save(tmp_path / f"camvid/{split}/{number}.png")
            classes = rng.integers(0, 12, (9, 11), np.uint8)
            Image.fromarray(classes.repeat(10, 0).repeat(10, 1)).save(tmp_path / f"camvid/{split}annot/{number}.png")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("DS2C2_VGG", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield str(tmp_path / "camvid")
    torch.set_num_threads(before)


def ds2c2(*arguments):
    """What the command prints; its error is raised."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments):
    """The one line that the command is refused with."""
    with pytest.raises(UserError) as error:
        CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert "\n" not in str(error.value)
    return str(error.value)


def parts(first, second):
    """The networks whose tensors differ."""
    return {name.partition(".")[0] for name in first if not torch.equal(first[name], second[name])}


def test_from_a_data_set_to_weights_and_on_to_an_update(camvid):
    command = ("train", *CAMVID, camvid, "--out", "mine.safetensors", "--about", "blocks of colour")
    first = ds2c2(*command, "--stop-after", "3", "--resume")
    assert "there is no checkpoint runs/mine.pt: training begins anew" in first
    assert "left off at step 1 of 2 of the phase enhancement (3 in all)" in first
    assert "a checkpoint is there already; add --resume" in refused(*command)
    said = ds2c2(*command, "--resume", "--tensorboard", "figures")
    for words in ("wrote mine.safetensors", "held-out pictures: 2, 0.2500 bpp of r, pe_test 16%", "wrote mine.md"):
        assert words in said
    assert next(Path("figures").glob("events.out.tfevents.*")).stat().st_size > 100
    assert not Path("runs/mine-labels").exists()
    card = Path("mine.md").read_text()
    for words in (
        "`paper` profile", "blocks of colour", "4, layout camvid", "rgan, enhancement, 2 steps each, batch 2",
        "zero, by block, pe_train 10% to 30%", "Held-out pictures: 2 (the layout's part val", '"channels": 16',
    ):  # fmt: skip
        assert words in card
    assert re.search(r"\| 16% \| \d+\.\d\d \| – \| \d+\.\d\d \|", card)
    networks = load_networks("mine.safetensors")
    assert (networks.profile, networks.shape.label_set) == ("paper", "camvid")

    # The fast update: label maps of a folder, RGAN as it is.
    update = ("update", "./mine.safetensors", f"{camvid}/train", "--steps", "2", "--device", "cpu")
    said = ds2c2(*update, "--out", "new.safetensors", "--labels", f"{camvid}/trainannot")
    assert re.search(r"held-out pictures: 1, .* pe_test 0%: PSNR \d+\.\d\d dB \(before \d+\.\d\d\)", said)
    before, after = load_file("mine.safetensors"), load_file("new.safetensors")
    assert parts(before, after) == {"encoder", "decoder", "sumnet"}
    assert read_metadata(Path("new.safetensors"))["updated_from"].startswith("mine@")
    assert "| started from | mine@" in Path("new.md").read_text()
    # Label maps of the SegNet in models/, made once.
    said = ds2c2(*update, "--out", "other.safetensors", "--crop", "72")
    assert "label maps of segnet:segnet-camvid are in runs/other-labels" in said
    assert len(list(Path("runs/other-labels").glob("*.png"))) == 4


STUDY = """
recipe = "smoke"
set = ["data.layout=camvid", "networks.label_set=camvid", "training.steps=2", 'training.phases=["rgan"]']
[[model]]
name = "rgan"
[[model]]
name = "pe16"
start_from = "rgan"
set = ['training.phases=["enhancement"]', "channel.pe_train=0.16"]
"""


def test_a_study_trains_its_models_once_each(camvid):
    Path("mine.toml").write_text(STUDY)
    command = ("study", "mine.toml", camvid, "--out", "models", "--jobs", "2", "--device", "cpu")
    said = ds2c2(*command)
    assert said.index("wrote models/rgan.safetensors (1 of 2)") < said.index("wrote models/pe16.safetensors (2 of 2)")
    rgan, other = (load_file(f"models/{name}.safetensors") for name in ("rgan", "pe16"))
    assert parts(rgan, other) == {"encoder", "decoder", "sumnet"}
    assert read_metadata(Path("models/pe16.safetensors"))["started_from"].startswith("rgan@")
    assert "took " in Path("models/pe16.log").read_text()
    # The same command trains nothing anew, and another study's models are no models of this one.
    with open("models/.study.lock", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "models: another study is training there" in refused(*command)
    # A card that a kill kept from being written is made when the weights are moved away, from the checkpoint.
    Path("models/pe16.md").unlink()
    said = ds2c2(*command)
    assert "no card beside models/pe16.safetensors" in said and "2 of them from before" in said
    Path("models/pe16.safetensors").unlink()
    said = ds2c2(*command)
    assert f"`ds2c2 evaluate {camvid} --layout camvid --models models --table all` makes their tables" in said
    assert Path("models/pe16.md").is_file() and not parts(other, load_file("models/pe16.safetensors"))
    # Another RGAN than the one that a model was made on.
    kept = Path("models/rgan.safetensors").read_bytes()
    ds2c2("pack", "models/rgan.safetensors", "--out", "packed.safetensors")
    shutil.copy("packed.safetensors", "models/rgan.safetensors")
    assert re.search(r"pe16.safetensors: started from rgan@\w{8}, not from rgan@\w{8}; choose", refused(*command))
    Path("models/rgan.safetensors").write_bytes(kept)
    Path("mine.toml").write_text(STUDY.replace("0.16", "0.08"))
    assert "pe16.safetensors: trained with channel.pe_train = [0.16, 0.16], the study says [0.08, 0.08]" in refused(
        *command
    )
    # What a run dies of is said, and where the rest of its words are.
    Path("mine.toml").write_text(STUDY + '[[model]]\nname = "more"\nset = ["training.pictures=9"]\n')
    said = refused(*command)
    assert said.startswith("more: its training failed: ds2c2: training.pictures = 9: there are 4")
    assert said.endswith("(models/more.log has all of it)")


def test_a_run_ends_with_its_study_also_when_that_is_killed(camvid):
    """The system closes the other end of its input; nobody else could tell it."""
    run = Run(
        "long", ["train", *CAMVID, camvid, "--out", "long.safetensors", "--set=training.steps=1000000"], Path(), 1
    )
    try:
        run.process.stdin.close()
        assert run.process.wait(DEADLINE_SECONDS) == ExitCode.TERMINATED
    finally:
        run.end()
    assert not Path("long.safetensors").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('recipe = "smoke"', 'a study names its recipe = "NAME" and one [[model]] or more'),
        ('recipe = "smoke"\nsteps = 2', "steps is unknown; a study has recipe, set and [[model]]"),
        ('recipe = "none"\n[[model]]\nname = "a"', "none: no such recipe"),
        ('recipe = "smoke"\n[[model]]\nname = "a/b"', "model name 'a/b': small letters"),
        ('recipe = "smoke"\n[[model]]\nname = "a"\nsteps = 2', "model.steps = 2: a model has name"),
        ('recipe = "smoke"\n[[model]]\nname = "a"\nstart_from = "b"', "a starts from b, which is not among those"),
        ('recipe = "smoke"\n[[model]]\nname = "a"\n[[model]]\nname = "a"', "model a is there twice"),
        ('recipe = "smoke"\n[[model]]\nname = "a"\nset = ["networks.width=0"]', "smoke.toml: width 0 is too small"),
        (
            'recipe = "segnet-camvid"\n[[model]]\nname = "a"',
            "segnet-camvid: a SegNet's recipe; a study is of the paper's networks",
        ),
        ('recipe = "smoke"\nset = [3]\n[[model]]\nname = "a"', "set: a list of texts is wanted"),
        ("recipe =", "not a study in TOML"),
    ],
)
def test_what_is_no_study_is_named(camvid, text, words):
    Path("mine.toml").write_text(text)
    assert words in refused("study", "mine.toml", camvid, "--out", "models")
    assert not Path("models").exists()


def test_two_processes_give_what_one_gives_with_the_whole_batch(camvid):
    """Under torchrun, over gloo: a batch in halves, gradients averaged; both ways of training."""
    command = (
        "train", *CAMVID, camvid, "--set", 'training.phases=["joint", "enhancement"]', "--set", "training.batch=2",
        "--set", "losses.feature_matching=1", "--set", "training.learning_rate=1e-3",
    )  # fmt: skip
    ds2c2(*command, "--out", "one.safetensors")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ds2c2"]
    done = subprocess.run(
        [*torchrun, *command, "--out", "two.safetensors"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote two.safetensors") == 1
    one, two = (torch.load(f"runs/{name}.pt", weights_only=True) for name in ("one", "two"))
    for part in ("networks", "discnets"):
        ours, theirs = one[part], two[part]
        apart = torch.cat([(ours[name] - theirs[name]).abs().flatten() for name in ours])
        # Adam's step has the gradient's sign however small it is; where that is all rounding (biases
        # before an instance norm) it may turn. Elsewhere the steps of 1e-3 are the same.
        assert float((apart < 2e-6).float().mean()) > 0.99
        for name in ours:
            if name.endswith("weight"):
                assert (ours[name] - theirs[name]).norm() < 1e-4 * ours[name].norm().clamp(min=1e-2), name


def test_what_cannot_be_trained_is_refused_before_the_first_step(camvid, tmp_path):
    command = ("train", camvid, "--out", "mine.safetensors")
    assert "--steps: the recipe says that itself" in refused(*command, *CAMVID, "--steps", "3")
    assert "--set goes with --recipe" in refused(*command, "--set", "training.batch=4")
    assert "give --vgg FILE" in refused(*command, *CAMVID, "--set", "losses.vgg=1")
    assert "weights end in .safetensors" in refused("train", camvid, "--out", "mine.pt", *CAMVID)
    assert "no pictures of layout camvid there" in refused("train", str(tmp_path), "--out", "a.safetensors", *CAMVID)
    folder = (f"{camvid}/train", "--out", "a.safetensors", *CAMVID, "--set", "data.layout=folder")
    assert "nowhere: no such folder of label maps" in refused("train", *folder, "--labels", "nowhere")
    assert "2.png: 2 of 4 label maps are missing" in refused("train", *folder, "--labels", f"{camvid}/valannot")
    large = refused(*command, *CAMVID, "--set", "data.width=256", "--set", "data.height=256")
    assert "0.png: 110x90 is smaller than the crop of 256x256" in large
    ade = refused(*command, "--recipe", "ade20k", "--set", "losses.vgg=0")
    assert "it wants images/{training,validation}/*.jpg" in ade
    assert "--vgg is for models of profile paper" in refused(
        "update", "binary", camvid, "--out", "a.safetensors", "--vgg", "x"
    )
    assert not list(Path().iterdir())


def test_a_segnet_is_trained_resumed_and_makes_the_label_maps(camvid):
    command = (
        "train", camvid, "--recipe", "segnet-camvid", "--device", "cpu", "--set", "data.width=64",
        "--set", "data.height=64", "--set", "training.steps=4", "--set", "training.batch=2",
        "--set", "networks.widths=[4, 4, 8]",
    )  # fmt: skip
    ds2c2(*command, "--out", "whole.safetensors")
    first = ds2c2(*command, "--out", "mine.safetensors", "--stop-after", "3", "--resume")
    assert "no checkpoint runs/mine.pt: training begins anew" in first and "left off at step 3 of 4" in first
    said = ds2c2(*command, "--out", "mine.safetensors", "--resume")
    assert "begins anew" not in said
    for part in ("val", "test"):
        found = (
            rf"held-out pictures: \d \(the layout's part {part}.*\), \d+\.\d% of the pixels right, mean IoU \d+\.\d%"
        )
        assert re.search(found, said)
    assert parts(load_file("whole.safetensors"), load_file("mine.safetensors")) == set()
    card = Path("mine.md").read_text()
    assert "makes label maps of camvid" in card and re.search(r"\| IoU of pedestrian \| \d+\.\d% \| \d+\.\d% \|", card)
    assert "of a run with another recipe" in refused(
        *command, "--out", "mine.safetensors", "--resume", "--set", "training.batch=4"
    )
    assert "--vgg is not for a SegNet's recipe" in refused(*command, "--out", "a.safetensors", "--vgg", "x")
    label_maps = ("--labels", "segnet:./mine.safetensors", "--set", "training.steps=1")
    said = ds2c2("train", camvid, *CAMVID, "--out", "paper.safetensors", *label_maps)
    assert "label maps of segnet:./mine.safetensors are in runs/paper-labels" in said
    assert len(list(Path("runs/paper-labels").glob("*.png"))) == 6


def test_tensorboard_without_its_package(camvid, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    said = refused("train", camvid, "--out", "mine.safetensors", *CAMVID, "--tensorboard", "figures")
    assert "--tensorboard needs the package tensorboardX: pip install 'gr-ds2c2[tensorboard]'" in said


def test_the_papers_segnet_without_its_package(camvid, monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    said = refused("train", camvid, "--out", "mine.safetensors", *CAMVID, "--labels", "smp:resnet101:psp.pth")
    assert "needs the package segmentation-models-pytorch: pip install 'gr-ds2c2[segmentation]'" in said
