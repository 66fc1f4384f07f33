# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a radio: what is refused, and that nothing is sent that nobody asked for."""

import pytest

from ds2c2.links.air import AirError, AirSettings
from ds2c2.links.radiosettings import (
    BACKENDS,
    HARDWARE_SCALE,
    RadioError,
    RadioSettings,
    ReceiveSettings,
    TransmitSettings,
    check_read_back,
)

USRP = {"backend": "uhd", "address": "type=b200", "frequency": 2.45e9}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"backend": "usrp"}, "radio 'usrp' is unknown; choose one of sim, zmq, file, uhd, soapy"),
        ({"rate": 0}, "rate 0 is out of range"),
        ({"rate": float("nan")}, "rate nan is out of range"),
        ({"backend": "file"}, "no recording is named"),
        ({"backend": "zmq", "address": "127.0.0.1"}, "'127.0.0.1' is no endpoint; write tcp://127.0.0.1:5557"),
        ({"backend": "zmq", "address": "tcp://127.0.0.1:port"}, "is no endpoint"),
        ({"backend": "zmq", "address": "tcp://0.0.0.0:5557"}, "others can reach tcp://0.0.0.0:5557"),
        ({"backend": "uhd"}, "no centre frequency"),
        ({"backend": "soapy", "frequency": 1e9}, "names no driver"),
        ({**USRP, "lo_offset": 1e8}, "lo_offset 1e+08 is out of range"),
        ({**USRP, "gain": 1000}, "gain 1000 is out of range"),
        ({**USRP, "frequency": -1}, "frequency -1 is out of range"),
        (
            {**USRP, "clock_source": "extern"},
            "clock_source 'extern' is unknown; choose one of external, gpsdo, internal",
        ),
        ({**USRP, "time_source": "sun"}, "time_source 'sun' is unknown; choose one of _external_, external, "),
    ],
)
def test_what_no_radio_has_is_named(settings, named):
    for kind in (RadioSettings, TransmitSettings, ReceiveSettings):
        with pytest.raises(RadioError) as refused:
            kind(**settings)
        assert named in str(refused.value)


def test_what_clocks_other_devices_have_only_they_know():
    RadioSettings("soapy", "driver=any", frequency=1e9, clock_source="rubidium", time_source="sun")
    RadioSettings("sim", clock_source="rubidium")


def test_every_backend_has_a_default_address_or_says_what_is_missing():
    assert RadioSettings("sim").address and RadioSettings("zmq").address.startswith("tcp://127.0.0.1:")
    assert RadioSettings("zmq", "tcp://192.168.1.2:1", keys="keys").address == "tcp://192.168.1.2:1"
    assert RadioSettings("zmq", "ipc:///tmp/iq").address == "ipc:///tmp/iq"
    assert set(BACKENDS) == {"sim", "zmq", "file", "uhd", "soapy"}


@pytest.mark.parametrize("backend", ["uhd", "soapy"])
def test_a_real_radio_sends_only_when_somebody_says_so(backend):
    settings = {"backend": backend, "address": "driver=any", "frequency": 868.3e6, "max_duration": 5}
    with pytest.raises(RadioError, match=r"868.3 MHz for up to 5 s.*--transmit"):
        TransmitSettings(**settings).check_consent()
    TransmitSettings(**settings, transmit=True).check_consent()
    TransmitSettings(backend="zmq").check_consent()


def test_a_real_radio_has_an_end_and_a_level():
    radio = TransmitSettings(**USRP, rate=2e6, max_duration=1.5)
    assert radio.max_samples == 3_000_000
    assert radio.scale == HARDWARE_SCALE and radio.continuous
    assert TransmitSettings(**USRP, scale=0.05).scale == 0.05
    assert (TransmitSettings().scale, TransmitSettings().max_samples) == (1.0, None)
    with pytest.raises(RadioError, match="max_duration"):
        TransmitSettings(**USRP, max_duration=float("inf"))
    with pytest.raises(RadioError, match="send continuously"):
        TransmitSettings(backend="soapy", address="driver=lime", frequency=1e9, continuous=False)


def test_the_air_is_simulated_where_there_is_none():
    assert ReceiveSettings(air="snr=20 seed=4").air == AirSettings(snr=20, seed=4)
    with pytest.raises(RadioError, match="air of its own"):
        ReceiveSettings(**USRP, air="snr=20")
    with pytest.raises(AirError):
        ReceiveSettings(air="snr")


def test_lines_say_what_would_be_set_and_no_more():
    lines = dict(TransmitSettings(**USRP, gain=12.5, lo_offset=2e6, antenna="TX/RX", transmit=True).lines())
    assert lines["frequency"] == "2450000000 Hz"
    assert lines["gain"] == "12.5 dB" and lines["lo_offset"] == "2000000 Hz" and lines["antenna"] == "TX/RX"
    assert lines["max_duration"] == "60 s" and lines["scale"] == "0.2"
    assert "subdevice" not in lines and "keys" not in lines
    virtual = dict(ReceiveSettings("zmq", air="snr=20").lines())
    assert virtual == {
        "backend": "zmq", "address": "tcp://127.0.0.1:5557", "rate": "1000000 samples/s", "timeout": "30 s",
        "air": "snr=20.0",
    }  # fmt: skip


def test_what_a_device_did_not_take():
    """A wrong rate or frequency is no link; another gain or filter is worth a line."""
    asked = {"rate": 1e6, "frequency": 2.45e9, "gain": 30.0, "bandwidth": 1e6}
    assert check_read_back("uhd", asked, asked | {"frequency": 2.45e9 + 0.3, "gain": 30.5}) == []
    (gain, bandwidth) = check_read_back("uhd", asked, asked | {"gain": 25, "bandwidth": 2e7})
    assert gain == "gain 30 dB was asked for and 25 is set" and bandwidth.startswith("bandwidth 1000000 Hz")
    for name, value in (("rate", 1.0001e6), ("frequency", 2.4501e9), ("frequency", float("nan"))):
        with pytest.raises(RadioError, match=f"radio uhd: {name} .* was asked for"):
            check_read_back("uhd", asked, asked | {name: value})
