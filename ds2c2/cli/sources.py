# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet sources that commands know by name, and their options."""

from typing import Annotated

import typer

from ds2c2.errors import FormatError, LinkError
from ds2c2.packetsource import PacketSource, RecordingSource, UdpSource
from ds2c2.streamformat import StreamFormat
from ds2c2.udp import is_loopback, parse_address

From = Annotated[str, typer.Option("--from", metavar="WHERE", help="udp://host:port to listen on, or a recording.")]
Silence = Annotated[float, typer.Option("--timeout", help="Seconds of silence after which what is under way is shown.")]
Wait = Annotated[float, typer.Option(help="Seconds without a packet after which to stop.")]
OffLoopback = Annotated[bool, typer.Option("--off-loopback", help="Listen on an address others can reach.")]


def open_source(where: str, format_: str, off_loopback: bool) -> PacketSource:
    """The source that ``--from`` names; ``format_`` is the text of ``--format``, which a recording
    brings along. Raises ``FormatError`` and ``LinkError``."""
    if "://" not in where:
        return RecordingSource(where)
    if not format_:
        raise FormatError("--format is needed with UDP: the text that `ds2c2 send` prints, or `ds2c2 info`")
    host, port = parse_address(where)
    if not is_loopback(host) and not off_loopback:
        raise LinkError(f"{where}: others can reach it and UDP knows no keys; add --off-loopback if meant")
    return UdpSource(host, port, pinned(StreamFormat.parse(format_)))


def pinned(stream: StreamFormat) -> StreamFormat:
    """The format with its weights' digest, as packets carry it. Raises ``WeightsError``."""
    if stream.model_digest:
        return stream
    from ds2c2.weights import weights_digest

    return stream.pinned(weights_digest(stream.model_name))
