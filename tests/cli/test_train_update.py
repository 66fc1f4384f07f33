# SPDX-License-Identifier: GPL-3.0-or-later
"""train --profile coded and update: the weights and cards they write, and what they refuse."""

import re
import shutil

import pytest
import torch
from safetensors.torch import load_file

from ds2c2 import errors
from ds2c2.networks.coded import CodedNetworks, CodedShape
from ds2c2.networks.weights import load_networks, read_metadata, save_weights
from ds2c2.training.recipes import CodedRecipe

TRAIN = ("--profile", "coded", "--steps", "4", "--batch", "1", "--crop", "64")
UPDATE = ("--steps", "3", "--crop", "64")


@pytest.fixture
def tiny_coded(tmp_path):
    """A file of tiny coded weights, always the same."""
    shape = CodedShape(fine_width=8, fine_blocks=1, luma=24, chroma=8, widths=(8, 8, 8), scale_width=16)
    torch.manual_seed(1)
    networks = CodedNetworks(shape)
    CodedRecipe().prepare(networks)
    return save_weights(tmp_path / "tiny.safetensors", networks, {})


def refused(process, code, *words):
    """One line on stderr with these words, and the code."""
    assert process.returncode == code, process.stderr
    assert process.stderr.count("\n") == 1, process.stderr
    for word in words:
        assert word in process.stderr


def test_coded_training_is_resumed_and_ends_in_weights_with_a_card(ds2c2, photographs, tmp_path):
    arguments = ("train", photographs, *TRAIN, "--about", "three photographs", "--out", "mine.safetensors")
    first = ds2c2(*arguments, "--stop-after", "2")
    assert "left off at step 2 of 4" in first.stdout
    assert not (tmp_path / "mine.safetensors").exists()
    second = ds2c2(*arguments, "--resume")
    assert second.returncode == 0, second.stderr
    assert "held-out pictures: 1," in second.stdout and "wrote mine.md" in second.stdout
    networks = load_networks(tmp_path / "mine.safetensors")
    assert networks.profile == "coded" and networks.symbol_rows.any()
    card = (tmp_path / "mine.md").read_text()
    for word in ("`coded` profile", "three photographs", "4 of 4, batch 1, crops of 64", "'luma': 200", "terms"):
        assert word in card
    assert re.search(r"\| 16% \| \d+\.\d\d \| \d+\.\d\d \|", card)


def test_held_out_pictures_are_named_and_not_trained_on(ds2c2, photographs, tmp_path):
    done = ds2c2(
        "train", photographs, *TRAIN, "--out", "a.safetensors", "--steps", "1", "--hold-out", "photographs/coffee.png"
    )
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "a.md").read_text()
    assert "| of them trained on | 2, by folder photographs: 2 |" in card
    assert "Held-out pictures: 1 (named by --hold-out)" in card
    everything = ds2c2("train", photographs, *TRAIN, "--out", "b.safetensors", "--hold-out", photographs)
    refused(everything, errors.PictureError.exit_code, "none is left to train on")


def test_a_start_is_taken_and_named(ds2c2, photographs, tiny_coded, tmp_path):
    done = ds2c2("train", photographs, *TRAIN, "--steps", "1", "--out", "a.safetensors", "--start-from", tiny_coded)
    assert done.returncode == 0, done.stderr
    assert re.search(r"took \d+ of \d+ tensors from tiny@[0-9a-f]{8}", done.stdout)
    assert "| started from | tiny@" in (tmp_path / "a.md").read_text()
    assert read_metadata(tmp_path / "a.safetensors")["started_from"].startswith("tiny@")


def test_an_update_writes_weights_that_say_what_they_came_from(ds2c2, photographs, tiny_coded, tmp_path):
    done = ds2c2("update", tiny_coded, photographs, "--out", "new.safetensors", *UPDATE)
    assert done.returncode == 0, done.stderr
    assert "updated in" in done.stdout and "on 2 pictures" in done.stdout
    assert "before" in done.stdout and "at each quantizer step" in done.stdout
    before, after = load_file(tiny_coded), load_file(tmp_path / "new.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("finenets."))
    assert not torch.equal(before["encoder.transform"], after["encoder.transform"])
    card = (tmp_path / "new.md").read_text()
    assert "| updated from | tiny@" in card and "PSNR dB before" in card
    assert not (tmp_path / "runs").exists()


def test_an_update_of_binary_weights_is_judged_by_the_pictures_named(ds2c2, photographs, tmp_path):
    import skimage.data
    from PIL import Image

    Image.fromarray(skimage.data.rocket()[:256, :256]).save(tmp_path / "rocket.png")
    done = ds2c2("update", "binary", photographs, "--out", "new.safetensors", *UPDATE, "--judge", "rocket.png")
    assert done.returncode == 0, done.stderr
    assert "on 3 pictures" in done.stdout and "held-out pictures: 1," in done.stdout
    card = (tmp_path / "new.md").read_text()
    assert "Held-out pictures: 1 (named by --judge), centre 256x256" in card


def test_an_unknown_profile_lists_the_known(ds2c2, photographs, tmp_path):
    process = ds2c2("train", photographs, "--out", "a.safetensors", "--profile", "codet")
    refused(process, 1, "--profile codet", "binary, coded")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photographs"]


@pytest.mark.parametrize("command", [("train",), ("update", "binary")])
def test_what_both_refuse_leaves_nothing_behind(ds2c2, photographs, tmp_path, command):
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    out = ("--out", "a.safetensors")
    refused(ds2c2(*command, "nowhere", *out), errors.PictureError.exit_code, "nowhere: no such file")
    refused(ds2c2(*command, "empty", *out), errors.PictureError.exit_code, "empty: no pictures there")
    small = ds2c2(*command, photographs, *out, "--crop", "144")
    refused(small, errors.PictureError.exit_code, "160x128 is smaller than the crop of 144")
    refused(ds2c2(*command, photographs, *out, "--crop", "60"), 1, "--crop 60: must be a multiple of 16")
    refused(ds2c2(*command, photographs, *out, "--crop", "0"), 1, "--crop 0: must be a multiple of 16")
    refused(
        ds2c2(*command, photographs, "--out", "a.pt"),
        errors.FileError.exit_code,
        "--out a.pt: weights end in .safetensors",
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_an_update_needs_weights_pictures_beside_the_judges_and_another_name(ds2c2, photographs, tiny_coded):
    out = ("--out", "a.safetensors")
    refused(ds2c2("update", "nosuch", photographs, *out), errors.WeightsError.exit_code, "'nosuch' is unknown")
    one = ds2c2("update", tiny_coded, photographs / "coffee.png", *out)
    refused(one, errors.PictureError.exit_code, "no picture is left to train on")
    refused(
        ds2c2("update", tiny_coded, photographs, "--out", tiny_coded), errors.FileError.exit_code, "choose another name"
    )


def test_a_checkpoint_of_the_other_profile_is_refused(ds2c2, photographs):
    arguments = ("train", photographs, "--steps", "2", "--crop", "64", "--batch", "1", "--out", "a.safetensors")
    assert ds2c2(*arguments, "--profile", "binary", "--stop-after", "1").returncode == 0
    process = ds2c2(*arguments, "--resume")
    refused(process, errors.WeightsError.exit_code, "profile 'binary', this run is 'coded'")


def test_a_decoder_for_the_eye_is_trained_and_used(ds2c2, photographs, tiny_models, tiny_vgg, tmp_path):
    arguments = ("train", photographs, *TRAIN, "--objective", "perceptual", "--out", "eye.safetensors")
    refused(ds2c2(*arguments, "--vgg", tiny_vgg), 1, "give --start-from")
    start = ("--start-from", "coded")
    refused(ds2c2(*arguments, *start), errors.WeightsError.exit_code, "--vgg FILE", "--objective mse")
    refused(ds2c2("train", photographs, *TRAIN, *start, "--vgg", tiny_vgg, "--out", "a.safetensors"), 1, "--objective")
    assert not list(tmp_path.rglob("*.safetensors")) and not list(tmp_path.rglob("*.pt"))
    done = ds2c2(*arguments, *start, "--vgg", tiny_vgg)
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "eye.md").read_text()
    assert "the decoder alone" in card and "| started from | coded@" in card and "L1 + SSIM + VGG" in card
    folders = {"DS2C2_MODELS": str(tmp_path)}
    shutil.copy(tiny_models / "coded.safetensors", tmp_path)
    sent = ds2c2("send", photographs / "coffee.png", "--model", "eye", "--to", "a.ds2c2", **folders)
    assert sent.returncode == 0, sent.stderr
    got = ds2c2("receive", "--from", "a.ds2c2", "--out", "got", **folders)
    assert got.returncode == 0, got.stderr
    assert len(list((tmp_path / "got").glob("*.png"))) == 1


@pytest.mark.parametrize("command", ["train", "update"])
def test_a_run_that_dies_while_it_judges_leaves_a_card(photographs, models, tmp_path, monkeypatch, command):
    """Weights are never without the terms of their pictures."""
    from ds2c2.cli.program import main
    from ds2c2.evaluation import judge

    monkeypatch.chdir(tmp_path)
    measure = judge.judge

    def killed(weights, *arguments, **options):
        if weights.name == "a.safetensors":
            raise KeyboardInterrupt
        return measure(weights, *arguments, **options)

    monkeypatch.setattr(judge, "judge", killed)
    words = {"train": ("train", "photographs", *TRAIN), "update": ("update", "coded", "photographs", *UPDATE)}[command]
    monkeypatch.setattr("sys.argv", ["ds2c2", *words, "--about", "three photographs", "--out", "a.safetensors"])
    with pytest.raises(SystemExit):
        main()
    card = (tmp_path / "a.md").read_text()
    assert "| pictures | three photographs |" in card and "not judged, the program was ended before" in card
