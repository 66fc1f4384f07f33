# SPDX-License-Identifier: GPL-3.0-or-later
"""A reception that page and window are asked of, and its time."""

import pytest

from ds2c2.watch.reception import Reception
from told import STREAM, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reception(clock: Clock) -> Reception:
    return Reception(STREAM, 'udp://127.0.0.1:4000 "a\\b"', clock)
