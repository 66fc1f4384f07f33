# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a trace's bursts, and how far its loss rate may be off."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from ds2c2.evaluation.compare.report import statistics_rows
from ds2c2.traces.lossstatistics import cut_lengths, statistics

CUT = "are in a burst that the trace's end cuts"
DEAD = np.concatenate([np.arange(3000) % 50 == 1, np.ones(4000, bool)])  # and the packet before it arrives


def rows(lost) -> dict[str, str]:
    found = statistics(np.array(lost, bool))
    return dict(statistics_rows(json.loads(json.dumps(asdict(found) | {"rate": found.rate}))))


@pytest.mark.parametrize(
    ("lost", "mean", "longest"),
    [
        (DEAD, f"1.00 packets, of 60 whole bursts; 4000 losses {CUT}", "4000 packets or more"),
        ([1] * 9, f"no whole burst; 9 losses {CUT}", "9 packets or more"),
        ([1, 0, 1, 1], "no whole burst; 3 losses are in bursts that the trace's ends cut", "2 packets or more"),
        ([1, 0, 1, 1, 0], f"2.00 packets, of 1 whole burst; 1 loss {CUT.replace('are', 'is')}", "2 packets"),
        ([1, 1, 0, 1, 1, 0], f"2.00 packets, of 1 whole burst; 2 losses {CUT}", "2 packets or more"),
        ([0, 1, 0], "1.00 packets, of 1 whole burst", "1 packet"),
        ([0, 0], "no burst", "no burst"),
    ],
)  # fmt: skip
def test_bursts_that_the_ends_cut_are_told(lost, mean, longest):
    found = rows(lost)
    assert (found["mean burst"], found["longest burst"]) == (mean, longest)


def test_gaps_are_whole_ones():
    assert rows(DEAD)["mean gap between losses"] == "48.98 packets, of 60 whole gaps"
    assert rows([0, 0])["mean gap between losses"] == "no whole gap"


@pytest.mark.parametrize(
    ("lost", "by"),
    [([0] * 40, "Wilson"), ([1] * 40, "Wilson"), ([0, 1, 1] * 5, "Wilson"), ([0, 1] * 8, "by batch means")],
)
def test_the_interval_is_called_what_it_is(lost, by):
    found = rows(lost)
    (low, high), independent = statistics(np.array(lost, bool)).interval, found["the same if independent"]
    assert found["loss rate"] == f"{np.mean(lost):.2%} [{low:.2%}, {high:.2%}], {by}"
    assert (f"[{low:.2%}, {high:.2%}], Wilson" == independent) == (by == "Wilson")


def test_cut_runs_are_those_at_the_ends():
    lost = np.array([1, 1, 0, 1, 0, 0, 0], bool)
    assert cut_lengths(lost, True) == [2] and cut_lengths(lost, False) == [3]
    assert cut_lengths(~lost, True) == [3] and cut_lengths(np.ones(1, bool), True) == [1]
