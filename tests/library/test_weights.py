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
from ds2c2.networks.modelfiles import MODELS_VARIABLE, find_weights, weights_digest
from ds2c2.networks.weights import choose_device, load_networks, read_metadata, save_weights, weights_storage
from ds2c2.networks.weightstorage import round_as_stored
from ds2c2.training.loop import take_weights


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


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_the_same_weights_are_the_same_file(tmp_path, tiny_shape, storage):
    """The digest names them: a stream's text form has it."""
    networks = BinaryNetworks(tiny_shape)
    notes = {f"note {number}": "é" for number in range(20)}
    first = save_weights(tmp_path / "first.safetensors", networks, notes, storage)
    for number in range(5):
        again = save_weights(tmp_path / f"{number}.safetensors", load_networks(first), notes, storage)
        assert again.read_bytes() == first.read_bytes()
    assert read_metadata(first)["note 19"] == "é"


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
        "import sys; from ds2c2.networks.weights import load_networks; "
        "load_networks('binary'); load_networks('coded'); "
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
    assert_one_line(error, "'nosuch'", str(models), "binary", MODELS_VARIABLE)


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
        ({"version": "4"}, ["version '4'", "'1', '2', '3'", "update"]),
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


# Storage in 8 bits


@pytest.fixture(params=["binary", "coded", "paper", "segnet-camvid"])
def any_networks(request, tiny_models):
    """Networks of each profile whose last layers are not zero, as after training."""
    networks = load_networks(tiny_models / f"{request.param}.safetensors")
    generator = torch.Generator().manual_seed(3)
    for tensor in networks.state_dict().values():
        if tensor.is_floating_point():
            tensor += 0.01 * torch.randn(tensor.shape, generator=generator)
    return networks


def convolutions(networks):
    """Names of their weights, and of which dimension their outputs are."""
    kinds = {torch.nn.Conv2d: 0, torch.nn.ConvTranspose2d: 1}
    return {f"{name}.weight": kinds[type(m)] for name, m in networks.named_modules() if type(m) in kinds}


def test_8_bits_are_within_half_a_step_of_each_output_channel(tmp_path, any_networks):
    path = save_weights(tmp_path / "whole.safetensors", any_networks, {"note": "seed 1"}, "int8")
    loaded, outputs = load_networks(path).state_dict(), convolutions(any_networks)
    for name, tensor in any_networks.state_dict().items():
        if name in outputs:
            wide, got = tensor.movedim(outputs[name], 0).flatten(1), loaded[name].movedim(outputs[name], 0).flatten(1)
            step = wide.abs().amax(1, keepdim=True) / 127
            assert ((wide - got).abs() <= 0.5 * step * (1 + 2**-7)).all(), name  # a bfloat16 is so exact
        else:
            assert torch.equal(loaded[name], tensor.half().float() if tensor.is_floating_point() else tensor), name
    metadata = read_metadata(path)
    assert (metadata["note"], metadata["version"], metadata["storage"]) == ("seed 1", "2", "int8")
    assert weights_storage(path) == "int8"


def test_8_bits_are_half_the_size(tmp_path):
    networks = BinaryNetworks(BinaryShape())
    half, whole = (save_weights(tmp_path / f"{s}.safetensors", networks, {}, s) for s in ("float16", "int8"))
    assert 0.49 < whole.stat().st_size / half.stat().st_size < 0.52


def test_8_bits_are_written_again_as_they_were(tmp_path, any_networks):
    """An update leaves the base layer's networks bit for bit as they are, also in this storage."""
    first = save_weights(tmp_path / "first.safetensors", any_networks, {}, "int8")
    second = save_weights(tmp_path / "second.safetensors", load_networks(first), {}, "int8")
    before, after = load_file(first), load_file(second)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    round_as_stored(any_networks, "int8")
    assert all(torch.equal(t, any_networks.state_dict()[name]) for name, t in load_networks(first).state_dict().items())


def test_channels_of_zeros_and_of_the_smallest_numbers_are_stored(tmp_path, tiny_shape):
    networks = BinaryNetworks(tiny_shape)
    name, weight = next((n, p) for n, p in networks.named_parameters() if p.dim() == 4)
    with torch.no_grad():
        weight[0] = 0
        weight[1] = 1e-30
    loaded = load_networks(save_weights(tmp_path / "a.safetensors", networks, {}, "int8")).state_dict()[name]
    assert not loaded[0].any()
    assert torch.allclose(loaded[1], torch.tensor(1e-30), rtol=2**-8)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, name: tensors.pop(f"{name}.scale"),
        lambda tensors, name: tensors.pop(name),
        lambda tensors, name: tensors.update({f"{name}.scale": tensors[f"{name}.scale"].flatten()}),
        lambda tensors, name: tensors.update({f"{name}.scale": tensors[f"{name}.scale"] * float("nan")}),
        lambda tensors, name: tensors.update({name: tensors[name].half()}),
        lambda tensors, name: tensors.update({name: tensors[name][:, :-1].contiguous()}),
    ],
)
def test_tampered_8_bits(tmp_path, tiny_models, change):
    networks = load_networks(tiny_models / "binary.safetensors")
    path = save_weights(tmp_path / "whole.safetensors", networks, {}, "int8")
    tensors = load_file(path)
    change(tensors, "encoder.body.3.weight")
    with pytest.raises(WeightsError) as error:
        load_networks(rewritten(path, tmp_path / "odd.safetensors", tensors))
    assert_one_line(error, "odd.safetensors", "do not fit", "fetch them again")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_8_bits(tmp_path, tiny_models, keep):
    path = save_weights(tmp_path / "cut.safetensors", load_networks(tiny_models / "paper.safetensors"), {}, "int8")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError) as error:
        load_networks(path)
    assert_one_line(error, str(path), "truncated", "fetch it again")


def test_a_run_starts_from_8_bits(tmp_path, tiny_models, tiny_shape):
    source = save_weights(tmp_path / "whole.safetensors", load_networks(tiny_models / "binary.safetensors"), {}, "int8")
    networks = BinaryNetworks(tiny_shape)
    assert take_weights(networks, source) == (len(networks.state_dict()),) * 2
    assert all(torch.equal(t, networks.state_dict()[name]) for name, t in load_networks(source).state_dict().items())
