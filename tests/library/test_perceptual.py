# SPDX-License-Identifier: GPL-3.0-or-later
"""A decoder trained for the eye: what is sent stays bit for bit, and its file names where the rest is."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ds2c2.codec.codec import Codec
from ds2c2.errors import UserError, WeightsError
from ds2c2.networks.coded import CodedNetworks
from ds2c2.networks.weights import load_networks, read_metadata, save_weights, weights_storage
from ds2c2.pictures.pictures import write_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.training.finish import finish, origin
from ds2c2.training.loop import TrainingSettings, train
from ds2c2.training.perceptual import start_shape
from ds2c2.training.recipes import CodedRecipe
from ds2c2.training.vgg import VggFeatures

CPU = torch.device("cpu")


@pytest.fixture
def pictures(tmp_path):
    import skimage.data

    pieces = [getattr(skimage.data, name)()[60:188, 100:260] for name in ("astronaut", "coffee")]
    return [write_picture(tmp_path / f"{i}.png", np.ascontiguousarray(piece)) for i, piece in enumerate(pieces)]


@pytest.fixture
def source(tmp_path, tiny_coded_shape):
    torch.manual_seed(2)
    networks = CodedNetworks(tiny_coded_shape)
    CodedRecipe().prepare(networks)
    return save_weights(tmp_path / "mine.safetensors", networks, {})


@pytest.fixture
def trained(source, pictures, tiny_vgg, tiny_coded_shape):
    """The eye's decoder in 8 bits, beside ``mine``, after three steps."""
    settings = TrainingSettings(
        3, 2, 64, 1e-2, 1, "float32", tiny_coded_shape, origin(source), objective="perceptual"
    )  # fmt: skip
    trainer = train(settings, pictures, None, CPU, False, lambda _: None, start=source, vgg=VggFeatures(tiny_vgg))
    return finish(trainer, source.with_name("eye.safetensors"), pictures, "int8")


def test_only_the_decoder_moves_and_only_it_is_stored(source, trained):
    assert all(name.startswith("decoder.") for name in load_file(trained))
    assert (read_metadata(trained)["rest_from"], weights_storage(trained)) == (origin(source), "int8")
    before, after = load_networks(source).state_dict(), load_networks(trained).state_dict()
    assert before.keys() == after.keys()
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    weights = {name for name in before if name.startswith("decoder.") and not name.endswith("bias")}
    # A bias may have moved by less than half precision holds.
    assert weights <= moved <= {name for name in before if name.startswith("decoder.")}


def test_what_is_sent_is_the_same_and_what_is_seen_is_not(source, trained, pictures, monkeypatch):
    monkeypatch.setenv("DS2C2_MODELS", str(source.parent))
    from ds2c2.pictures.pictures import read_picture

    picture = read_picture(pictures[0])
    blocks, seen = [], []
    for model in ("mine", "eye"):
        codec = Codec(StreamFormat(160, 128, bpp=0.8, model=model), "cpu")
        blocks.append(codec.encode(picture).blocks)
        seen.append(codec.decode(to_soft(blocks[-1], np.ones(len(blocks[-1]), bool))).picture)
    assert np.array_equal(*blocks)
    assert not np.array_equal(*seen)


def test_training_goes_on_from_a_partial_file(source, trained, pictures, tiny_coded_shape):
    settings = TrainingSettings(1, 1, 64, 1e-3, 1, "float32", tiny_coded_shape, origin(trained))
    said = []
    train(settings, pictures, None, CPU, False, lambda _: None, start=trained, say=said.append)
    count = len(load_networks(source).state_dict())
    assert said == [f"took {count} of {count} tensors from {origin(trained)}"]


def test_without_its_rest_it_says_what_is_missing(source, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("DS2C2_MODELS", str(tmp_path / "empty"))
    alone = Path(shutil.copy(trained, tmp_path / "elsewhere.safetensors"))
    name = origin(source)
    source.unlink()
    with pytest.raises(WeightsError, match=f"elsewhere.safetensors: holds a part .* in {name}, which is not here"):
        load_networks(alone)


def test_with_another_rest_it_is_refused(source, trained, tiny_coded_shape):
    name = origin(source)
    torch.manual_seed(9)
    save_weights(source, CodedNetworks(tiny_coded_shape), {})
    with pytest.raises(WeightsError, match=f"eye.safetensors: goes with {name}, and .* is {origin(source)}"):
        load_networks(trained)


def test_a_program_that_knows_no_partial_files_refuses_the_version(trained, monkeypatch):
    """One that read them as whole ones would lack an encoder, or decode with the wrong one."""
    assert read_metadata(trained)["objective"] == "perceptual"
    monkeypatch.setattr("ds2c2.networks.modelfiles.KNOWN_VERSIONS", ("1", "2"))
    with pytest.raises(WeightsError, match="weights version '3', this program reads '1', '2'; update the program"):
        load_networks(trained)


def test_a_resumed_run_gives_the_unbroken_runs_decoder(source, pictures, tiny_vgg, tiny_coded_shape, tmp_path):
    settings = TrainingSettings(
        4, 1, 64, 1e-2, 1, "bfloat16", tiny_coded_shape, origin(source), objective="perceptual"
    )  # fmt: skip
    vgg = VggFeatures(tiny_vgg)

    def run(name, **more):
        return train(settings, pictures, tmp_path / name, CPU, "resume" in more, lambda _: None, start=source, vgg=vgg,
                     **{key: value for key, value in more.items() if key != "resume"})  # fmt: skip

    unbroken = run("a.pt")
    run("b.pt", stop_after=2)
    resumed = run("b.pt", resume=True)
    for name, tensor in unbroken.average.state_dict().items():
        assert torch.equal(tensor, resumed.average.state_dict()[name]), name
    with pytest.raises(WeightsError, match="trained with objective = perceptual, now mse"):
        settings = replace(settings, objective="mse")
        run("b.pt", resume=True)


def test_what_it_cannot_start_from(source, trained, models):
    with pytest.raises(UserError, match="not of binary"):
        start_shape("binary", str(source), "a.safetensors")
    with pytest.raises(UserError, match="give --start-from"):
        start_shape("coded", "", "a.safetensors")
    for start in ("binary", str(trained)):
        with pytest.raises(UserError, match="whole weights of profile coded"):
            start_shape("coded", start, "a.safetensors")
    with pytest.raises(UserError, match="called like the weights"):
        start_shape("coded", str(source), "runs/mine.safetensors")
