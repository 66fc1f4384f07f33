# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's networks: sizes at full width, rates, and what the settings change."""

import copy
from dataclasses import replace

import pytest
import torch

from ds2c2.errors import UserError
from ds2c2.networks.bresnet import FullBResNetDecoder
from ds2c2.networks.layers import clamp_pixels, upsample
from ds2c2.networks.paper import PaperNetworks, PaperShape, make_discnets, one_hot, round_levels
from ds2c2.pictures.labelsets import CITYSCAPES_EVALUATED, LABEL_SETS, label_set_of

# Millions of parameters at full size, as docs/paper.md lists them: CompNet, a FineNet, a scale of a DiscNet.
COUNTS = {
    "camvid": (1.67, 45.63, 2.78),
    "cityscapes19": (1.69, 45.65, 2.79),
    "cityscapes35": (1.74, 45.70, 2.80),
    "ade20k": (2.10, 46.06, 2.92),
}
# Rates of r in the paper: C / 4^d.
RATES = {0.0625: 4, 0.125: 8, 0.1875: 12, 0.5: 32}


def millions(module):
    return round(sum(p.numel() for p in module.parameters()) / 1e6, 2)


def on_meta(shape):
    """Full-size networks without memory."""
    with torch.device("meta"):
        return PaperNetworks(shape), make_discnets(shape)


@pytest.mark.parametrize("label_set", COUNTS)
def test_parameters_at_full_size(label_set):
    networks, discnets = on_meta(PaperShape(label_set))
    fine, disc = networks.finenets, discnets
    assert len(fine) == len(disc) == 2 and len(disc[0].scales) == 3
    assert (millions(networks.compnet), millions(fine[0]), millions(disc[0].scales[0])) == COUNTS[label_set]


def test_parameters_of_bresnet_and_sumnet_at_full_size():
    networks, _ = on_meta(PaperShape())
    assert (millions(networks.encoder), millions(networks.decoder), millions(networks.sumnet)) == (2.54, 3.67, 0.23)
    assert millions(networks) == 99.58


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("bpp", RATES)
def test_the_rate_is_exactly_channels_over_a_cells_pixels(depth, bpp):
    shape = PaperShape(depth=depth, channels=RATES[bpp] * 4 ** (depth - 3))
    assert shape.bpp == bpp
    networks, _ = on_meta(shape)
    with torch.device("meta"):
        latents = networks.latents(torch.zeros(1, 3, 128, 256), torch.zeros(1, 3, 128, 256))
    assert latents.shape == (1, shape.channels, 128 >> depth, 256 >> depth)
    assert latents.numel() / (128 * 256) == bpp


@pytest.mark.parametrize(
    "change",
    [
        {}, {"fine_steps": 0}, {"fine_steps": 1}, {"fine_steps": 3}, {"gdn": False}, {"upsampling": "transposed"},
        {"loss_mask": True}, {"sum_blocks": 0}, {"norm": "none"}, {"depth": 4, "channels": 8}, {"label_set": "none"},
        {"source": "original"}, {"source": "original", "sum_blocks": 0, "fine_steps": 0},
    ],
    ids=str,
)  # fmt: skip
def test_every_setting_goes_through_and_every_parameter_learns(tiny_paper_shape, change):
    shape = replace(tiny_paper_shape, **change)
    torch.manual_seed(1)
    networks = PaperNetworks(shape)
    pictures = torch.rand(2, 3, 64, 96) * 2 - 1
    labels = networks.one_hot(torch.randint(0, 13, (2, 64, 96), dtype=torch.uint8))
    small = networks.small(labels, pictures)
    assert small.shape == (2, 3, 8, 12)
    steps = networks.base_pictures(labels, small)
    assert len(steps) == shape.fine_steps + 1
    latents = networks.latents(pictures, steps[-1])
    residual = networks.residual(torch.tanh(latents), steps[-1])
    received = networks.picture(residual, steps[-1])
    assert residual.shape == received.shape == pictures.shape
    assert received.abs().max() < 1 + 1e-6
    (received - pictures).square().mean().backward()
    # The blocks of a residual network start with their second convolution at zero, so in the
    # first step some first convolutions have a gradient of zeros; none has no gradient at all.
    assert all(p.grad is not None for p in networks.parameters())


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_right_in_any_memory_layout(tiny_paper_shape, batch, layout):
    """Against double precision; PyTorch's own instance norm fails for one picture in channels_last.

    The median of three draws counts: where a ReLU's input is within rounding of zero, as happens in one
    draw of many on one processor and not on another, both gradients are right and differ.
    """
    worst = []
    for seed in (1, 2, 3):
        torch.manual_seed(seed)
        fine = PaperNetworks(tiny_paper_shape).finenets[0]
        exact = copy.deepcopy(fine).double()
        labels, picture, weight = (torch.rand(batch, channels, 64, 64) for channels in (11, 3, 3))
        (exact(labels.double(), picture.double()) * weight).sum().backward()
        fine.to(memory_format=layout)
        (fine(labels.to(memory_format=layout), picture.to(memory_format=layout)) * weight).sum().backward()
        pairs = [
            (ours.grad, theirs.grad)
            for (name, ours), theirs in zip(fine.named_parameters(), exact.parameters(), strict=True)
            if name.endswith("weight")
        ]
        worst.append(max(float((ours - theirs).norm() / theirs.norm()) for ours, theirs in pairs))
    assert sorted(worst)[1] < 1e-4, worst


def test_a_fresh_sumnet_is_a_sum(tiny_paper_shape):
    networks = PaperNetworks(tiny_paper_shape)
    base, residual = torch.rand(1, 3, 64, 64) - 0.5, torch.rand(1, 3, 64, 64) - 0.5
    assert torch.allclose(networks.picture(residual, base), (base + residual).clamp(-1, 1), atol=1e-6)


def test_fresh_pixel_shuffle_has_no_checkerboard():
    torch.manual_seed(1)
    enlarged = upsample(4, 6, 2)(torch.randn(1, 4, 5, 5))
    cells = torch.nn.functional.pixel_unshuffle(enlarged, 2).view(1, 6, 4, 5, 5)
    assert torch.equal(cells, cells[:, :, :1].expand_as(cells))


def test_the_mask_tells_a_decoder_what_was_lost():
    torch.manual_seed(1)
    decoder = FullBResNetDecoder(3, 4, 4, True, "shuffle", True)
    decoder.body[0].weight.data[:, :4] = 0  # deaf to the signs
    signs = torch.randn(1, 4, 8, 8).sign()
    assert torch.equal(decoder(signs), decoder(-signs))
    assert not torch.equal(decoder(signs), decoder(signs * 0))


def test_three_scales_of_verdicts_with_five_layers_each(tiny_paper_shape):
    disc = make_discnets(tiny_paper_shape)[0]
    picture = torch.rand(2, 3, 64, 96)
    seen = disc(torch.zeros(2, 11, 64, 96), picture, picture)
    assert [len(scale) for scale in seen] == [5, 5, 5]
    assert [tuple(scale[-1].shape) for scale in seen] == [(2, 1, 11, 15), (2, 1, 7, 9), (2, 1, 5, 6)]


def test_one_hot_leaves_void_without_a_class():
    labels = torch.tensor([[[0, 2], [3, 255]]], dtype=torch.uint8)
    planes = one_hot(labels, 3)
    assert planes[0, :, 0, 0].tolist() == [1, 0, 0] and planes[0, :, 0, 1].tolist() == [0, 0, 1]
    assert planes[0, :, 1].sum() == 0
    assert one_hot(labels, 0).shape == (1, 0, 2, 2)


def test_c_is_rounded_to_whole_levels_and_gradients_pass():
    small = torch.tensor([-1.0, 0.0011, 0.5, 1.0], requires_grad=True)
    rounded = round_levels(small)
    levels = (rounded + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-4) and (rounded - small).abs().max() < 1 / 250
    rounded.sum().backward()
    assert small.grad.tolist() == [1, 1, 1, 1]
    beyond = torch.tensor([1.5, -3.0, 0.2], requires_grad=True)
    clamp_pixels(beyond).sum().backward()
    assert clamp_pixels(beyond).tolist() == pytest.approx([1, -1, 0.2]) and beyond.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label_set": "coco"}, "label set 'coco' is unknown; choose one of none, camvid"),
        ({"upsampling": "nearest"}, "upsampling 'nearest' is unknown; choose one of shuffle, transposed"),
        ({"norm": "batch"}, "norm 'batch' is unknown; choose one of instance, none"),
        ({"channels": 0}, "channels 0 is too small: 1 at least"),
        ({"fine_steps": -1}, "fine_steps -1 is too small: 0 at least"),
        ({"depth": 7}, "depth 7 is too large"),
    ],
)
def test_sizes_that_are_no_networks_are_named(change, words):
    with pytest.raises(UserError, match=words):
        PaperShape(**change)


def test_label_sets_have_the_papers_sizes():
    sizes = {name: label_set.count for name, label_set in LABEL_SETS.items()}
    assert sizes == {"none": 0, "camvid": 11, "cityscapes19": 19, "cityscapes35": 35, "ade20k": 150}
    assert label_set_of("cityscapes19").names[0] == "road" and label_set_of("cityscapes19").names[-1] == "bicycle"
    assert len(CITYSCAPES_EVALUATED) == 19
