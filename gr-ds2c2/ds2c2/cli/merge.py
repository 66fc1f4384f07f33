# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 merge``: what several stations recorded of one stream, put together."""

import json
from contextlib import ExitStack
from typing import Annotated

import typer

from ds2c2.cli import options
from ds2c2.cli.pictureplace import PlaceOptions, picture_place
from ds2c2.cli.receivewords import Teller
from ds2c2.cli.spread import takes
from ds2c2.cli.terminal import Table
from ds2c2.errors import LinkError, NothingReceived
from ds2c2.files import check_free
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.assembler import LinkCounts
from ds2c2.stream.packetcheck import check_key
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.recording import RecordingWriter


@takes(place=PlaceOptions)
def merge(
    recordings: Annotated[list[str], typer.Argument(help="Packet recordings, one of each station.")],
    place: PlaceOptions,
    to: Annotated[str, typer.Option(metavar="FILE", help="Write the packets of all as one recording.")] = "",
    format_: options.Format = "",
    originals: options.Originals = [],  # noqa: B006
    fit: options.Fit = "pad",
    device: options.Device = "auto",
    stream: options.StreamNumber = 0,
    key: options.Key = "",
    render: options.Render = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a line: for each station, each frame, and the end.")
    ] = False,
) -> None:
    """Put together what several stations received of one stream, decode it once, and say what each brought."""
    from ds2c2.ends.merge import merge as put_together

    if not (place.out or to):
        raise LinkError("nothing would be written; give --out FOLDER, or --to FILE for a recording")
    if place.out:
        place.check()
    elif originals or render:
        raise LinkError("--originals, --render: no picture is made; add --out, or leave them out")
    options.check_fit(fit, originals)
    check_free(to, place.out if place.film else "")
    secret = read_key(key)
    wanted = pinned(StreamFormat.parse(format_)) if format_ else None
    merged = put_together(recordings, wanted, stream, secret)
    check_key(merged.stream, secret)
    if not merged.runs:
        raise NothingReceived("no packet of this stream in any recording; check --stream and --key")
    teller = Teller(as_json)
    tell_stations(teller, merged, as_json)
    if to:
        with RecordingWriter(to, merged.stream) as recording:
            for run in merged.runs:
                recording.silence()
                for packets in merged.packets(run):
                    recording.write(packets)
        teller.say(f"wrote packet recording {to}")
    if place.out:
        decode(teller, merged, place, originals, fit, device, stream, secret, render)


def decode(teller, merged, place, originals, fit, device, stream_number, secret, render) -> None:  # noqa: ANN001
    """The pictures of all runs."""
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.packetstream import PacketsToPictures
    from ds2c2.ends.session import PictureFeed, ReceivingEnd

    form = merged.stream
    with ExitStack() as opened:
        feed = PictureFeed(originals, form.width, form.height, fit) if originals else None
        codec = Codec(form, device, render)
        put = opened.enter_context(picture_place(place, form, live=False))
        for line in put.notes:
            teller.say(line)
        receiving = ReceivingEnd(codec, put.folder, feed, shown=put.shown, kept=0)
        counts = LinkCounts()
        for run in merged.runs:
            way = PacketsToPictures(receiving, stream_number, secret)
            for packets in merged.packets(run):
                teller.frames(way.push(packets), form)
            teller.frames(way.flush(), form)
            counts = LinkCounts(
                **{name: value + getattr(counts, name) for name, value in vars(way.assembler.counts).items()}
            )
        teller.done(receiving, vars(counts), put.words, put.written(receiving), "")


def tell_stations(teller: Teller, merged, as_json: bool) -> None:  # noqa: ANN001 - Merged
    """What each station brought, and what all of them together have."""
    expected = merged.expected
    rows = [(station.name, station.blocks, station.alone, station.differing) for station in merged.stations]
    if as_json:
        for name, blocks, alone, differing in rows:
            typer.echo(json.dumps({
                "event": "station", "name": name, "blocks": blocks, "alone": alone, "differing": differing,
                "loss": round(1 - blocks / expected, 5),
            }))  # fmt: skip
        together = {"event": "together", "blocks": merged.blocks, "expected": expected}
        typer.echo(json.dumps(together | {"loss": round(1 - merged.blocks / expected, 5)}))
        return
    table = Table("station", "blocks received", "lost", "heard by no other", box=None)
    for name, blocks, alone, _ in rows:
        table.add_row(name, str(blocks), f"{1 - blocks / expected:.1%}", str(alone))
    table.add_row("together", str(merged.blocks), f"{1 - merged.blocks / expected:.1%}", "")
    teller.table(table)
    for name, _, _, differing in rows:
        if differing:
            teller.say(f"{name}: {differing} packets differ from those of a station before it, which are kept")
    if len(merged.runs) > 1:
        teller.say(f"the sender began {len(merged.runs)} times")
