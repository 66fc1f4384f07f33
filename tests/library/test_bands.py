# SPDX-License-Identifier: GPL-3.0-or-later
"""Large pictures go through the networks in bands of rows, and nobody sees where these were cut."""

import pytest
import torch

from ds2c2.networks import bands
from ds2c2.networks.coded import CodedNetworks, CodedShape

SHAPE = CodedShape(
    fine_steps=2,
    fine_width=6,
    fine_blocks=1,
    luma=12,
    chroma=4,
    widths=(6, 6, 6),
    encoder_blocks=(2, 1, 2),
    decoder_blocks=(2, 2, 1),
    scale_width=8,
)
ROWS, COLUMNS = 21, 5  # cells


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(1)
    networks = CodedNetworks(SHAPE)
    for parameter in networks.parameters():
        if parameter.dim() == 4 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)  # what starts at zero would hide everything
    return networks.eval().requires_grad_(False)


def pictures(networks):
    """x', coefficients and residual, of random inputs."""
    torch.manual_seed(2)
    size = (16 * ROWS, 16 * COLUMNS)
    base = networks.base_picture(torch.rand(1, 3, 2 * ROWS, 2 * COLUMNS))
    coefficients = networks.encoder(torch.randn(1, 3, *size) / 8, base)
    mask = (torch.rand(coefficients.shape) > 0.3).float()
    known = torch.rand(1, SHAPE.scale_width, ROWS, COLUMNS)
    step = torch.full((1, 1, ROWS, COLUMNS), 5.5)
    return base, coefficients, networks.decoder(coefficients * mask, mask, known, step, base)


def close(first, second):
    return all(
        torch.allclose(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item()) for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("rows", [1, 5, 8])
def test_bands_give_what_the_whole_picture_gives(networks, monkeypatch, rows):
    with torch.no_grad():
        whole = pictures(networks)
        monkeypatch.setattr(bands, "PIXELS_AT_ONCE", 16 * rows * 16 * COLUMNS)
        monkeypatch.setattr(bands, "FLOATS_AT_ONCE", 1)
        monkeypatch.setattr(bands, "LEAST_ROWS", 2 + rows)
        assert close(pictures(networks), whole)


def test_with_gradients_there_is_one_band(networks, monkeypatch):
    with torch.no_grad():
        whole = pictures(networks)
    monkeypatch.setattr(bands, "PIXELS_AT_ONCE", 1)
    with torch.enable_grad():
        assert close(pictures(networks), whole)


def test_what_goes_in_stays_as_it_was(networks):
    torch.manual_seed(2)
    base = torch.rand(1, 3, 16 * ROWS, 16 * COLUMNS)
    coefficients = torch.randn(1, SHAPE.channels, ROWS, COLUMNS)
    step = torch.full((1, 1, ROWS, COLUMNS), 5.5)
    given = [coefficients, torch.ones_like(coefficients), torch.rand(1, SHAPE.scale_width, ROWS, COLUMNS), step, base]
    before = [x.clone() for x in given]
    with torch.no_grad():
        networks.decoder(*given)
        networks.encoder(given[-1], given[-1])
        networks.finenets[0](given[-1])
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
