# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile is three files: networks, what becomes of its symbols, and an entry in the table."""

import sys
import textwrap

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from ds2c2.codec.codec import Codec
from ds2c2.errors import WeightsError
from ds2c2.networks.modelfiles import MODELS_VARIABLE
from ds2c2.networks.profiles import PROFILES, ProfileSpec
from ds2c2.networks.weights import codec_profile, load_networks, resolve_interleave, save_weights
from ds2c2.pictures.metrics import psnr
from ds2c2.pictures.pictures import fit_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

NETWORKS = """
    from dataclasses import asdict, dataclass

    import torch
    from torch import nn

    from ds2c2.networks.finenet import refine
    from ds2c2.stream.geometry import REDUCTION


    @dataclass(frozen=True)
    class ToyShape:
        cell: int = 4

        def as_dict(self):
            return asdict(self)

        @classmethod
        def from_dict(cls, fields):
            return cls(**fields)


    class ToyNetworks(nn.Module):
        profile = "toy"

        def __init__(self, shape):
            super().__init__()
            self.shape = shape
            self.size = nn.Parameter(torch.tensor(0.0))

        def base_picture(self, small):
            return refine(small, REDUCTION, ())
"""
CODEC = """
    import numpy as np
    import torch
    from torch.nn import functional as F

    from ds2c2.codec.baselayer import pack_base
    from ds2c2.codec.profiles.profile import EncodedLayers, Profile
    from ds2c2.codec.smallpicture import reduce_picture
    from ds2c2.pictures.pictures import to_tensor
    from ds2c2.stream.geometry import REDUCTION


    class ToyProfile(Profile):
        # One bit says whether a small cell is brighter than x' there.

        def encode(self, picture, side_info, favour, labels=None):
            stream = self.stream
            container = pack_base(reduce_picture(picture, REDUCTION), side_info, stream.base_bytes)
            base = self.read_base(container)
            residual = (to_tensor(picture) - base.picture).mean(1, keepdim=True)
            bits = np.zeros(stream.enhancement_bits, np.uint8)
            brighter = (F.avg_pool2d(residual, self.networks.shape.cell) > 0).flatten().numpy()[: len(bits)]
            bits[: len(brighter)] = brighter
            blocks = np.packbits(bits).reshape(-1, stream.block_size)
            return EncodedLayers(container, blocks, base.picture, base.layer.small_bytes)

        def decode(self, soft, base):
            cell = self.networks.shape.cell
            rows, columns = base.picture.shape[2] // cell, base.picture.shape[3] // cell
            signs = torch.zeros(rows * columns)
            sent = torch.from_numpy(soft.reshape(-1)[: len(signs)].astype(np.float32))
            signs[: len(sent)] = sent
            lifted = F.interpolate(signs.view(1, 1, rows, columns), scale_factor=cell)
            return base.picture + self.networks.size * lifted, 0
"""
SPEC = ProfileSpec(
    name="toy",
    networks="toy_networks:ToyNetworks",
    shape="toy_networks:ToyShape",
    codec="toy_codec:ToyProfile",
    interleave="bit",
    bears_flips=True,
)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The three files, and weights of the profile."""
    (tmp_path / "toy_networks.py").write_text(textwrap.dedent(NETWORKS))
    (tmp_path / "toy_codec.py").write_text(textwrap.dedent(CODEC))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PROFILES, "toy", SPEC)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    networks = SPEC.load("networks")(SPEC.load("shape")())
    torch.nn.init.constant_(networks.size, 0.04)
    save_weights(tmp_path / "toy.safetensors", networks, {})
    yield
    for name in ("toy_networks", "toy_codec"):
        sys.modules.pop(name, None)


def test_a_profile_of_three_files_sends_pictures(toy):
    assert codec_profile("toy") is SPEC
    assert load_networks("toy").size == pytest.approx(0.04, abs=1e-4)
    stream = StreamFormat(256, 192, bpp=0.3, interleave=resolve_interleave("auto", "toy"), model="toy")
    assert stream.interleave == "bit"
    codec = Codec(stream, "cpu")
    picture = fit_picture(astronaut(), 256, 192, "scale")
    encoded = codec.encode(picture)
    assert encoded.blocks.shape == (stream.blocks, stream.block_size)
    arrived = np.ones(stream.blocks, bool)
    whole = codec.decode(to_soft(encoded.blocks, arrived))
    arrived[stream.base_blocks :: 2] = False
    half = codec.decode(to_soft(encoded.blocks, arrived))
    base = psnr(picture, whole.base_picture)
    assert psnr(picture, whole.picture) > psnr(picture, half.picture) > base + 0.01


@pytest.mark.parametrize("spec", PROFILES.values(), ids=lambda spec: spec.name)
def test_every_part_that_a_profile_names_is_there(spec):
    for part in ("networks", "shape", "codec", "recipe", "judge", "rules"):
        if getattr(spec, part):
            assert spec.load(part)
    assert spec.load("networks").profile == spec.name
    assert spec.load("shape").from_dict(spec.load("shape")().as_dict()) == spec.load("shape")()


def test_a_segnet_is_no_codec(models):
    with pytest.raises(WeightsError, match="choose a codec's"):
        codec_profile("segnet-camvid")
