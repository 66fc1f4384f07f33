# SPDX-License-Identifier: GPL-3.0-or-later
"""pack, and --storage of train and update: weights in 8 bits, their cards, and what is refused."""

import hashlib
import re
import shutil

import pytest

from ds2c2 import errors
from ds2c2.networks.weights import read_metadata, weights_storage

TRAIN = ("--profile", "binary", "--steps", "1", "--batch", "1", "--crop", "64", "--hold-out", "photographs/coffee.png")


def refused(process, code, *words):
    """One line on stderr with these words, and the code."""
    assert process.returncode == code, process.stderr
    assert process.stderr.count("\n") == 1, process.stderr
    for word in words:
        assert word in process.stderr


def test_packed_weights_say_their_sizes_carry_the_card_and_serve_a_link(ds2c2, tiny_models, photographs, tmp_path):
    shutil.copy(tiny_models / "binary.safetensors", tmp_path / "mine.safetensors")
    (tmp_path / "mine.md").write_text("# mine\n\nWeights, 0.01 M parameters, half precision.\n\nTerms: none.\n")
    done = ds2c2("pack", "./mine.safetensors", "--out", "small.safetensors")
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256((tmp_path / "small.safetensors").read_bytes()).hexdigest()
    assert re.search(
        rf"wrote small.safetensors \(\d\.\d\d MB, mine@[0-9a-f]{{8}} had \d\.\d\d MB\), SHA-256 {digest}", done.stdout
    )
    assert read_metadata(tmp_path / "small.safetensors")["packed_from"].startswith("mine@")
    card = (tmp_path / "small.md").read_text()
    assert (
        card.startswith("# small\n")
        and "convolutions in 8 bits" in card
        and "Terms: none." in card
        and "Packed with `ds2c2 pack`" in card
    )
    sent = ds2c2(
        "send",
        photographs / "coffee.png",
        "--model",
        "small",
        "--bpp",
        "0.6",
        "--to",
        "a.ds2c2",
        DS2C2_MODELS=str(tmp_path),
    )
    assert sent.returncode == 0, sent.stderr
    got = ds2c2("receive", "--from", "a.ds2c2", "--out", "got", DS2C2_MODELS=str(tmp_path))
    assert got.returncode == 0, got.stderr
    assert f"small@{digest[:8]}" in sent.stdout + got.stdout


def test_what_pack_refuses(ds2c2, tiny_models, tmp_path):
    shutil.copy(tiny_models / "binary.safetensors", tmp_path / "mine.safetensors")
    before = sorted(tmp_path.rglob("*"))
    refused(ds2c2("pack", "nosuch", "--out", "a.safetensors"), errors.WeightsError.exit_code, "'nosuch' is unknown")
    refused(ds2c2("pack", "binary", "--out", "a.pt"), errors.ExitCode.PLACE, "--out a.pt: weights end in .safetensors")
    own = ("./mine.safetensors", "--out", "mine.safetensors")
    refused(ds2c2("pack", *own), errors.ExitCode.PLACE, "the weights that are packed; choose another name")
    refused(ds2c2("pack", "coded", "--out", "a.safetensors"), 1, "coded: ", "entropy coder's tables", "--storage int8")
    assert sorted(tmp_path.rglob("*")) == before


def test_training_writes_8_bits_and_an_update_keeps_them(ds2c2, photographs, tmp_path):
    done = ds2c2("train", photographs, *TRAIN, "--storage", "int8", "--out", "mine.safetensors")
    assert done.returncode == 0, done.stderr
    assert "convolutions in 8 bits" in (tmp_path / "mine.md").read_text()
    arguments = ("./mine.safetensors", photographs, "--steps", "1", "--crop", "64")
    for name, option, expected in (("a", (), "int8"), ("b", ("--storage", "float16"), "float16")):
        done = ds2c2("update", *arguments, *option, "--out", f"{name}.safetensors")
        assert done.returncode == 0, done.stderr
        assert weights_storage(tmp_path / f"{name}.safetensors") == expected


@pytest.mark.parametrize("command", [("train",), ("update", "binary")])
def test_another_storage_is_refused(ds2c2, photographs, command):
    process = ds2c2(*command, photographs, "--storage", "int4", "--out", "a.safetensors")
    assert process.returncode == 2 and "'float16', 'int8'" in process.stderr
