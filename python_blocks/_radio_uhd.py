# SPDX-License-Identifier: GPL-3.0-or-later
"""USRPs: everything that is set is set here, in the order that UHD wants, and read back."""

import os
import time
from contextlib import suppress

# Its greeting is no news: set before the library is loaded.
os.environ.setdefault("UHD_LOG_CONSOLE_LEVEL", "warning")

from gnuradio import uhd  # noqa: E402

from ds2c2.errors import DeviceError  # noqa: E402
from ds2c2.links.radiosettings import RadioError, RadioSettings, TransmitSettings, check_read_back  # noqa: E402

from ._backend import RecordingNote, first_line  # noqa: E402
from ._burst_streams import BURST_TAG  # noqa: E402
from ._failures import say  # noqa: E402

CHANNEL = 0
BOARD = 0
# Sources and channel first, tuned before the gain.
ORDER = ("clock_source", "time_source", "subdevice", "rate", "antenna", "frequency", "gain", "bandwidth")
POLL_SECONDS = 0.01


def sink(settings: TransmitSettings, note: RecordingNote):
    """A USRP Sink, set and locked. Raises ``DeviceError`` and ``RadioError``."""
    arguments = uhd.stream_args(cpu_format="fc32", channels=[CHANNEL])
    tag = "" if settings.continuous else BURST_TAG
    return _set("radio_sink", settings, lambda: uhd.usrp_sink(settings.address, arguments, tag))


def source(settings: RadioSettings):
    """A USRP Source, set and locked. Raises ``DeviceError`` and ``RadioError``."""
    arguments = uhd.stream_args(cpu_format="fc32", channels=[CHANNEL])
    return _set("radio_source", settings, lambda: uhd.usrp_source(settings.address, arguments))


def _set(name: str, settings: RadioSettings, make):
    try:
        block = make()
    except RuntimeError as error:
        raise DeviceError(
            f"radio uhd: no device for {settings.address!r} ({first_line(error)}); is it switched on and connected? "
            "`uhd_find_devices` (package uhd-host) lists what there is"
        ) from None
    # Gain 0 is one; other empty values leave what the device has.
    _apply(block, settings, [name for name in ORDER if name == "gain" or getattr(settings, name)])
    _await_locks(block, settings)
    _set_time(block, settings)
    got = _read_back(name, block, settings)
    for setting, there in (
        ("antenna", lambda: block.get_antenna(CHANNEL)),
        ("subdevice", lambda: block.get_subdev_spec(BOARD)),
        ("clock_source", lambda: block.get_clock_source(BOARD)),
        ("time_source", lambda: block.get_time_source(BOARD)),
    ):
        wanted = getattr(settings, setting)
        if wanted and (found := there()) != wanted:
            raise RadioError(f"radio uhd: {setting} {wanted} was asked for and {found} is set")
    say(
        name,
        f"USRP at {got['frequency'] / 1e6:.6f} MHz, {got['rate']:.12g} samples/s, gain {got['gain']:g} dB, "
        f"antenna {block.get_antenna(CHANNEL)}",
    )
    return block


def change(name: str, block, before: RadioSettings, after: RadioSettings) -> None:
    """Set what differs while the device runs; raises ``RadioError`` when it did not take it, and sets it back."""
    different = [setting for setting in ORDER if getattr(before, setting) != getattr(after, setting)]
    try:
        _apply(block, after, different)
        _await_oscillator(block, after)
        _read_back(name, block, after)
    except RadioError:
        with suppress(RadioError):
            _apply(block, before, different)
            _await_oscillator(block, before)
        raise


def _apply(block, settings: RadioSettings, names: list[str]) -> None:
    steps = {
        "clock_source": lambda: block.set_clock_source(settings.clock_source, BOARD),
        "time_source": lambda: block.set_time_source(settings.time_source, BOARD),
        "subdevice": lambda: block.set_subdev_spec(settings.subdevice, BOARD),
        "rate": lambda: block.set_samp_rate(settings.rate),
        "antenna": lambda: block.set_antenna(settings.antenna, CHANNEL),
        "frequency": lambda: block.set_center_freq(_tuning(settings), CHANNEL),
        "gain": lambda: block.set_gain(settings.gain, CHANNEL),
        "bandwidth": lambda: block.set_bandwidth(settings.bandwidth, CHANNEL),
    }
    for setting in names:
        try:
            steps[setting]()
        except RuntimeError as error:
            raise RadioError(
                f"radio uhd: {setting} {getattr(settings, setting)} cannot be set ({first_line(error)})"
            ) from None


def _read_back(name: str, block, settings: RadioSettings) -> dict[str, float]:
    """What the device says is set. Raises ``RadioError`` where that is not what was asked for."""
    asked = {"rate": settings.rate, "frequency": settings.frequency, "gain": settings.gain}
    got = {
        "rate": block.get_samp_rate(),
        "frequency": block.get_center_freq(CHANNEL),
        "gain": block.get_gain(CHANNEL),
    }
    if settings.bandwidth:
        asked["bandwidth"], got["bandwidth"] = settings.bandwidth, block.get_bandwidth(CHANNEL)
    for note in check_read_back("uhd", asked, got):
        say(name, note)
    return got


def _tuning(settings: RadioSettings):
    if not settings.lo_offset:
        return uhd.tune_request(settings.frequency)
    return uhd.tune_request(settings.frequency, settings.lo_offset)


def _await_locks(block, settings: RadioSettings) -> None:
    """An oscillator that is not locked sends beside its channel."""
    _await_oscillator(block, settings)
    external = settings.clock_source not in ("", "internal")
    if external and "ref_locked" in block.get_mboard_sensor_names(BOARD):
        _await(
            lambda: block.get_mboard_sensor("ref_locked", BOARD).to_bool(),
            settings,
            f"the reference clock ({settings.clock_source})",
        )


def _await_oscillator(block, settings: RadioSettings) -> None:
    if "lo_locked" in block.get_sensor_names(CHANNEL):
        _await(lambda: block.get_sensor("lo_locked", CHANNEL).to_bool(), settings, "the local oscillator")


def _await(locked, settings: RadioSettings, what: str) -> None:
    until = time.monotonic() + settings.lock_timeout
    while not locked():
        if time.monotonic() > until:
            raise RadioError(
                f"radio uhd: {what} did not lock within {settings.lock_timeout:g} s at {settings.frequency:.12g} Hz"
            )
        time.sleep(POLL_SECONDS)


def _set_time(block, settings: RadioSettings) -> None:
    """The device's clock: whole seconds at the next pulse of a common source, else this host's."""
    if settings.time_source in ("", "internal"):
        block.set_time_now(uhd.time_spec(time.time()))
    else:
        block.set_time_unknown_pps(uhd.time_spec(float(int(time.time()) + 1)))
