# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels that are fitted to a trace take one on the command line, and none that is not takes it."""

import pytest

from ds2c2.channels.channel import FITTED, ChannelError
from ds2c2.cli.options import ChannelOptions


@pytest.mark.parametrize("channel", ["trace", *FITTED])
def test_channels_of_a_trace_take_it_and_no_loss(channel):
    assert ChannelOptions(channel=channel, trace="roof.csv").settings()["trace"] == "roof.csv"
    with pytest.raises(ChannelError, match=f"--channel {channel} loses what the trace says"):
        ChannelOptions(channel=channel, trace="roof.csv", loss=0.1).settings()


def test_others_do_not():
    with pytest.raises(ChannelError, match="--trace roof.csv: only --channel trace reads it"):
        ChannelOptions(channel="iid", trace="roof.csv").settings()
