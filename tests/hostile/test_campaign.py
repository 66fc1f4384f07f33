# SPDX-License-Identifier: GPL-3.0-or-later
"""A short run of the campaign: each way, each stream format. ``campaign.py`` itself takes as many packets as wanted."""

import pytest
from campaign import FORMATS, run


@pytest.mark.parametrize(("way", "packets"), [("library", 4000), ("udp", 1200), ("block", 1500)])
@pytest.mark.parametrize("name", FORMATS)
def test_every_genuine_picture_comes_out(way, packets, name):
    outcome = run(way, name, packets, seed=1)
    # Single blocks are not what was sent, where a key would have helped.
    assert outcome.frames <= outcome.whole + outcome.displaced <= 1.1 * outcome.frames
    assert outcome.counts.used >= 0.99 * outcome.packets / 3
