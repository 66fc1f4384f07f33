# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel models: seeded, the same however a stream is cut, with the statistics they promise."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.channels.channel import MODELS, BlockChannel, ChannelError, read_trace

TRACE = np.array([0, 1, 1, 0, 0, 0, 1], bool)
LONG = 200_000  # blocks


def channel(model: str, loss: float = 0.3, **more) -> BlockChannel:
    return BlockChannel(loss, model, **({"trace": TRACE, "frame_blocks": 20, "base_blocks": 4} | more))


def cut_up(model: str, seed: int, pieces: list[int]) -> np.ndarray:
    source = channel(model, seed=seed)
    return np.concatenate([source.draw(piece) for piece in pieces])


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 50), min_size=1, max_size=8))
def test_hits_do_not_depend_on_how_the_stream_is_cut(model, seed, pieces):
    whole = channel(model, seed=seed)
    hits = whole.draw(sum(pieces))
    assert hits.dtype == bool
    assert np.array_equal(cut_up(model, seed, pieces), hits)
    assert (whole.hit, whole.passed) == (hits.sum(), len(hits) - hits.sum())


@pytest.mark.parametrize("model", ["iid", "exact", "gilbert-elliott"])
def test_a_seed_gives_the_same_hits_and_another_gives_others(model):
    assert np.array_equal(channel(model, seed=5).draw(500), channel(model, seed=5).draw(500))
    assert not np.array_equal(channel(model, seed=5).draw(500), channel(model, seed=6).draw(500))


def test_exact_hits_the_same_number_in_every_frame_at_other_places():
    hits = channel("exact", 0.25).draw(50 * 20).reshape(50, 20)
    assert hits.sum(axis=1).tolist() == [4] * 50  # a quarter of the 16 that can be hit
    assert not hits[:, :4].any()
    assert len({frame.tobytes() for frame in hits}) > 40
    assert hits[:, 4:].any(axis=0).all()


@pytest.mark.parametrize(("loss", "count"), [(0.0, 0), (0.1, 2), (0.5, 8), (1.0, 16)])
def test_exact_rounds_to_blocks(loss, count):
    assert channel("exact", loss).draw(20).sum() == count


def test_iid_has_its_rate():
    hits = BlockChannel(0.3).draw(LONG)
    sigma = math.sqrt(0.3 * 0.7 / LONG)
    assert abs(hits.mean() - 0.3) < 5 * sigma
    # A hit says nothing of the next: pairs are as frequent as chance makes them.
    assert abs((hits[1:] & hits[:-1]).mean() - 0.09) < 5 * math.sqrt(0.09 * 0.91 / LONG) * 1.5


def runs_of(hits: np.ndarray) -> np.ndarray:
    """Lengths of the bursts."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hits.view(np.int8), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize(("loss", "burst"), [(0.1, 8.0), (0.3, 3.0), (0.5, 20.0), (0.5, 1.0)])
def test_gilbert_elliott_has_its_rate_and_its_bursts(loss, burst):
    hits = BlockChannel(loss, "gilbert-elliott", burst=burst).draw(LONG)
    bursts = runs_of(hits)
    # Lengths are geometric: their deviation is sqrt(burst * (burst - 1)).
    sigma = math.sqrt(burst * (burst - 1) / len(bursts))
    assert abs(bursts.mean() - burst) <= 5 * sigma
    # Blocks hang together over about 2 * burst: so many fewer independent ones.
    assert abs(hits.mean() - loss) < 5 * math.sqrt(loss * (1 - loss) / (LONG / (2 * burst)))


def test_gilbert_elliott_starts_in_its_stationary_state():
    first = np.array([BlockChannel(0.3, "gilbert-elliott", seed=seed).draw(1)[0] for seed in range(4000)])
    assert abs(first.mean() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 4000)


@pytest.mark.parametrize("model", ["iid", "exact", "gilbert-elliott"])
def test_no_loss_and_total_loss(model):
    assert not channel(model, 0.0).draw(100).any()
    assert channel(model, 1.0, base_blocks=0).draw(100).all()


@pytest.mark.parametrize("model", MODELS)
def test_base_blocks_are_spared(model):
    source = channel(model, 1.0, trace=np.ones(3, bool))
    hits = np.concatenate([source.draw(7), source.draw(93)]).reshape(5, 20)
    assert not hits[:, :4].any()
    assert hits[:, 4:].all()


def test_a_trace_is_replayed_and_repeated():
    source = BlockChannel(0.0, "trace", trace=TRACE)
    assert source.draw(17).tolist() == [*TRACE, *TRACE, *TRACE[:3]]
    assert source.draw(4).tolist() == TRACE[3:].tolist()


@pytest.mark.parametrize("model", ["iid", "gilbert-elliott"])
def test_loss_may_change_while_it_runs(model):
    source = BlockChannel(0.0, model)
    assert not source.draw(1000).any()
    source.set_loss(1.0)
    assert source.draw(1000).all()
    source.set_loss(0.3)
    assert 0.2 < source.draw(20_000).mean() < 0.4


def test_exact_changes_with_the_next_frame():
    source = channel("exact", 0.25)
    assert source.draw(10).sum() + (source.set_loss(1.0) or source.draw(10).sum()) == 4
    assert source.draw(20).sum() == 16


def test_a_loss_that_is_refused_leaves_the_old_one():
    source = BlockChannel(0.0)
    with pytest.raises(ChannelError, match="loss 1.5 is out of range: 0 to 1"):
        source.set_loss(1.5)
    assert not source.draw(100).any()


@pytest.mark.parametrize(
    ("effect", "expected"),
    [("erase", [[1, 2], [3, 4], [5, 6]]), ("zero", [[1, 2], [0, 0], [5, 6]]), ("flip", [[1, 2], [252, 251], [5, 6]])],
)
def test_effects(effect, expected):
    payloads = np.array([[1, 2], [3, 4], [5, 6]], np.uint8)
    before = payloads.copy()
    damaged = BlockChannel(0.5, effect=effect).damage(payloads, np.array([False, True, False]))
    assert damaged.tolist() == expected
    assert np.array_equal(payloads, before)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"loss": -0.1}, "loss -0.1 is out of range: 0 to 1"),
        ({"loss": 1.1}, "loss 1.1 is out of range: 0 to 1"),
        ({"loss": math.nan}, "loss nan is out of range"),
        ({"model": "markov"}, "'markov' is unknown; choose one of iid, exact, gilbert-elliott, trace"),
        ({"effect": "eat"}, "'eat' is unknown; choose one of erase, zero, flip"),
        ({"burst": 0.5}, "burst 0.5 is too short"),
        ({"burst": math.nan}, "burst nan"),
        (
            {"model": "gilbert-elliott", "loss": 0.9, "burst": 8},
            "loss 0.9 cannot come in bursts of 8: use longer bursts",
        ),
        ({"model": "trace"}, "needs a recorded trace"),
        ({"model": "trace", "trace": np.zeros(0, bool)}, "needs a recorded trace"),
        ({"seed": -1}, "seed -1"),
        ({"frame_blocks": 0}, "frame_blocks 0"),
        ({"frame_blocks": 5, "base_blocks": 6}, "base_blocks 6"),
        ({"frame_blocks": 5, "base_blocks": -1}, "base_blocks -1"),
    ],
)
def test_what_is_no_channel_is_refused(values, named):
    with pytest.raises(ChannelError) as error:
        BlockChannel(**({"loss": 0.1} | values))
    assert named in str(error.value)


def test_longer_bursts_are_the_remedy():
    assert abs(BlockChannel(0.9, "gilbert-elliott", burst=9.1).draw(LONG).mean() - 0.9) < 0.02


def test_a_trace_file_is_read(tmp_path):
    path = tmp_path / "trace.txt"
    path.write_text("0\n1\n1\n\n0\r\n")
    assert read_trace(path).tolist() == [False, True, True, False]


@pytest.mark.parametrize("content", [b"", b"0\n2\n", b"yes\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_trace_is_refused(tmp_path, content):
    path = tmp_path / "trace.txt"
    path.write_bytes(content)
    with pytest.raises(ChannelError, match="trace.txt"):
        read_trace(path)


def test_a_missing_trace_file_is_named(tmp_path):
    with pytest.raises(ChannelError, match="none.txt"):
        read_trace(tmp_path / "none.txt")


# Single bits


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(1, 9))
def test_hit_bits_do_not_depend_on_how_the_stream_is_cut(seed, pieces, block_size):
    whole, cut = (channel("iid", effect="flip", unit="bit", seed=seed) for _ in range(2))
    hits = whole.draw_bits(sum(pieces), block_size)
    assert hits.dtype == np.uint8 and hits.shape == (sum(pieces), block_size)
    assert np.array_equal(np.concatenate([cut.draw_bits(piece, block_size) for piece in pieces]), hits)
    assert whole.bits_hit == cut.bits_hit == np.unpackbits(hits).sum()
    assert whole.hit == hits.any(axis=1).sum() and whole.hit + whole.passed == len(hits)


def test_hit_bits_are_the_draws_of_the_seed_also_where_many_blocks_are_drawn():
    """Bit by bit what PCG64 gives, past the number of blocks that are drawn at once."""
    hits = BlockChannel(0.16, effect="zero", unit="bit", seed=7).draw_bits(3000, 5)
    drawn = np.random.Generator(np.random.PCG64(7)).random(3000 * 40) < 0.16
    assert np.array_equal(np.unpackbits(hits), drawn)


def test_bits_are_hit_with_their_rate_each_by_itself():
    bits = np.unpackbits(BlockChannel(0.16, effect="flip", unit="bit").draw_bits(250, 100)).astype(bool)
    sigma = math.sqrt(0.16 * 0.84 / len(bits))
    assert abs(bits.mean() - 0.16) < 5 * sigma
    assert abs((bits[1:] & bits[:-1]).mean() - 0.16**2) < 5 * math.sqrt(0.0256 * 0.9744 / len(bits)) * 1.5


def test_bits_of_base_blocks_are_spared():
    source = channel("iid", 1.0, effect="zero", unit="bit")
    hits = np.concatenate([source.draw_bits(7, 3), source.draw_bits(93, 3)]).reshape(5, 20, 3)
    assert not hits[:, :4].any() and (hits[:, 4:] == 0xFF).all()
    assert source.bits_hit == 5 * 16 * 24


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_effects_on_single_bits(seed, loss):
    """zero: a hit 1 is a 0, nothing else changes; flip: what is hit is turned; erase is refused."""
    payloads = np.random.default_rng(seed).integers(0, 256, (6, 4), dtype=np.uint8)
    before = payloads.copy()
    sent = np.unpackbits(payloads).astype(bool)
    for effect in ("zero", "flip"):
        source = BlockChannel(loss, effect=effect, unit="bit", seed=seed)
        hits = source.draw_bits(6, 4)
        hit = np.unpackbits(hits).astype(bool)
        received = np.unpackbits(source.damage(payloads, hits)).astype(bool)
        assert np.array_equal(received, sent & ~hit if effect == "zero" else sent ^ hit)
    assert np.array_equal(payloads, before)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (
            {"effect": "erase"},
            "effect erase loses whole packets, unit bit hits single bits: choose effect zero or flip",
        ),
        (
            {"effect": "zero", "model": "exact"},
            "model exact says which blocks are hit, unit bit hits each bit by itself",
        ),
        ({"effect": "flip", "model": "gilbert-elliott"}, "choose model iid, or unit block"),
        ({"effect": "flip", "unit": "byte"}, "unit 'byte' is unknown; choose one of block, bit"),
    ],
)
def test_what_does_not_go_with_single_bits_is_refused(values, named):
    with pytest.raises(ChannelError) as error:
        BlockChannel(**({"loss": 0.1, "unit": "bit"} | values))
    assert named in str(error.value) and "\n" not in str(error.value)
