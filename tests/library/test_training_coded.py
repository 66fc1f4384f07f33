# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the coded profile: resumed bit for bit, warm starts, the fast update, its parts."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ds2c2.errors import PictureError, WeightsError
from ds2c2.evaluation.judge import at_rate, judge
from ds2c2.networks.binary import BinaryNetworks
from ds2c2.networks.coded import CodedNetworks, CodedShape
from ds2c2.networks.weights import load_networks, read_metadata, save_weights
from ds2c2.pictures.pictures import write_picture
from ds2c2.training.coded import draw_loss, draw_step, forward, laplace_bits, round_for_rate
from ds2c2.training.crops import PictureStore, check_sizes, draw_batch, without
from ds2c2.training.finish import finish, origin
from ds2c2.training.loop import Trainer, TrainingSettings, take_weights, train
from ds2c2.training.recipes import CodedRecipe, RunningMeans

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order: bits are compared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shape():
    return CodedShape(fine_width=8, fine_blocks=1, luma=24, chroma=8, widths=(8, 8, 8), scale_width=16)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three pictures of smooth noise, 144x112."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for i in range(3):
        coarse = torch.from_numpy(rng.random((1, 3, 14, 18), np.float32))
        smooth = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)[0]
        paths.append(write_picture(folder / f"{i}.png", (smooth * 255).byte().permute(1, 2, 0).numpy()))
    return paths


@pytest.fixture
def settings(shape):
    return TrainingSettings(steps=6, batch=2, crop=64, learning_rate=1e-2, seed=3, shape=shape)


def run(settings, pictures, checkpoint=None, resume=False, **more):
    seen = []
    return train(settings, pictures, checkpoint, CPU, resume, seen.append, **more), seen


def assert_same_state(first, second):
    for ours, theirs in ((first.networks, second.networks), (first.average, second.average)):
        for name, tensor in ours.state_dict().items():
            assert torch.equal(tensor, theirs.state_dict()[name]), name
    for name, tensor in first.recipe.state_dict().items():
        assert torch.equal(tensor, second.recipe.state_dict()[name]), name


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resumed_run_gives_the_unbroken_runs_weights_and_running_means(settings, pictures, tmp_path, precision):
    settings = replace(settings, precision=precision)
    unbroken, seen = run(settings, pictures, tmp_path / "unbroken.pt")
    assert [progress.step for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(p.psnr) and p.bpp > 0 for p in seen)
    run(settings, pictures, tmp_path / "broken.pt", stop_after=3)
    resumed, seen = run(settings, pictures, tmp_path / "broken.pt", resume=True)
    assert [progress.step for progress in seen] == [4, 5, 6]
    assert_same_state(resumed, unbroken)
    assert resumed.recipe.errors.count.sum() == 6 * settings.batch


def test_every_parameter_learns_in_one_group_and_moves(settings, pictures):
    trainer, _ = run(settings, pictures)
    ours = [id(p) for group in trainer.groups for p in group.parameters]
    assert sorted(ours) == sorted(id(p) for p in trainer.networks.parameters())
    torch.manual_seed(settings.seed)
    fresh = dict(CodedNetworks(settings.shape).named_parameters())
    still = [name for name, p in trainer.networks.named_parameters() if torch.equal(p, fresh[name])]
    assert not still


def test_a_checkpoint_of_another_profile_is_refused(settings, pictures, tmp_path, tiny_shape):
    run(replace(settings, shape=tiny_shape), pictures, tmp_path / "run.pt", stop_after=1)
    with pytest.raises(WeightsError, match="profile 'binary', this run is 'coded'"):
        run(settings, pictures, tmp_path / "run.pt", resume=True)


def test_a_run_takes_what_fits_from_other_weights_and_says_so(settings, pictures, tmp_path, tiny_shape):
    torch.manual_seed(5)
    binary = BinaryNetworks(replace(tiny_shape, fine_width=8, fine_blocks=1))
    for parameter in binary.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = save_weights(tmp_path / "binary.safetensors", binary, {})
    said = []
    settings = replace(settings, start_from=origin(path))
    trainer, _ = run(settings, pictures, start=path, say=said.append, stop_after=1)
    # Named and shaped alike are others, too, but they do another thing.
    fine = [name for name in binary.state_dict() if name.startswith("finenets.")]
    everything = len(trainer.networks.state_dict())
    assert said == [f"took {len(fine)} of {everything} tensors from {origin(path)}"]
    networks = CodedNetworks(settings.shape)
    take_weights(networks, path)
    for name in fine:
        assert torch.equal(networks.state_dict()[name], binary.state_dict()[name].half().float()), name


def test_a_start_that_has_nothing_in_common_is_refused(settings, tmp_path, tiny_shape):
    wide = replace(tiny_shape, fine_width=24)
    path = save_weights(tmp_path / "wide.safetensors", BinaryNetworks(wide), {})
    networks = CodedNetworks(replace(settings.shape, fine_steps=0))
    with pytest.raises(WeightsError, match="wide.safetensors: no tensor fits"):
        take_weights(networks, path)


def test_an_update_keeps_the_finenets_and_moves_the_rest(settings, pictures, tmp_path):
    torch.manual_seed(7)
    networks = CodedNetworks(settings.shape)
    CodedRecipe().prepare(networks)
    for finenet in networks.finenets:
        torch.nn.init.normal_(finenet.body[-1][0].weight, std=0.01)
    source = save_weights(tmp_path / "source.safetensors", networks, {})
    before = load_networks(source).state_dict()
    settings = replace(settings, steps=12, batch=4, start_from=origin(source), update=True, learning_rate=2e-3)
    trainer, _ = run(settings, pictures, start=source)
    target = finish(trainer, tmp_path / "updated.safetensors", pictures)
    after = load_networks(target)
    parameters = dict(after.named_parameters())
    for name, tensor in parameters.items():
        assert torch.equal(tensor, before[name]) == name.startswith("finenets."), name
    assert read_metadata(target)["updated_from"] == origin(source)
    assert after.symbol_rows.any()
    # At the rate of what it began with, its own pictures have become better.
    old, new = judge(source, pictures, (0.0,), "cpu")[0], judge(target, pictures, (0.0,), "cpu")[0]
    assert old.base_psnr == new.base_psnr
    rate = max(min(r for _, r, _ in row.curve) for row in (old, new))
    assert at_rate(new.curve, rate)[1] > at_rate(old.curve, rate)[1]


def test_an_update_of_binary_weights_has_no_noise_and_keeps_the_finenets(pictures, tmp_path, tiny_shape):
    source = save_weights(tmp_path / "source.safetensors", BinaryNetworks(tiny_shape), {})
    settings = TrainingSettings(3, 2, 64, 1e-2, 3, shape=tiny_shape, start_from="source", update=True)
    trainer, _ = run(settings, pictures, start=source)
    before = load_networks(source).state_dict()
    for name, tensor in trainer.average.state_dict().items():
        if name.startswith("finenets."):
            assert torch.equal(tensor, before[name]), name
    assert not torch.equal(trainer.average.encoder.body[1].weight, before["encoder.body.1.weight"])


def test_large_pictures_are_drawn_reduced_too(tmp_path):
    rng = np.random.default_rng(2)
    path = write_picture(tmp_path / "large.png", rng.integers(0, 256, (300, 960, 3), np.uint8))
    store = PictureStore([path], CodedRecipe.copies)
    # 0.45 of 300 rows hold no crop of 160.
    assert store.factors(0, 160) == [1.0, 2 / 3]
    assert store.factors(0, 128) == [1.0, 2 / 3, 0.45]
    assert store.picture(0, 2 / 3).shape == (200, 640, 3)
    first = draw_batch(store, 1, 5, 8, 128, CodedRecipe.qualities)
    again = draw_batch(PictureStore([path], CodedRecipe.copies), 1, 5, 8, 128, CodedRecipe.qualities)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    # Noise that was reduced has a smaller spread: both kinds were drawn.
    spreads = first[0].flatten(1).std(dim=1)
    assert spreads.max() > 1.3 * spreads.min()


def test_too_small_and_broken_pictures_are_named_before_the_first_step(pictures, tmp_path):
    with pytest.raises(PictureError, match="0.png: 144x112 is smaller than the crop of 128"):
        check_sizes(pictures, 128)
    (tmp_path / "text.png").write_text("I am no picture\n")
    with pytest.raises(PictureError, match="text.png: not a picture"):
        check_sizes([tmp_path / "text.png"], 16)


def test_held_out_files_are_recognised_however_they_are_spelled(tmp_path, monkeypatch):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert without(paths, [paths[0].relative_to(tmp_path)]) == paths[1:]


def test_bits_are_those_of_a_laplacian():
    """Probabilities of all symbols sum to one, and match the integral computed in doubles."""
    symbols = torch.arange(-400, 401).float()
    for log_scale in (-2.0, 0.0, 3.0):
        bits = laplace_bits(symbols, torch.full_like(symbols, log_scale)).double()
        assert torch.exp2(-bits).sum().item() == pytest.approx(1, abs=1e-4)
        scale = 2.0**log_scale
        size = symbols.abs().double()
        exact = size / scale / math.log(2) - math.log2(math.sinh(0.5 / scale))
        usual = (size >= 1) & (exact < 24)
        assert torch.allclose(bits[usual], exact[usual], atol=0.1)
        # In the tail, beyond what float32 can tell from zero, a line of the right slope.
        tail = exact > 40
        assert torch.allclose(bits[tail].diff(), exact[tail].diff(), rtol=1e-3, atol=1e-3)


def test_rounding_leans_towards_zero_and_never_by_more_than_a_step():
    scaled = torch.linspace(-20, 20, 4001)
    for log_scale in (-2.0, 0.0, 4.0):
        rounded = round_for_rate(scaled, torch.full_like(scaled, log_scale))
        assert torch.equal(rounded, rounded.round())
        assert ((rounded.abs() - scaled.abs()) <= 0.5).all() and ((scaled - rounded).abs() < 1.5).all()
        assert torch.equal(rounded, -round_for_rate(-scaled, torch.full_like(scaled, log_scale)))
        plain = (rounded == scaled.round()).float().mean()
        assert plain > 0.95 if log_scale == 4.0 else plain < 1


def test_draws_cover_what_a_link_meets():
    generator = torch.Generator().manual_seed(1)
    loss, step = draw_loss(4000, generator), draw_step(4000, generator)
    assert loss.min() == 0 and loss.max() == 1
    assert 0.17 < (loss == 0).float().mean() < 0.23
    assert 0.02 < (loss == 1).float().mean() < 0.06
    assert step.min() >= 2.5 and step.max() <= 7
    assert torch.equal(step * 256, (step * 256).round())


def test_what_is_lost_does_not_reach_the_picture(shape):
    """With everything lost the picture does not depend on the coefficients."""
    torch.manual_seed(1)
    networks = CodedNetworks(shape)
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    small = torch.zeros(2, 3, 8, 8)
    generator = torch.Generator().manual_seed(1)
    received, base, rate = forward(
        networks, pictures, small, torch.full((2,), 5.0), torch.tensor([0.0, 1.0]), generator
    )
    assert torch.allclose(received[1], base[1])
    assert not torch.allclose(received[0], base[0])
    assert (rate > 0).all()


def test_running_means_follow_all_values_first_and_forget_later():
    means = RunningMeans(2)
    places = (torch.tensor([0, 0, 1]),)
    assert means.add(places, torch.tensor([1.0, 3.0, 5.0])).tolist() == [2.0, 2.0, 5.0]
    assert means.count.tolist() == [2.0, 1.0]
    for _ in range(1000):
        means.add((torch.tensor([0]),), torch.tensor([4.0]))
    assert means.mean[0] == pytest.approx(4.0, abs=0.01)


def test_a_quality_is_read_between_steps_over_the_logarithm_of_the_rate():
    curve = ((5.0, 0.4, 32.0), (6.0, 0.1, 28.0))
    assert at_rate(curve, 0.2) == (0.2, pytest.approx(30.0))
    # Beyond the ends: the end, and its own rate.
    assert at_rate(curve, 1.0) == (0.4, 32.0)


def test_the_learning_rate_warms_up_stands_and_falls(settings):
    trainer = Trainer(replace(settings, steps=10000, learning_rate=1.0), CPU)
    seen = {}
    for step in (0, 299, 3000, 6000, 8000, 9999):
        trainer.step = step
        seen[step] = trainer.learning_rate(600)
    assert seen[0] == pytest.approx(1 / 600) and seen[299] == 0.5
    assert seen[3000] == seen[6000] == 1.0
    assert seen[8000] == 0.5 and seen[9999] == pytest.approx(1 / 4000)
