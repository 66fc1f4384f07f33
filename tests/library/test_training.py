# SPDX-License-Identifier: GPL-3.0-or-later
"""Training: a resumed run is the unbroken run, bit for bit; another run's checkpoint is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ds2c2.errors import PictureError, UserError, WeightsError
from ds2c2.pictures.pictures import write_picture
from ds2c2.training.channel_draw import through_channel
from ds2c2.training.crops import PictureStore, draw_batch, split_hold_out
from ds2c2.training.loop import TrainingSettings, train

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order: bits are compared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(1)
    return [
        write_picture(
            tmp_path / "pictures" / f"{i}.png",
            np.kron(rng.integers(0, 256, (10, 12, 3), np.uint8), np.ones((8, 8, 1), np.uint8)),
        )
        for i in range(3)
    ]


@pytest.fixture
def settings(tiny_shape):
    return TrainingSettings(steps=6, batch=2, crop=64, learning_rate=1e-2, seed=3, shape=tiny_shape)


def run(settings, pictures, checkpoint, resume=False, **more):
    seen = []
    trainer = train(settings, pictures, checkpoint, CPU, resume, seen.append, **more)
    return trainer, seen


def assert_same_state(first, second):
    for ours, theirs in ((first.networks, second.networks), (first.average, second.average)):
        for name, tensor in ours.state_dict().items():
            assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_a_resumed_run_gives_the_unbroken_runs_weights(settings, pictures, tmp_path):
    unbroken, seen = run(settings, pictures, tmp_path / "unbroken.pt")
    assert [progress.step for progress in seen] == [1, 2, 3, 4, 5, 6]
    begun, _ = run(settings, pictures, tmp_path / "broken.pt", stop_after=3)
    assert begun.step == 3
    resumed, seen = run(settings, pictures, tmp_path / "broken.pt", resume=True)
    assert [progress.step for progress in seen] == [4, 5, 6]
    assert_same_state(resumed, unbroken)
    moved = [
        not torch.equal(a, b) for a, b in zip(begun.networks.parameters(), resumed.networks.parameters(), strict=True)
    ]
    assert sum(moved) > len(moved) / 2


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(settings, pictures, tmp_path):
    settings = replace(settings, steps=2)
    first, _ = run(settings, pictures, tmp_path / "1.pt")
    second, _ = run(settings, pictures, tmp_path / "2.pt")
    other, _ = run(replace(settings, seed=4), pictures, tmp_path / "3.pt")
    assert_same_state(first, second)
    with pytest.raises(AssertionError):
        assert_same_state(first, other)


@pytest.mark.parametrize(
    "change",
    [{"batch": 3}, {"crop": 48}, {"learning_rate": 1e-3}, {"seed": 4}, {"precision": "bfloat16"}, {"shape": "wider"}],
)
def test_resuming_with_other_settings_is_refused(settings, pictures, tmp_path, change, tiny_shape):
    run(settings, pictures, tmp_path / "run.pt", stop_after=1)
    before = (tmp_path / "run.pt").read_bytes()
    if change == {"shape": "wider"}:
        change = {"shape": replace(tiny_shape, fine_width=16)}
    with pytest.raises(WeightsError) as error:
        run(replace(settings, **change), pictures, tmp_path / "run.pt", resume=True)
    assert next(iter(change)) in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "run.pt").read_bytes() == before


def test_a_run_can_be_prolonged_until_its_rate_falls(settings, pictures, tmp_path):
    run(settings, pictures, tmp_path / "run.pt", stop_after=2)
    trainer, _ = run(replace(settings, steps=8), pictures, tmp_path / "run.pt", resume=True, stop_after=3)
    assert trainer.step == 3
    run(settings, pictures, tmp_path / "late.pt", stop_after=5)
    with pytest.raises(WeightsError, match="--steps 6"):
        run(replace(settings, steps=8), pictures, tmp_path / "late.pt", resume=True)


def test_a_file_that_is_no_checkpoint_is_refused(settings, pictures, tmp_path):
    (tmp_path / "run.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match="run.pt: not a checkpoint"):
        run(settings, pictures, tmp_path / "run.pt", resume=True)


def test_a_crop_that_the_networks_cannot_take_is_refused(settings, pictures, tmp_path):
    with pytest.raises(UserError, match="--crop 60"):
        run(replace(settings, crop=60), pictures, tmp_path / "run.pt")


def test_a_picture_smaller_than_the_crop_is_named(settings, pictures, tmp_path):
    with pytest.raises(PictureError, match="96x80"):
        run(replace(settings, crop=128), pictures, tmp_path / "run.pt")


def test_a_batch_follows_from_seed_and_step_alone(pictures):
    first = draw_batch(PictureStore(pictures), seed=1, step=5, batch=2, crop=64)
    store = PictureStore(pictures)
    draw_batch(store, seed=1, step=4, batch=2, crop=64)
    again = draw_batch(store, seed=1, step=5, batch=2, crop=64)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert [tuple(tensor.shape) for tensor in first] == [(2, 3, 64, 64), (2, 3, 8, 8)]
    assert not torch.equal(first[0], draw_batch(store, seed=1, step=6, batch=2, crop=64)[0])
    assert all(-1 <= tensor.min() and tensor.max() <= 1 for tensor in first)


def test_some_pictures_are_held_out_and_never_trained_on(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(100)]
    training, held = split_hold_out(paths)
    assert held == [paths[20], paths[60]]
    assert sorted(training + held) == sorted(paths)
    assert split_hold_out(paths[:1]) == (paths[:1], paths[:1])


def test_the_drawn_channel_cuts_the_rate_and_erases():
    """All +1 in: what comes out is +1, an erased 0, or the paper's -1; the rate cuts channels."""
    symbols = torch.ones(64, 256, 4, 4)
    received = through_channel(symbols, torch.Generator().manual_seed(1))
    assert set(received.unique().tolist()) == {-1.0, 0.0, 1.0}
    # The first 15 channels are always sent: only the channel takes from them.
    clean = (received[:, :15] == 1).flatten(1).all(dim=1)
    assert 0.1 < clean.float().mean() < 0.5
    # The last channel is sent at the highest rates only.
    assert (received[:, 255] != 0).flatten(1).any(dim=1).float().mean() < 0.1
    again = through_channel(symbols, torch.Generator().manual_seed(1))
    assert torch.equal(received, again)
