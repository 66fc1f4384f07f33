# SPDX-License-Identifier: GPL-3.0-or-later
"""What fuzzing began with and what it found goes through the same doors again, without atheris."""

import pytest
from doors import DOORS, inputs, within_bounds


@pytest.mark.parametrize("name", DOORS)
def test_nothing_but_a_users_error(name, tmp_path):
    door = DOORS[name](tmp_path)
    paths = inputs(name)
    assert paths
    for path in paths:
        within_bounds(door, path.read_bytes())
