# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of packets that arrived as a loss trace: counters that wrap, restarts, late packets and copies."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.traces.formats.arrivals import trace_of
from ds2c2.traces.losstrace import Reading, TraceError

TENTHS_MISSING = [number for number in range(1000, 5000) if number % 10]


def late(arrived: list[int], moves: list[tuple[int, int]]) -> list[int]:
    """Each of these moved back by so many places."""
    arrived = list(arrived)
    for place, by in moves:
        place %= len(arrived)
        arrived.insert(place + by, arrived.pop(place))
    return arrived


@pytest.mark.parametrize("begin", [1000, 30000, 63000])
@pytest.mark.parametrize("wrap", [1 << 16, 1 << 24])
def test_a_sender_that_restarts_is_told_where_its_counter_wraps(begin, wrap):
    """The first copy of 4000 numbers whole, of the second every tenth missing."""
    numbers = (np.array([*range(1000, 5000), *TENTHS_MISSING]) - 1000 + begin) % wrap
    trace, said = trace_of(np.append(numbers, numbers[-1] + 1), Reading(), wrap=wrap)
    assert (len(trace), trace.lost().sum(), trace.resumes) == (8000, 399, [begin + 4000])
    assert "the counter began anew once: the sender restarted; gaps of unknown length there" in said


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, (1 << 16) - 1), st.lists(st.integers(1, 90), min_size=400, max_size=900),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 2)), max_size=20),
    st.lists(st.integers(0, 10_000), max_size=20), st.booleans(),
)  # fmt: skip
def test_late_packets_and_copies_are_no_restart(first, steps, moves, copies, again):
    """At any place of a counter that wraps, gaps included; and one restart is one, whatever is late."""
    sent = first + np.cumsum(steps)
    arrived = late(sent.tolist(), moves)
    for place in copies:
        place %= len(arrived)
        arrived.insert(place + 1, arrived[place])
    arrived = [*arrived, *sent.tolist()] if again and sent[-1] - sent[0] < 1 << 15 else arrived
    runs = 1 + (len(arrived) > len(sent) + len(copies))
    trace, said = trace_of(np.array(arrived) % (1 << 16), Reading(step=1), wrap=1 << 16)
    assert trace.counts() == {
        "ok": runs * len(sent), "missed": runs * (sent[-1] - sent[0] + 1 - len(sent)), "crc_fail": 0, "host_drop": 0,
        "duplicate": len(copies),
    }  # fmt: skip
    assert len(trace.resumes) == runs - 1
    assert [words for words in said if "came twice" in words] == [f"{len(copies)} packets came twice"] * bool(copies)


@pytest.mark.parametrize("wrap", [0, 1 << 16])
def test_a_few_packets_that_are_very_late_are_no_restart(wrap):
    trace, said = trace_of(np.array([*range(2000), 5, 6, 7, *range(2000, 3000)]), Reading(), wrap=wrap)
    assert (len(trace), trace.counts()["duplicate"], trace.resumes) == (3003, 3, [])
    assert said == ["3 packets came twice"]
    assert trace_of(np.array([*range(2000), 5]), Reading(), wrap=wrap)[0].resumes == []
    assert trace_of(np.array([*range(1000, 2000), 5]), Reading(), wrap=wrap)[0].resumes == [2000]


def test_many_packets_that_came_twice_may_be_a_restart():
    """A counter of 8 bits falls by less than packets may be late."""
    _, said = trace_of(np.array([*range(100), *range(30, 100)]), Reading(), wrap=256)
    assert said == ["70 packets came twice; if the sender began anew, cut the file there"]


@pytest.mark.parametrize("fall", [30000, 20])
def test_a_counter_that_falls_all_the_time_stays_above_0(fall):
    numbers = (60000 - fall * np.arange(7000 if fall < 100 else 40)) % (1 << 16)
    trace, _ = trace_of(numbers, Reading(step=1), wrap=1 << 16)
    assert trace.sequence.min() >= 0 and (np.diff(trace.sequence) >= 0).all()


@pytest.mark.parametrize(
    ("numbers", "first", "wrap", "step", "packets", "lost"),
    [
        (range(100, 400, 10), 50, 0, 10, 35, 5),
        (range(100, 400, 10), 50, 0, None, 35, 5),
        (range(105, 400, 10), 0, 0, 10, 40, 10),
        (range(105, 400, 10), 106, 0, 10, None, 0),
        ([2, 3, 4, 6], 65530, 1 << 16, None, 13, 9),
        ([65534, 65535, 1], 65530, 1 << 16, None, 8, 5),
        ([0, 65535, 1, 2], 0, 1 << 16, None, 4, 0),
        ([*range(0, 5000), *range(2000, 3000)], 65530, 1 << 16, None, 6006, 6),
        ([7, 8], 9, 0, None, None, 0),
        ([7, 8], 9, 256, None, None, 0),
        ([7, 8], 256, 256, None, None, 0),
    ],
)
def test_the_number_of_the_first_packet_is_one_as_the_counter_shows_it(numbers, first, wrap, step, packets, lost):
    def read():
        return trace_of(np.array(numbers), Reading(first=first, step=step), wrap=wrap, where="a.csv")[0]

    if packets is None:
        with pytest.raises(TraceError, match=f"a.csv: --first-number {first} "):
            read()
    else:
        trace = read()
        assert (len(trace), trace.lost().sum(), trace.sequence.min() >= 0) == (packets, lost, True)


def test_far_numbers_again_and_again_are_refused_before_they_cost_memory():
    """Two runs of a million packets, of 8 numbers."""
    tracemalloc.start()
    with pytest.raises(TraceError, match="a.csv: numbers go from 0 to 999991: 1999984 packets made of 8"):
        trace_of(np.array([0, 1, 999_990, 999_991] * 2), Reading(), where="a.csv")
    # The first run's rows alone are 40 MB.
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_numbers_that_no_float_holds_are_refused():
    with pytest.raises(TraceError, match=r"a.csv: number 1152921504606847005 of a packet; below 2\^53 is wanted"):
        trace_of((1 << 60) + np.array([0, 1, 3, 29]), Reading(step=1), where="a.csv")
    near = trace_of((1 << 53) - np.array([4, 3, 1]), Reading(step=1))[0]
    assert near.sequence.tolist() == list(range((1 << 53) - 4, 1 << 53))
    assert trace_of(10**18 + 1000 * np.array([0, 2]), Reading(step=1000))[0].lost().tolist() == [False, True, False]
