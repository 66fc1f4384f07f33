# SPDX-License-Identifier: GPL-3.0-or-later
"""What is set at a radio, for sending and for receiving: checked here, once, before anything is opened."""

import math
from dataclasses import dataclass, field, fields

from ds2c2.errors import ExitCode, UserError
from ds2c2.links.air import AirSettings, as_air
from ds2c2.links.radiobackends import BACKENDS

DEFAULT_RATE = 1e6  # samples/s
MIN_RATE, MAX_RATE = 1e3, 1e9  # samples/s
MAX_FREQUENCY = 3e11  # Hz, where radio ends
MAX_GAIN = 200.0  # dB, more than any device has
# Amplitude of bursts of mean power 1 on a radio, whose largest number is 1: OFDM peaks are up to
# 12 dB above the mean.
HARDWARE_SCALE = 0.2
DEFAULT_MAX_DURATION = 60.0  # seconds on the air
MAX_DURATION = 86400.0
LOCK_SECONDS = 2.0  # for an oscillator to lock
WAIT_SECONDS = 30.0  # without a sample
# What a device may be off from what was asked for.
RATE_TOLERANCE = 1e-6  # relative; a modem's clock recovery bears 1e-3
FREQUENCY_TOLERANCE = 10.0  # Hz; the steps of a synthesizer and its DSP together are finer
GAIN_TOLERANCE = 1.0  # dB; steps of the amplifiers
BANDWIDTH_TOLERANCE = 0.5  # relative: analogue filters have few widths


class RadioError(UserError):
    """Settings that no radio has, a radio that did not take them, or one that must not send."""

    exit_code = ExitCode.RADIO


@dataclass(frozen=True)
class RadioSettings:
    """What sending and receiving have in common. An empty text and 0 leave what the device has.

    Args:
        backend: one of ``ds2c2.links.radiobackends.BACKENDS``: sim (one process), zmq (samples between two
            processes), file (SigMF recording), uhd (USRP) or soapy (whatever SoapySDR knows)
        address: sim: a name that both ends share; zmq: the endpoint, which the sender binds; file:
            the recording; uhd, soapy: device arguments, ``type=b200`` and ``driver=lime``
        rate: samples/s
        frequency: centre, Hz
        lo_offset: of the local oscillator from the centre, Hz, so that its own carrier is not in
            the middle of the band
        gain: dB
        antenna: name of the connector, ``TX/RX``, ``RX2``
        bandwidth: of the analogue filter, Hz
        subdevice: of uhd, ``A:0``
        clock_source, time_source: ``internal``, ``external``, ``gpsdo``
        lock_timeout: seconds that the oscillator has to lock
        keys: of zmq: folder with this host's keys and those of others (``ds2c2.serve.keys``), needed
            where others can reach the address
        timeout: seconds without a sample after which sim and zmq give up, 0 for never

    Raises ``RadioError``.
    """

    backend: str = "sim"
    address: str = ""
    rate: float = DEFAULT_RATE
    frequency: float = 0.0
    lo_offset: float = 0.0
    gain: float = 0.0
    antenna: str = ""
    bandwidth: float = 0.0
    subdevice: str = ""
    clock_source: str = ""
    time_source: str = ""
    lock_timeout: float = LOCK_SECONDS
    keys: str = ""
    timeout: float = WAIT_SECONDS

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise RadioError(f"radio {self.backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
        if not self.address:
            object.__setattr__(self, "address", BACKENDS[self.backend].address)
        self._check("rate", MIN_RATE, MAX_RATE, "samples/s")
        self._check("frequency", 0, MAX_FREQUENCY, "Hz")
        self._check("lo_offset", -self.rate * 10, self.rate * 10, "Hz, ten times the rate")
        self._check("gain", -MAX_GAIN, MAX_GAIN, "dB")
        self._check("bandwidth", 0, MAX_RATE, "Hz")
        self._check("lock_timeout", 0, 3600, "seconds")
        self._check("timeout", 0, math.inf, "seconds")
        if trouble := BACKENDS[self.backend].trouble(self.address, self.keys):
            raise RadioError(f"radio {self.backend}: {trouble}")
        self._check_source("clock_source", BACKENDS[self.backend].clock_sources)
        self._check_source("time_source", BACKENDS[self.backend].time_sources)
        if self.on_air and not self.frequency:
            raise RadioError(f"radio {self.backend}: no centre frequency is given; give one in Hz")

    def _check(self, name: str, low: float, high: float, unit: str) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise RadioError(f"{name} {value:g} is out of range: {low:g} to {high:g} {unit}")

    def _check_source(self, name: str, known: frozenset[str]) -> None:
        value = getattr(self, name)
        if value and known and value not in known:
            raise RadioError(f"{name} {value!r} is unknown; choose one of {', '.join(sorted(known))}")

    @property
    def on_air(self) -> bool:
        """A real radio."""
        return BACKENDS[self.backend].hardware

    def lines(self) -> list[tuple[str, str]]:
        """What would be set, name and value with its unit, in the order that it is set."""
        shown = []
        for entry in fields(self):
            value, unit = getattr(self, entry.name), UNITS.get(entry.name, "")
            if entry.name == "backend" or (self._applies(entry.name) and value not in ("", 0)):
                number = isinstance(value, float)
                words = "yes" if value is True else str(value)
                shown.append((entry.name, f"{value:.12g}{unit}" if number else words))
        return shown

    def _applies(self, name: str) -> bool:
        return name in BACKENDS[self.backend].fields


UNITS = {
    "rate": " samples/s", "frequency": " Hz", "lo_offset": " Hz", "gain": " dB", "bandwidth": " Hz",
    "lock_timeout": " s", "max_duration": " s", "timeout": " s",
}  # fmt: skip


@dataclass(frozen=True)
class TransmitSettings(RadioSettings):
    """Settings of a sender.

    Args:
        scale: factor before the radio, 0 for 1 (sim, zmq, file) or 0.2 (uhd, soapy: bursts have
            mean power 1, and a radio's largest number is 1)
        continuous: zeros between bursts, so that the radio never runs dry; without, each burst is
            sent by itself (uhd)
        transmit: a real radio may send; whoever sets it answers for licence and antenna
        max_duration: seconds on the air after which a real radio stops

    Raises ``RadioError``.
    """

    scale: float = 0.0
    continuous: bool = True
    transmit: bool = False
    max_duration: float = DEFAULT_MAX_DURATION

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("scale", 0, 1e6, "times")
        self._check("max_duration", 1e-3, MAX_DURATION, "seconds")
        if self.backend == "soapy" and not self.continuous:
            raise RadioError("radio soapy: single bursts are not known to it; send continuously")
        if not self.scale:
            object.__setattr__(self, "scale", HARDWARE_SCALE if self.on_air else 1.0)

    def check_consent(self) -> None:
        """Raises ``RadioError`` where a real radio would send and nobody said that it may."""
        if self.on_air and not self.transmit:
            raise RadioError(
                f"radio {self.backend} would send at {self.frequency / 1e6:.6g} MHz for up to {self.max_duration:g} s; "
                "if you may do that and an antenna or attenuator is connected, set transmit (--transmit)"
            )

    @property
    def max_samples(self) -> int | None:
        """Samples after which a real radio stops, None for the others."""
        return math.ceil(self.max_duration * self.rate) if self.on_air else None


@dataclass(frozen=True)
class ReceiveSettings(RadioSettings):
    """Settings of a receiver.

    Args:
        air: what happens to the samples of sim, zmq and file on their way, settings or text form
        peer: of zmq: name of the sender's key, where ``keys`` has several

    Raises ``RadioError`` and ``AirError``.
    """

    air: AirSettings = field(default_factory=AirSettings)
    peer: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "air", as_air(self.air))
        if self.on_air and self.air != AirSettings():
            raise RadioError(f"radio {self.backend} has an air of its own; {self.air.text!r} cannot be simulated")

    def lines(self) -> list[tuple[str, str]]:
        plain = [(name, value) for name, value in super().lines() if name != "air"]
        return plain + [("air", self.air.text)] if self.air.text else plain


def check_read_back(backend: str, asked: dict[str, float], got: dict[str, float]) -> list[str]:
    """Compare what a device says is set with what was asked for: rate, frequency, gain, bandwidth.

    Gives a line for each value that differs but does no harm (gain, bandwidth). Raises
    ``RadioError`` for a rate or a frequency that is not what both ends of a link agreed on.
    """
    notes = []
    for name, value in asked.items():
        there = got[name]
        if name in ("rate", "frequency"):
            allowed = RATE_TOLERANCE * value if name == "rate" else FREQUENCY_TOLERANCE
            if not abs(there - value) <= allowed:
                raise RadioError(
                    f"radio {backend}: {name} {value:.12g}{UNITS[name]} was asked for and {there:.12g} is set; "
                    "choose one that the device has"
                )
            continue
        allowed = GAIN_TOLERANCE if name == "gain" else BANDWIDTH_TOLERANCE * value
        if not abs(there - value) <= allowed:
            notes.append(f"{name} {value:.12g}{UNITS[name]} was asked for and {there:.12g} is set")
    return notes
