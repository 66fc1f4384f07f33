# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice of a modem: arguments, time on the air, and what no modem has."""

import pytest

from ds2c2.links.linksettings import LINKS, LinkSettings
from ds2c2.links.ofdm import ModemError


def test_arguments_are_those_of_the_chosen_modem():
    ofdm = LinkSettings("ofdm", "16qam", "cc", threshold=0.8)
    assert ofdm.modem == {"modulation": "16qam", "fec": "cc"} and ofdm.receiver == {**ofdm.modem, "threshold": 0.8}
    gmsk = LinkSettings("gmsk", samples_per_symbol=8)
    assert gmsk.modem == gmsk.receiver == {"samples_per_symbol": 8}
    assert gmsk.lines() == [("link", "gmsk"), ("samples_per_symbol", "8")]


def test_time_on_the_air():
    """108 bytes and 4 of check sum: 10 QPSK symbols of 48 carriers and 3 before, 80 samples each, 500 zeros."""
    assert LinkSettings().packet_samples(108) == (3 + 10) * 80 + 500
    assert LinkSettings("gmsk").packet_samples(108) == 4 * (8 * (12 + 8 + 112 + 2) + 160)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"link": "lora"}, "link 'lora' is unknown; choose one of ofdm, gmsk"),
        ({"modulation": "256qam"}, "modulation '256qam' is unknown"),
        ({"fec": "ldpc"}, "FEC 'ldpc' is unknown"),
        ({"link": "gmsk", "samples_per_symbol": 1}, "1 samples per symbol"),
        ({"threshold": 1.0}, "threshold 1 is out of range"),
    ],
)
def test_what_no_modem_has_is_named(settings, named):
    with pytest.raises(ModemError, match="is unknown|out of range|wanted") as refused:
        LinkSettings(**settings)
    assert named in str(refused.value)
    assert LINKS == ("ofdm", "gmsk")
