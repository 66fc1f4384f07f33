# SPDX-License-Identifier: GPL-3.0-or-later
"""Hidden chains of several states and heavy tails: exact likelihoods, known models found again, draws."""

import itertools

import numpy as np
import pytest

from ds2c2.channels.channel import FITTED, BlockChannel, ChannelError
from ds2c2.traces.hiddenmarkov import HiddenMarkov, _expected, _rows, fit_hidden, stationary
from ds2c2.traces.lossmodels import NAMES, ModelError, fit
from ds2c2.traces.lossstatistics import autocorrelation, run_lengths
from ds2c2.traces.semimarkov import Lengths, SemiMarkov, fit_semi

THREE = HiddenMarkov(
    np.array([[0.995, 0.004, 0.001], [0.02, 0.97, 0.01], [0.01, 0.04, 0.95]]), np.array([0.01, 0.3, 0.95])
)
HEAVY = SemiMarkov(Lengths(0.8, 1.6, 5000), Lengths(20.0, 1.8, 5000), 5000, 0.0)


def test_the_likelihood_and_the_expected_moves_are_those_of_all_paths():
    """Every path of the states by itself, for few packets."""
    lost = np.array([1, 0, 0, 1, 1, 0, 1], bool)
    total, moves = 0.0, np.zeros((3, 3))
    for path in itertools.product(range(3), repeat=len(lost)):
        chance = stationary(THREE.steps)[path[0]]
        for place, state in enumerate(path):
            chance *= THREE.state_loss[state] if lost[place] else 1 - THREE.state_loss[state]
            chance *= THREE.steps[state, path[place + 1]] if place + 1 < len(path) else 1
        total += chance
        for one, other in itertools.pairwise(path):
            moves[one, other] += chance
    found, seen, likelihood = _expected(_rows(lost), len(lost), THREE.steps, THREE.state_loss)
    assert likelihood == pytest.approx(np.log(total))
    # The step behind the last packet is expected, too.
    assert seen.sum() == pytest.approx(7) and found.sum() == pytest.approx(7)
    assert (found >= moves / total - 1e-9).all() and (found.sum() - moves.sum() / total) == pytest.approx(1)


def test_two_states_are_gilbert_elliotts():
    lost = THREE.draw(1200, np.random.default_rng(1))
    general, hidden = fit(lost, ("gilbert-elliott-general",))[0], fit_hidden(lost, (2,))
    assert hidden.log_likelihood == pytest.approx(general.log_likelihood, abs=0.05)
    assert hidden.bic == pytest.approx(general.bic, abs=0.1)
    assert hidden.loss == pytest.approx(general.loss, abs=0.005)


def test_bic_finds_the_three_states_that_were_drawn():
    lost = THREE.draw(6_000, np.random.default_rng(2))
    found = fit_hidden(lost, (2, 3, 4))
    assert found.states == 3
    assert np.abs(found.state_loss - THREE.state_loss).max() < 0.05
    assert np.abs(found.steps - THREE.steps).max() < 0.05


@pytest.mark.parametrize("model", [THREE, HEAVY])
def test_draws_are_what_the_figures_say(model):
    lost = model.draw(200_000, np.random.default_rng(3))
    if model is THREE:
        assert lost.mean() == pytest.approx(model.loss, abs=0.01)
        assert autocorrelation(lost, 20) == pytest.approx(model.autocorrelation(20), abs=0.03)
    for kind in (True, False):
        runs = run_lengths(lost, kind)
        share = np.array([(runs >= n).mean() for n in (1, 2, 5, 20)])
        assert share == pytest.approx(model.run_survival(kind, 20)[[0, 1, 4, 19]], abs=0.02)


def test_heavy_tails_are_found_again_and_beat_a_chain():
    lost = HEAVY.draw(30_000, np.random.default_rng(4))
    found = fit_semi(lost)
    assert found.bursts.tail == pytest.approx(1.6, rel=0.25) and found.gaps.tail == pytest.approx(1.8, rel=0.25)
    assert found.bic < fit(lost, ("gilbert-elliott",))[0].bic


def test_a_geometric_link_is_gilberts_chain_to_it():
    lost = BlockChannel(0.2, "gilbert-elliott", burst=6).draw(20_000)
    (markov,), semi = fit(lost, ("gilbert-elliott",)), fit_semi(lost)
    assert semi.log_likelihood == pytest.approx(markov.log_likelihood, abs=3)
    assert semi.loss == pytest.approx(markov.loss, abs=0.01)


def test_gaps_that_end_before_their_tail_lose_what_the_trace_loses():
    """As on a fading link: gaps begin like a power law without a mean, and none is long. Most are short, and a law for
    these alone has gaps as long as the trace, and loses a sixth of what it should."""
    rng = np.random.default_rng(1)
    gaps = Lengths(4.3, 0.6, 250)
    runs = [np.full(length, kind) for _ in range(400) for kind, length in ((False, gaps.draw(rng)), (True, 6))]
    lost = np.concatenate(runs)
    found = fit_semi(lost)
    assert found.loss == pytest.approx(lost.mean(), rel=0.01)
    assert found.gaps.mean == pytest.approx((~lost).sum() / 400, rel=0.01)
    drawn = [found.draw(5000, rng).mean() for _ in range(30)]
    assert np.mean(drawn) == pytest.approx(lost.mean(), rel=0.1)


def test_a_tail_without_end_is_cut_at_the_longest_run():
    """One draw of a thousand is beyond what a float can hold."""
    rng = np.random.default_rng(1)
    lengths = [Lengths(1.0, 0.01, 500).draw(rng) for _ in range(5000)]
    assert max(lengths) == 500 and min(lengths) == 1


@pytest.mark.parametrize("lost", ["010", "101", "011110"])
def test_the_shortest_traces_have_a_fit(lost):
    found = fit_semi(np.array(list(lost)) == "1")
    assert 0 < found.loss < 1 and np.isfinite(found.log_likelihood)


@pytest.mark.parametrize("name", FITTED)
def test_the_emulated_channel_draws_from_it_without_end(name):
    trace = THREE.draw(600, np.random.default_rng(5))
    whole = BlockChannel(0, name, trace=trace, seed=3).draw(9000)
    pieces = BlockChannel(0, name, trace=trace, seed=3)
    assert np.array_equal(np.concatenate([pieces.draw(n) for n in (1, 0, 2999, 6000)]), whole)
    assert 0.02 < whole.mean() < 0.4 and pieces.hit == whole.sum()
    with pytest.raises(ChannelError, match=f"channel model {name} needs a recorded trace"):
        BlockChannel(0, name)
    if name == "drift":
        assert BlockChannel(0, name, trace=np.ones(9, bool)).draw(20).all()
        return
    with pytest.raises(ChannelError, match="losses never begin or never end in this trace"):
        BlockChannel(0, name, trace=np.ones(9, bool))


def test_unknown_models_are_named():
    with pytest.raises(ModelError, match="model 'best' is unknown; choose one of iid, gilbert-elliott"):
        fit(np.array([0, 1, 0, 1], bool), ("best",))
    assert [one.name for one in fit(THREE.draw(300, np.random.default_rng(6)), NAMES)] == list(NAMES)
