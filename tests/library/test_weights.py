# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights files: found by name, self-describing, and refused in one line when they do not fit."""

import hashlib
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from ds2c2.errors import DeviceError, WeightsError
from ds2c2.networks.binary import BinaryNetworks, BinaryShape
from ds2c2.weights import (
    FOLDER_VARIABLE,
    choose_device,
    find_weights,
    load_networks,
    read_metadata,
    save_weights,
    weights_digest,
)


def test_weights_come_back_in_half_precision(tmp_path, tiny_shape):
    networks = BinaryNetworks(tiny_shape)
    path = save_weights(tmp_path / "deep" / "mine.safetensors", networks, {"note": "seed 1"})
    loaded = load_networks(path)
    assert loaded.shape == tiny_shape
    for name, tensor in networks.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float()), name
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert read_metadata(path)["note"] == "seed 1"
    assert [entry.name for entry in path.parent.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize("model", ["binary", "coded"])
def test_loading_draws_nothing(models, model):
    """Whoever draws after loading, in training or in a channel, draws the same as without."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_networks(model)
    assert torch.equal(torch.rand(3), expected)


def test_loading_is_light(models):
    """torch's compiler takes as long to import as torch itself, and nothing here compiles."""
    script = (
        "import sys; from ds2c2.weights import load_networks; load_networks('binary'); load_networks('coded'); "
        "sys.exit(', '.join({'sympy', 'torch._dynamo'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr


def test_the_digest_is_that_of_the_file(models):
    data = (models / "binary.safetensors").read_bytes()
    assert weights_digest("binary") == hashlib.sha256(data).hexdigest()


def test_a_name_is_looked_up_first_in_the_folder_of_the_environment(models):
    assert find_weights("binary") == models / "binary.safetensors"


def assert_one_line(error, *words):
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_an_unknown_name_lists_what_is_known(models):
    with pytest.raises(WeightsError) as error:
        find_weights("nosuch")
    assert_one_line(error, "'nosuch'", str(models), "binary", FOLDER_VARIABLE)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(WeightsError) as error:
        load_networks(tmp_path / "gone.safetensors")
    assert_one_line(error, "gone.safetensors", "no such weights")


def rewritten(source, path, tensors=None, **metadata):
    """The weights of source with other metadata (None leaves one out) or other tensors."""
    kept = {key: value for key, value in (read_metadata(source) | metadata).items() if value is not None}
    save_file(load_file(source) if tensors is None else tensors, path, metadata=kept)
    return path


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_weights(tmp_path, tiny_models, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes((tiny_models / "binary.safetensors").read_bytes()[:keep])
    with pytest.raises(WeightsError) as error:
        load_networks(path)
    assert_one_line(error, str(path), "truncated", "fetch it again")


def test_a_pickle_is_never_read(tmp_path, tiny_shape):
    path = tmp_path / "pickle.safetensors"
    torch.save(BinaryNetworks(tiny_shape).state_dict(), path)
    with pytest.raises(WeightsError) as error:
        load_networks(path)
    assert_one_line(error, "not a safetensors file")


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"profile": "other"}, ["'other'", "'binary'", "'coded'"]),
        ({"profile": None}, ["None", "'binary'"]),
        ({"version": "2"}, ["version '2'", "'1'", "update"]),
        ({"version": None}, ["version None"]),
        ({"shape": None}, ["do not fit"]),
        ({"shape": "{"}, ["do not fit"]),
        ({"shape": "[1]"}, ["do not fit"]),
        ({"shape": '{"sides": 3}'}, ["do not fit"]),
        ({"shape": '{"widths": [1, 2]}'}, ["do not fit"]),
        ({"shape": json.dumps(BinaryShape().as_dict())}, ["do not fit"]),
    ],
)
def test_weights_of_another_kind(tmp_path, tiny_models, metadata, words):
    path = rewritten(tiny_models / "binary.safetensors", tmp_path / "odd.safetensors", **metadata)
    with pytest.raises(WeightsError) as error:
        load_networks(path)
    assert_one_line(error, str(path), *words)


def test_weights_with_a_tensor_missing(tmp_path, tiny_models):
    tensors = load_file(tiny_models / "binary.safetensors")
    tensors.pop(next(iter(tensors)))
    path = rewritten(tiny_models / "binary.safetensors", tmp_path / "less.safetensors", tensors)
    with pytest.raises(WeightsError) as error:
        load_networks(path)
    assert_one_line(error, str(path), "do not fit")


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["tpu", "meta", "mps", "", "cuda:x", "gpu"])
def test_unknown_devices_are_named(name):
    with pytest.raises(DeviceError) as error:
        choose_device(name)
    assert_one_line(error, repr(name), "auto, cpu, cuda or cuda:N")


@pytest.mark.parametrize("name", ["cuda", "cuda:7"])
def test_a_gpu_that_is_not_there_is_named(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(DeviceError) as error:
        choose_device(name)
    assert_one_line(error, repr(name), "sees 0 GPUs", "--device cpu")
