# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test sees the checkout's library and blocks, installed or not; weights for flowgraphs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checkout import use_checkout  # noqa: E402

use_checkout()


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """A folder with tiny random weights named ``binary``."""
    import torch

    from ds2c2.networks.binary import BinaryNetworks, BinaryShape
    from ds2c2.weights import save_weights

    torch.manual_seed(1)
    shape = BinaryShape(
        fine_steps=1,
        fine_width=8,
        fine_blocks=1,
        widths=(8, 8, 8),
        encoder_blocks=(0, 0, 1),
        decoder_blocks=(0, 0, 1),
        sum_width=8,
        sum_blocks=1,
    )
    folder = tmp_path_factory.mktemp("weights")
    save_weights(folder / "binary.safetensors", BinaryNetworks(shape), {})
    return folder


@pytest.fixture
def models(tiny_weights, monkeypatch):
    """The tiny weights are what the model ``binary`` is."""
    monkeypatch.setenv("DS2C2_MODELS", str(tiny_weights))
    return tiny_weights
