# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test sees the checkout's library and blocks, installed or not; weights for flowgraphs."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# One thread a process, the processes that tests start included: tests run beside each other, a core each.
# Set before anything imports numpy or torch, which read it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).resolve().parent))

import tinymodels  # noqa: E402
from checkout import use_checkout  # noqa: E402

use_checkout()

# A test is right or wrong on a busy machine too: none is judged by the time its examples take.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def tiny_shape():
    """Networks small enough for tests: the real structure, few channels."""
    from ds2c2.networks.binary import BinaryShape

    return BinaryShape(**tinymodels.BINARY)


@pytest.fixture(scope="session")
def tiny_coded_shape():
    """The same for the profile ``coded``."""
    from ds2c2.networks.coded import CodedShape

    return CodedShape(**tinymodels.CODED)


@pytest.fixture(scope="session")
def tiny_paper_shape():
    """The same for the profile ``paper``."""
    from ds2c2.networks.paper import PaperShape

    return PaperShape(**tinymodels.PAPER)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """A folder with ``binary``, ``coded``, ``paper`` and ``segnet-camvid`` of random weights, always
    the same."""
    return tinymodels.write_tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_vgg(tmp_path_factory):
    """A VGG16 of random weights in torchvision's layout, an eighth as wide."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    tensors, channels, index = {}, 3, 0
    for step in "1 1 M 2 2 M 4 4 4 M 8 8 8 M 8 8 8 M".split():
        if step != "M":
            conv = torch.nn.Conv2d(channels, 8 * int(step), 3)
            tensors |= {f"features.{index}.{name}": p.detach() for name, p in conv.named_parameters()}
            channels = 8 * int(step)
            index += 1  # its ReLU
        index += 1
    path = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture
def models(tiny_models, monkeypatch):
    """The tiny weights are what the models ``binary``, ``coded`` and ``paper`` are."""
    monkeypatch.setenv("DS2C2_MODELS", str(tiny_models))
    return tiny_models


@pytest.fixture
def rendering_models(tiny_models, tiny_coded_shape, monkeypatch, tmp_path_factory):
    """``models`` in a folder of their own, with ``eye``: another decoder for what ``coded`` sends."""
    import torch

    from ds2c2.networks.coded import CodedNetworks
    from ds2c2.networks.weights import save_weights
    from ds2c2.training.finish import origin

    folder = tmp_path_factory.mktemp("rendering")
    for path in tiny_models.iterdir():
        shutil.copy(path, folder)
    torch.manual_seed(2)
    networks = CodedNetworks(tiny_coded_shape)
    torch.nn.init.normal_(networks.decoder.leave4[1].weight, std=0.02)
    save_weights(
        folder / "eye.safetensors", networks, {}, part_of="decoder.", rest_from=origin(folder / "coded.safetensors")
    )
    monkeypatch.setenv("DS2C2_MODELS", str(folder))
    return folder


@pytest.fixture
def endpoint():
    """A ZeroMQ endpoint of its own. A socket's path has 107 characters at most: tmp_path may be longer."""
    with tempfile.TemporaryDirectory(prefix="ds2c2-", dir="/tmp") as folder:
        yield f"ipc://{folder}/air"
