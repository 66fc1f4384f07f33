# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a model is true for a link, and for which of many."""

import numpy as np
import pytest

from ds2c2.traces.goodness import LEVEL, goodness
from ds2c2.traces.lossmodels import BASIC, ModelError, distance, fit
from ds2c2.traces.manylinks import fit_links

BURSTY = fit(np.tile([False] * 37 + [True] * 8 + [False] * 11 + [True] * 3, 40))[1]


def test_a_model_that_is_the_link_is_rarely_refuted_and_another_is():
    refuted = [bool(goodness(BURSTY, BURSTY.draw(400, np.random.default_rng(seed))).refuted_by) for seed in range(20)]
    # At most a share LEVEL is expected; more than 4 of 20 would come once in 400 such tests.
    assert sum(refuted) <= 4 and LEVEL == 0.05
    lost = BURSTY.draw(2000, np.random.default_rng(7))
    assert "bursts" in goodness(fit(lost)[0], lost).refuted_by


def test_losses_that_alternate_are_not_independent():
    """No run is longer than one packet, of which every second would be longer by chance."""
    lost = np.arange(2000) % 2 == 1
    iid = fit(lost, ["iid"])[0]
    assert distance(iid, lost, True) == distance(iid, lost, False) == pytest.approx(0.5)
    assert goodness(iid, lost).refuted_by == ["bursts", "gaps"]


@pytest.mark.parametrize("count", [3, 4, 9])
def test_one_run_of_all_but_the_ends_is_measured(count):
    lost = np.arange(count) % (count - 1) > 0
    for one in (lost, ~lost):
        for found in fit(one, (*BASIC, "semi-markov")):
            assert 0 <= distance(found, one, bool(one[1])) <= 1
            assert all(0 < p <= 1 for p in goodness(found, one).p.values())


def test_a_link_whose_rate_drifts_is_no_chain():
    rng = np.random.default_rng(3)
    lost = rng.random(3000) < np.repeat([0.02, 0.4, 0.1], 1000)
    assert goodness(fit(lost)[0], lost).refuted_by and "dispersion" in goodness(fit(lost)[1], lost).refuted_by


def test_each_link_by_itself_and_all_together():
    """Independent losses at two rates: each link is i.i.d., all of them together are not."""
    rng = np.random.default_rng(6)
    losses = {f"{n}": rng.random(200) < (0.05 if n % 2 else 0.5) for n in range(4)} | {"short": np.zeros(9, bool)}
    seen = []
    found = fit_links(losses, 1, seen.append)
    assert seen == list("0123") and found.short == ["short"]
    iid = next(row for row in found.shares() if row["name"] == "iid")
    assert (iid["best"], iid["own"], iid["tested"]) == (4, 4, 4) and iid["pooled"] == 0
    assert min(found.pooled, key=lambda one: one.bic).name != "iid"
    with pytest.raises(ModelError, match="none of 1 links has 50 packets"):
        fit_links({"a": np.zeros(9, bool)})
