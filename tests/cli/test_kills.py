# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers killed and out of room, a little of each; ``kills.py`` does all of them, at many moments."""

import pytest

from hostile.kills import Place, attack, half

# Changes at which each is killed, and sizes of its files in which it is killed and finds no room.
SOME = {
    "send, a recording of packets": (1, 1),
    "receive": (2, 1),
    "trace record": (1, 0),
    "key": (2, 1),
    "serve keys": (4, 0),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, commands, tiny_models):
    return Place(tmp_path_factory.mktemp("kills"), commands, tiny_models)


@pytest.mark.parametrize("name", SOME)
def test_nothing_half_and_a_retry_works(place, name):
    events, sizes = SOME[name]
    outcome = attack(place, name, events, sizes, randoms=0, seed=1)
    assert not outcome.wrong
    assert outcome.killed == events + sizes and outcome.refused == sizes


def test_half_files_are_told_from_whole_ones(place):
    for name in ("given.rec", "in/a.png", "given.csv"):
        path = place.given / name
        assert half(path) == ""
        cut = place.given / f"cut-{path.name}"
        cut.write_bytes(path.read_bytes()[:-20])
        assert half(cut).startswith(cut.name)
        cut.unlink()
