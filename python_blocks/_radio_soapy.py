# SPDX-License-Identifier: GPL-3.0-or-later
"""Radios that SoapySDR knows: set and read back."""

from contextlib import suppress

from gnuradio import soapy

from ds2c2.errors import DeviceError
from ds2c2.links.radiosettings import RadioError, RadioSettings, check_read_back

from ._backend import RecordingNote, first_line
from ._failures import say

CHANNEL = 0
# Sources and channel first, tuned before the gain.
ORDER = ("clock_source", "time_source", "subdevice", "rate", "antenna", "frequency", "gain", "bandwidth")


def sink(settings: RadioSettings, note: RecordingNote):
    """A Soapy Sink, set. Raises ``DeviceError`` and ``RadioError``."""
    return _set("radio_sink", settings, soapy.sink)


def source(settings: RadioSettings):
    """A Soapy Source, set. Raises ``DeviceError`` and ``RadioError``."""
    return _set("radio_source", settings, soapy.source)


def _set(name: str, settings: RadioSettings, make):
    tuning = f"OFFSET={settings.lo_offset:.12g}" if settings.lo_offset else ""
    try:
        block = make(settings.address, "fc32", 1, "", "", [tuning], [""])
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"radio soapy: no device for {settings.address!r} ({first_line(error)}); is it connected and its "
            "SoapySDR module installed? `SoapySDRUtil --find` lists what there is"
        ) from None
    # Gain 0 is one; other empty values leave what the device has.
    _apply(block, settings, [name for name in ORDER if name == "gain" or getattr(settings, name)])
    _read_back(name, block, settings)
    return block


def change(name: str, block, before: RadioSettings, after: RadioSettings) -> None:
    """Set what differs while the device runs; raises ``RadioError`` when it did not take it, and sets it back."""
    different = [setting for setting in ORDER if getattr(before, setting) != getattr(after, setting)]
    try:
        _apply(block, after, different)
        _read_back(name, block, after)
    except RadioError:
        with suppress(RadioError):
            _apply(block, before, different)
        raise


def _apply(block, settings: RadioSettings, names: list[str]) -> None:
    steps = {
        "clock_source": lambda: block.set_clock_source(settings.clock_source),
        "time_source": lambda: block.set_time_source(settings.time_source),
        "subdevice": lambda: block.set_frontend_mapping(settings.subdevice),
        "rate": lambda: block.set_sample_rate(CHANNEL, settings.rate),
        "antenna": lambda: block.set_antenna(CHANNEL, settings.antenna),
        "frequency": lambda: block.set_frequency(CHANNEL, settings.frequency),
        "gain": lambda: block.set_gain(CHANNEL, settings.gain),
        "bandwidth": lambda: block.set_bandwidth(CHANNEL, settings.bandwidth),
    }
    for setting in names:
        try:
            steps[setting]()
        except (RuntimeError, ValueError) as error:
            raise RadioError(
                f"radio soapy: {setting} {getattr(settings, setting)} cannot be set ({first_line(error)})"
            ) from None


def _read_back(name: str, block, settings: RadioSettings) -> None:
    """Raises ``RadioError`` where what is set is not what was asked for."""
    asked = {"rate": settings.rate, "frequency": settings.frequency, "gain": settings.gain}
    got = {
        "rate": block.get_sample_rate(CHANNEL),
        "frequency": block.get_frequency(CHANNEL),
        "gain": block.get_gain(CHANNEL),
    }
    if settings.bandwidth:
        asked["bandwidth"], got["bandwidth"] = settings.bandwidth, block.get_bandwidth(CHANNEL)
    for note in check_read_back("soapy", asked, got):
        say(name, note)
