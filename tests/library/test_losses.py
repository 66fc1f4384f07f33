# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's losses: values by hand, weights, and VGG checkpoints that are none."""

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ds2c2.errors import UserError, WeightsError
from ds2c2.training.losses import (
    PRESETS,
    LossWeights,
    discriminator_loss,
    distance,
    feature_matching_loss,
    generator_loss,
)
from ds2c2.training.vgg import VGG_VARIABLE, VggFeatures, find_vgg

# Convolutions of torchvision's VGG by place and output channels, an eighth as wide; M pools.
PLANS = {"VGG16": "1 1 M 2 2 M 4 4 4 M 8 8 8 M 8 8 8 M", "VGG19": "1 1 M 2 2 M 4 4 4 4 M 8 8 8 8 M 8 8 8 8 M"}


def torchvision_layout(kind):
    """``features`` as torchvision builds it: every layer has an index, also ReLU and pooling."""
    layers, channels = [], 3
    for step in PLANS[kind].split():
        if step == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, 8 * int(step), 3, padding=1), nn.ReLU()]
            channels = 8 * int(step)
    return nn.Sequential(*layers)


def checkpoint(folder, kind, suffix=".pth"):
    torch.manual_seed(1)
    features = torchvision_layout(kind)
    tensors = {f"features.{name}": t for name, t in features.state_dict().items()}
    path = folder / f"{kind}{suffix}"
    if suffix == ".pth":
        torch.save(tensors | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    else:
        save_file(tensors, path)
    return path, features


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(3)
    return torch.rand(2, 3, 32, 48) * 2 - 1, torch.rand(2, 3, 32, 48) * 2 - 1


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", PLANS)
def test_vgg_sees_what_torchvisions_layers_give(tmp_path, pictures, kind, suffix):
    path, features = checkpoint(tmp_path, kind, suffix)
    vgg = VggFeatures(path)
    assert vgg.kind == kind
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((pictures[0] + 1) / 2 - mean.view(1, 3, 1, 1)) / spread.view(1, 3, 1, 1)
    places = {"VGG16": (1, 6, 11, 18, 25), "VGG19": (1, 6, 11, 20, 29)}[kind]  # relu1_1 ... relu5_1
    wanted = []
    for place, layer in enumerate(features):
        x = layer(x)
        if place in places:
            wanted.append(x)
    found = vgg(pictures[0])
    assert len(found) == 5
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted, strict=True))
    assert not any(parameter.requires_grad for parameter in vgg.parameters())


def test_the_distance_is_the_weighted_sum_of_its_parts(tmp_path, pictures):
    vgg = VggFeatures(checkpoint(tmp_path, "VGG19")[0])
    x, y = pictures
    total, parts = distance(x, y, LossWeights(2, 3, 5), vgg)
    assert parts["l1"] == pytest.approx(float((x - y).abs().mean()), abs=1e-6)
    by_layer = [float((a - b).abs().mean()) for a, b in zip(vgg(x), vgg(y), strict=True)]
    by_hand = sum(w * d for w, d in zip((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1), by_layer, strict=True))
    assert parts["vgg"] == pytest.approx(by_hand, rel=1e-5)
    assert 0 < parts["ssim"] <= 2
    assert total == pytest.approx(float(2 * parts["l1"] + 3 * parts["ssim"] + 5 * parts["vgg"]), rel=1e-5)
    same, parts = distance(x, x, LossWeights(), vgg)
    assert same == pytest.approx(0, abs=1e-6)
    alone, parts = distance(x, y, LossWeights(1, 0, 0), None)
    assert set(parts) == {"l1"} and alone == parts["l1"]


def test_ssim_has_a_gaussian_window_of_11_pixels_and_sigma_1_5(pictures):
    """Against scikit-image with the settings of Wang et al. (2004)."""
    from skimage.metrics import structural_similarity

    x, y = ((p[0].numpy() + 1) / 2 for p in pictures)
    wanted = structural_similarity(
        x, y, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )[1][:, 5:-5, 5:-5].mean()
    _, parts = distance(pictures[0][:1], pictures[1][:1], LossWeights(0, 1, 0), None)
    assert 1 - float(parts["ssim"]) == pytest.approx(wanted, abs=1e-4)


def test_a_gradient_goes_to_the_estimate_only(tmp_path, pictures):
    vgg = VggFeatures(checkpoint(tmp_path, "VGG16")[0])
    x, y = (p.clone().requires_grad_() for p in pictures)
    distance(x.detach(), y, LossWeights(), vgg)[0].backward()
    assert y.grad.abs().sum() > 0 and x.grad is None


def verdicts(*logits):
    """Two scales with one layer before the verdict."""
    return [[torch.full((1, 1, 2, 2), 0.5 * i), torch.full((1, 1, 2, 2), logit)] for i, logit in enumerate(logits)]


def test_adversarial_losses_by_hand():
    real, fake = verdicts(2.0, -1.0), verdicts(0.5, 3.0)
    log_d = {x: math.log(1 / (1 + math.exp(-x))) for x in (2.0, -1.0, 0.5, 3.0, -0.5, -3.0)}
    assert generator_loss(fake, "log") == pytest.approx(-(log_d[0.5] + log_d[3.0]), rel=1e-5)
    wanted = -(log_d[2.0] + log_d[-1.0] + log_d[-0.5] + log_d[-3.0])  # 1 - D(x) = D(-x)
    assert discriminator_loss(real, fake, "log") == pytest.approx(wanted, rel=1e-5)
    assert generator_loss(fake, "least-squares") == pytest.approx(0.25 + 4)
    assert discriminator_loss(real, fake, "least-squares") == pytest.approx(1 + 0.25 + 4 + 9)
    far = verdicts(500.0, -500.0)
    assert torch.isfinite(discriminator_loss(far, far, "log"))


def test_feature_matching_leaves_the_verdicts_out():
    real, fake = verdicts(2.0, -1.0), verdicts(0.5, 3.0)
    assert feature_matching_loss(real, fake) == 0
    fake[1][0] = fake[1][0] + 0.6
    assert feature_matching_loss(real, fake) == pytest.approx(0.6 / 2)


def test_presets_are_the_papers_and_dsslics():
    assert PRESETS["paper"] == LossWeights(1, 1, 1, 1, 0, 1, "log")
    assert PRESETS["dsslic"] == LossWeights(20, 1, 10, 1, 10, 0.5, "least-squares")
    with pytest.raises(UserError, match="form 'hinge' .* log, least-squares"):
        replace(PRESETS["paper"], form="hinge")
    with pytest.raises(UserError, match="weight -1 of the loss l1 is negative"):
        LossWeights(l1=-1)


def refused(action, *words):
    with pytest.raises(WeightsError) as error:
        action()
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_missing_vgg_checkpoint_says_what_to_give(tmp_path, monkeypatch):
    monkeypatch.delenv(VGG_VARIABLE, raising=False)
    refused(lambda: find_vgg(""), "--vgg FILE", VGG_VARIABLE, "--set losses.vgg=0")
    refused(lambda: find_vgg("gone.pth"), "gone.pth: no such VGG checkpoint")
    path, _ = checkpoint(tmp_path, "VGG19")
    monkeypatch.setenv(VGG_VARIABLE, str(path))
    assert find_vgg("") == path


def test_files_that_are_no_vgg_are_refused(tmp_path):
    (tmp_path / "text.pth").write_text("I am no checkpoint")
    (tmp_path / "text.safetensors").write_text("I am no checkpoint")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "half.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    refused(lambda: VggFeatures(tmp_path / "text.pth"), "text.pth: no checkpoint that can be read")
    refused(lambda: VggFeatures(tmp_path / "text.safetensors"), "text.safetensors: no checkpoint that can be read")
    refused(lambda: VggFeatures(tmp_path / "list.pth"), "list.pth: no checkpoint that can be read")
    refused(lambda: VggFeatures(tmp_path / "half.pth"), "features.0 is missing", "neither VGG19 nor VGG16")
