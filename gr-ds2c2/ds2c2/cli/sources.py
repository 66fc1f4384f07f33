# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet sources that commands know by name, and their options."""

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ds2c2.cli.radio import RadioOptions, ReceivingOptions, open_receiver, show_dry_run
from ds2c2.cli.terminal import Terminal
from ds2c2.errors import FormatError, LinkError
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import PacketSource, RecordingSource, UdpSource
from ds2c2.transport.stations import StationsSource
from ds2c2.transport.udp import find_host, is_loopback, parse_address, parse_multicast

From = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="WHERE",
        help="udp://host:port to listen on, a recording of packets, or with --format a file of packets alone.",
    ),
]
Stations = Annotated[
    list[str],
    typer.Option(
        "--from",
        metavar="WHERE",
        help="udp://host:port to listen on, a recording of packets, or with --format a file of packets alone; several "
        "addresses where several stations send on what they hear of one stream.",
    ),
]
END_SILENCE = 1.0  # seconds without a packet after which an announced end is believed
Silence = Annotated[float, typer.Option("--timeout", help="Seconds of silence after which what is under way is shown.")]
Wait = Annotated[float, typer.Option(help="Seconds without a packet of this stream after which to stop.")]
OffLoopback = Annotated[bool, typer.Option("--off-loopback", help="Listen on an address others can reach.")]


def open_source(
    radio: ReceivingOptions, where: str, format_: str, off_loopback: bool, constellation: bool = False
) -> PacketSource:
    """The source that ``--radio`` or ``--from`` names; ``format_`` is the text of ``--format``, which
    recordings bring along; ``constellation``: somebody looks at one. Raises ``UserError``s."""
    one_place("--from", where, radio)
    if off_loopback and "://" not in where:
        raise LinkError("--off-loopback: nothing is listened to there; leave it out")
    if radio.radio:
        return open_receiver(radio, format_, constellation)
    if "://" not in where:
        no_bare_address("--from", where)
        return RecordingSource(where, pinned(StreamFormat.parse(format_)) if format_ else None)
    if not format_:
        raise FormatError("--format is needed with UDP: the text that `ds2c2 send` prints, or `ds2c2 info`")
    (host, port), group = parse_address(where), parse_multicast(where)
    find_host(host, port)  # a name that is none is nobody's to reach
    if not is_loopback(group.interface or host) and not off_loopback:
        raise LinkError(f"{where}: others can reach it and UDP knows no keys; add --off-loopback if meant")
    return UdpSource(host, port, pinned(StreamFormat.parse(format_)), group.interface)


def open_stations(
    radio: ReceivingOptions, places: list[str], format_: str, off_loopback: bool, constellation: bool = False
) -> PacketSource:
    """As ``open_source``, of one place or of several stations' addresses. Raises ``UserError``s."""
    if len(places) < 2:
        return open_source(radio, "".join(places), format_, off_loopback, constellation)
    one_place("--from", " ".join(places), radio)
    for place in places:
        if "://" not in place:
            raise LinkError(f"--from {place}: several stations are addresses; `ds2c2 merge` puts recordings together")
        if places.count(place) > 1:
            raise LinkError(f"--from {place} is given twice; give each station an address of its own")
    with ExitStack() as opened:
        stations = {place: opened.enter_context(open_source(radio, place, format_, off_loopback)) for place in places}
        source = StationsSource(stations)
        opened.pop_all()
    return source


def one_place(option: str, where: str, radio: RadioOptions) -> None:
    """Raises ``LinkError`` unless there is one place that packets go to or come from."""
    if bool(where) == bool(radio.radio):
        both = f"{option} {where} and --radio {radio.radio} are two" if where else f"neither {option} nor --radio is"
        raise LinkError(f"{both} given; one place is wanted".replace("two given", "two places"))
    radio.check_used()


def is_recorded(radio: RadioOptions, where: str) -> bool:
    """It is read from a file, long after it came."""
    return radio.radio == "file" or not (radio.radio or "://" in where)


def no_bare_address(option: str, where: str) -> None:
    """Raises ``LinkError`` for ``127.0.0.1:4000``, where no such file is and an address is meant."""
    if re.fullmatch(r"[^/\s]+:[0-9]{1,5}", where) and not Path(where).exists():
        raise LinkError(f"{option} {where}: write udp://{where} for that address, or ./{where} for a file of that name")


def only_asked(radio: ReceivingOptions, where: str) -> bool:
    """With ``--dry-run``: say what would be set at the radio."""
    if radio.dry_run:
        one_place("--from", where, radio)
        if radio.radio:
            show_dry_run(Terminal(), radio.settings, radio.link_settings, {})
    return radio.dry_run


def listening_lines(radio: ReceivingOptions, where: str) -> list[str]:
    """Once packets can come."""
    return [f"listening on {where or radio.place}"] if radio.radio or "://" in where else []
