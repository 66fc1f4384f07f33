# SPDX-License-Identifier: GPL-3.0-or-later
"""What layers do without gradients is what torch's own do."""

import pytest
import torch
from torch.nn import functional as F

from ds2c2.networks.layers import add_shuffled, enlarge, shuffle, unshuffle

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_pixels_are_shuffled_as_torch_does_it(layout):
    generator = torch.Generator().manual_seed(1)
    one, two = (torch.rand(2, 3, 16, 24, generator=generator).contiguous(memory_format=layout) for _ in range(2))
    features = torch.rand(2, 48, 4, 6, generator=generator).contiguous(memory_format=layout)
    shuffled = F.pixel_shuffle(features, 4)
    wanted = F.pixel_unshuffle(torch.cat([one, two], dim=1), 4), shuffled, one + shuffled
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            found = unshuffle(4, one, two), shuffle(features, 4), add_shuffled(one, features, 4)
        assert all(map(torch.equal, found, wanted))
    assert found[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_pixels_are_shuffled_in_any_numbers(factor, kind):
    picture = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=kind is torch.bfloat16):
        features = unshuffle(factor, picture)
        assert features.dtype is kind
        assert torch.equal(features, F.pixel_unshuffle(picture.to(kind), factor))
        assert torch.equal(shuffle(features, factor), picture.to(kind))
        assert torch.equal(add_shuffled(picture, features, factor), picture + picture.to(kind))


def test_pixels_of_any_view_are_shuffled():
    picture = torch.rand(1, 3, 8, 9, generator=torch.Generator().manual_seed(5))
    features = torch.rand(1, 13, 4, 6, generator=torch.Generator().manual_seed(6))
    features = features.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert torch.equal(unshuffle(2, picture[..., 1:]), F.pixel_unshuffle(picture[..., 1:], 2))
        assert torch.equal(shuffle(features[:, 1:], 2), F.pixel_shuffle(features[:, 1:], 2))


@pytest.mark.parametrize("factor", [2, 8])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (12, 9)])
def test_enlarging_is_bicubic(factor, size):
    small = 2 * torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(2)) - 1
    wanted = F.interpolate(small, scale_factor=factor, mode="bicubic", align_corners=False)
    with torch.inference_mode():
        assert (enlarge(small, factor) - wanted).abs().max() < 2e-6
    assert torch.equal(enlarge(small, factor), wanted)
