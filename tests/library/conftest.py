# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks small enough for tests: random weights, the real structure."""

import pytest
import torch

from ds2c2.networks.binary import BinaryNetworks, BinaryShape
from ds2c2.weights import FOLDER_VARIABLE, save_weights

TINY = BinaryShape(
    fine_width=8,
    fine_blocks=1,
    widths=(8, 8, 8),
    encoder_blocks=(0, 1, 1),
    decoder_blocks=(1, 1, 1),
    sum_width=4,
    sum_blocks=1,
)


@pytest.fixture(scope="session")
def tiny_shape():
    return TINY


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """A folder with ``binary.safetensors`` of random weights, always the same."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    save_weights(folder / "binary.safetensors", BinaryNetworks(TINY), {})
    return folder


@pytest.fixture
def models(tiny_models, monkeypatch):
    """The same, found by name."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tiny_models))
    return tiny_models
