# SPDX-License-Identifier: GPL-3.0-or-later
"""A model as netem's command line: read back as tc-netem(8) has it, and run as the kernel runs it."""

import re

import numpy as np
import pytest

from ds2c2.traces.lossmodels import LossModel, fit
from ds2c2.traces.netem import netem_lines
from ds2c2.traces.packetfates import TraceError


def model(name: str, p: float, r: float, good: float, bad: float) -> LossModel:
    return LossModel(name, p, r, good, bad, 1, 0.0, {})


def parameters(line: str) -> list[float]:
    return [float(word) / 100 for word in re.findall(r"([\d.]+)%", line)]


def gemodel(p: float, r: float, one_minus_h: float, one_minus_k: float, count: int, seed: int) -> np.ndarray:
    """What sch_netem does with each packet: the state moves, and the state before says how likely a loss is."""
    rng = np.random.default_rng(seed)
    bad, lost = False, np.empty(count, bool)
    for place, (move, hit) in enumerate(rng.random((count, 2))):
        lost[place] = hit < (one_minus_h if bad else one_minus_k)
        bad = move >= r if bad else move < p
    return lost


def state(p13: float, p31: float, p32: float, p23: float, p14: float, count: int, seed: int) -> np.ndarray:
    """The same for the chain of four states: the one that is moved to says whether the packet is lost."""
    rng = np.random.default_rng(seed)
    here, lost = 1, np.empty(count, bool)
    for place, drawn in enumerate(rng.random(count)):
        if here == 1:
            here = 4 if drawn < p14 else 3 if drawn < p14 + p13 else 1
        elif here == 2:
            here = 3 if drawn < p23 else 2
        elif here == 3:
            here = 2 if drawn < p32 else 1 if drawn < p32 + p31 else 3
        else:
            here = 1
        lost[place] = here in (3, 4)
    return lost


def test_the_kernel_draws_what_the_model_says():
    """General Gilbert-Elliott through the command line and the kernel's rules, fitted again."""
    asked = model("gilbert-elliott-general", 0.01, 0.04, 0.02, 0.7)
    line = netem_lines(asked, "wlan0")[0]
    assert line == "tc qdisc replace dev wlan0 root netem loss gemodel 1% 4% 70% 2%"
    found = fit(gemodel(*parameters(line), 8_000, 1))[2]
    for name, (low, high) in found.intervals.items():
        assert low < getattr(asked, name) < high, name


def test_both_commands_of_gilberts_chain_are_the_same_link():
    lines = netem_lines(model("gilbert-elliott", 0.0213, 0.3, 0.0, 1.0), "eth0")
    assert lines[0].endswith("loss gemodel 2.13% 30% 100% 0%")
    four = next(line for line in lines if "loss state" in line)
    assert four.endswith("loss state 2.13% 30% 0% 100% 0%")
    for lost in (gemodel(*parameters(lines[0]), 8_000, 2), state(*parameters(four), 8_000, 3)):
        found = fit(lost)[1].intervals
        assert found["p"][0] < 0.0213 < found["p"][1] and found["r"][0] < 0.3 < found["r"][1]


def test_independent_losses_and_what_netem_does_not_have():
    assert netem_lines(model("iid", 0.5, 0.5, 1 / 3, 1 / 3), "lo")[0].endswith("loss random 33.33333333%")
    with pytest.raises(TraceError, match="netem has no hidden-3"):
        netem_lines(model("hidden-3", 0.5, 0.5, 0, 1), "lo")
    with pytest.raises(TraceError, match="is no name of a network interface"):
        netem_lines(model("iid", 0.5, 0.5, 0, 1), "eth0; reboot")
