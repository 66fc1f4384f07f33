# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of radios and modems, the same for every command, and the door to their flowgraphs."""

import functools
import os
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import typer
from rich.console import Console

from ds2c2.cli.terminal import Table
from ds2c2.errors import FormatError, UserError
from ds2c2.links.linksettings import LinkSettings
from ds2c2.links.radiobackends import BACKENDS
from ds2c2.links.radiosettings import (
    DEFAULT_MAX_DURATION,
    DEFAULT_RATE,
    WAIT_SECONDS,
    RadioError,
    RadioSettings,
    ReceiveSettings,
    TransmitSettings,
)
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import PacketSource

LINK, RADIO = "Link (both ends alike)", "Radio"
# Options whose setting has another name.
SETTINGS = {"sample_rate": "rate", "bursts": "continuous", "wait": "timeout"}
# Those whose two ends need not be in one process.
RADIOS = {name: backend for name, backend in BACKENDS.items() if backend.between_processes}


def _option(panel: str, kind, help_: str, *names: str, metavar: str | None = None):
    return Annotated[kind, typer.Option(*names, help=help_, rich_help_panel=panel, metavar=metavar)]


_link = functools.partial(_option, LINK)
_radio = functools.partial(_option, RADIO)


@dataclass(frozen=True)
class RadioOptions:
    """Options that sending and receiving have in common."""

    radio: _radio(
        Literal[("", *RADIOS)],
        f"Over the air instead: {', '.join(f'{name} ({backend.words})' for name, backend in RADIOS.items())}.",
    ) = ""
    address: _radio(str, "zmq: tcp://host:port; file: the recording; uhd, soapy: device arguments.") = ""
    sample_rate: _radio(float, "Samples per second.") = DEFAULT_RATE
    frequency: _radio(float, "Centre frequency, Hz.") = 0.0
    gain: _radio(float, "dB.") = 0.0
    antenna: _radio(str, "Connector, TX/RX or RX2 for instance.") = ""
    bandwidth: _radio(float, "Of the analogue filter, Hz.") = 0.0
    lo_offset: _radio(float, "Of the local oscillator from the centre, Hz.") = 0.0
    subdevice: _radio(str, "A:0 for instance.") = ""
    clock_source: _radio(str, "internal, external or gpsdo.") = ""
    time_source: _radio(str, "internal, external or gpsdo.") = ""
    keys: _radio(str, "zmq: keys of this host and the other one, where others can reach it.", metavar="FOLDER") = ""
    dry_run: _radio(bool, "Say what would be set, and end.", "--dry-run") = False
    link: _link(Literal["ofdm", "gmsk"], "Modem.") = "ofdm"
    modulation: _link(Literal["bpsk", "qpsk", "8psk", "16qam"], "Of ofdm.") = "qpsk"
    fec: _link(Literal["none", "cc"], "Of ofdm; cc: convolutional code of rate 1/2.") = "none"
    samples_per_symbol: _link(int, "Of gmsk.") = 4

    @property
    def link_settings(self) -> LinkSettings:
        """The modem. Raises ``ModemError``."""
        return LinkSettings(**{entry.name: getattr(self, entry.name) for entry in _shared(self, LinkSettings)})

    def check_used(self) -> None:
        """Raises ``RadioError`` for options of a radio where there is none, and for what this radio or modem has not
        got: a gain of a recording's, say."""
        given = [entry.name for entry in fields(self) if getattr(self, entry.name) != entry.default]
        if given and not self.radio:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise RadioError(f"{names}: nothing without a radio; add --radio, or leave it out")
        for name in given:
            if name not in ("radio", "dry_run") and SETTINGS.get(name, name) not in self._heeded:
                owner = f"link {self.link}" if hasattr(LinkSettings, name) else f"radio {self.radio}"
                raise RadioError(f"--{name.replace('_', '-')}: nothing that {owner} heeds; leave it out")

    @property
    def _heeded(self) -> set[str]:
        """Settings that are looked at."""
        return {*BACKENDS[self.radio].fields, "link", *self.link_settings.modem}

    @property
    def place(self) -> str:
        """The radio and its address, in words."""
        return f"{self.radio} {self.address or BACKENDS[self.radio].address}".rstrip()

    def _settings(self, kind: type[RadioSettings], **more) -> RadioSettings:
        given = {entry.name: getattr(self, entry.name) for entry in _shared(self, kind)}
        return kind(**given | more, backend=self.radio, rate=self.sample_rate)


@dataclass(frozen=True)
class SendingOptions(RadioOptions):
    """Options of ``send``."""

    scale: _radio(float, "Digital amplitude; default: 1, or 0.2 on a real radio, whose largest is 1.") = 0.0
    bursts: _radio(bool, "uhd: each packet by itself instead of zeros between them.", "--bursts") = False
    transmit: _radio(
        bool, "A real radio may send. Licence, and antenna or attenuator, are yours to see to.", "--transmit"
    ) = False
    max_duration: _radio(float, "Seconds on the air at most, on a real radio.") = DEFAULT_MAX_DURATION
    wait: _radio(float, "zmq: seconds without a receiver after which to stop.") = WAIT_SECONDS

    @property
    def settings(self) -> TransmitSettings:
        """The radio. Raises ``RadioError``."""
        return self._settings(TransmitSettings, continuous=not self.bursts, timeout=self.wait)


@dataclass(frozen=True)
class ReceivingOptions(RadioOptions):
    """Options of ``receive`` and ``trace record``."""

    air: _radio(
        str,
        "zmq, file: what happens on the way, as words: snr=20 (dB) cfo=0.001 (cycles/sample) clock=1e-5 "
        "taps=1,0.2j fading=rayleigh doppler=1e-5 seed=1.",
        metavar="TEXT",
    ) = ""
    peer: _radio(str, "zmq: name of the sender's key, where --keys has several.") = ""
    threshold: _link(float, "Of the receiver's burst finder, 0 to 1; default: the modem's own.") = 0.0

    @property
    def _heeded(self) -> set[str]:
        # A recording that is replayed has its frequency already.
        replayed = {"frequency"} if self.radio == "file" else set()
        return (super()._heeded | {"threshold"}) - replayed

    @property
    def settings(self) -> ReceiveSettings:
        """The radio. Raises ``RadioError`` and ``AirError``."""
        # Whoever waits for packets has a time-out of its own.
        return self._settings(ReceiveSettings, timeout=0.0)


def _shared(options: RadioOptions, kind: type) -> list:
    names = {entry.name for entry in fields(options)}
    return [entry for entry in fields(kind) if entry.name in names]


def flowgraphs():
    """The module ``gnuradio.ds2c2``. Raises ``UserError`` where there is no GNU Radio."""
    # GNU Radio reads it when it is imported; what it logs is no part of a command's output, of JSON least of all.
    os.environ.setdefault("GR_CONF_LOG_LOG_FILE", "stderr")
    try:
        from gnuradio import ds2c2
    except ImportError as error:
        raise UserError(f"GNU Radio or its ds2c2 blocks cannot be loaded ({error}); run `ds2c2 doctor`") from None
    return ds2c2


def open_receiver(options: ReceivingOptions, format_: str, constellation: bool = False) -> PacketSource:
    """What a radio hears, symbols for a ``constellation`` too if somebody looks. The format comes from ``--format`` or
    with a recording of ours.

    Raises ``UserError``s.
    """
    settings = options.settings
    recorded = ""
    if settings.backend == "file":
        from ds2c2.links.iqrecording import IqReader

        recorded = IqReader(settings.address).stream_format
    if not (format_ or recorded):
        raise FormatError("--format is needed: the text that `ds2c2 send` prints, or `ds2c2 info`")
    stream = StreamFormat.parse(format_ or recorded)
    if recorded and not StreamFormat.parse(recorded).agrees(stream):
        raise FormatError(f"{settings.address}: recorded as {recorded}, not as {stream.text}; leave --format out")
    stream = pinned(stream)
    return flowgraphs().radio_receiver(stream, options.link_settings, settings, constellation).listen()


def check_duration(stream: StreamFormat, link: LinkSettings, settings: TransmitSettings, packets: int) -> float:
    """Seconds on the air at the least. Raises ``RadioError`` where a real radio would be cut off."""
    seconds = packets * link.packet_samples(stream.packet_bytes) / settings.rate
    if settings.on_air and seconds > settings.max_duration:
        raise RadioError(
            f"radio {settings.backend}: these pictures take {seconds:.1f} s on the air, {settings.max_duration:g} s "
            "are allowed; send fewer, or set --max-duration"
        )
    return seconds


def show_dry_run(console: Console, settings: RadioSettings, link: LinkSettings, more: dict[str, str]) -> None:
    """What would be set, as a table."""
    table = Table(title="Nothing is opened; this would be set", show_header=False)
    for name, value in (*settings.lines(), *link.lines(), *more.items()):
        table.add_row(name.replace("_", " ").replace("backend", "radio"), value)
    console.print(table)
