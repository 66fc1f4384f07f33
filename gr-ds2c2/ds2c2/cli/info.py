# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 info``: what a stream format comes to."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ds2c2.cli import options
from ds2c2.cli.options import RateOptions, parse_size
from ds2c2.cli.spread import takes
from ds2c2.cli.terminal import Table, Terminal
from ds2c2.files import announce_pipe
from ds2c2.stream.packetcheck import check_key, signed_with
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import PacketParser
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.recording import RecordingReader

console = Terminal()


@takes(stream=RateOptions)
def info(
    stream: RateOptions,
    size: Annotated[str, typer.Argument(metavar="[WxH]", help="Picture size.")] = "768x512",
    format_: options.Format = "",
    key: options.Key = "",
    recording: Annotated[
        str, typer.Option("--from", metavar="FILE", help="The format of a recording, and whether --key signed it.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as a JSON object.")] = False,
) -> None:
    """Print a stream format in text form, and the blocks and rates that follow from it."""
    from ds2c2.codec.profiles import make_profile
    from ds2c2.networks.modelfiles import find_weights, pinned
    from ds2c2.networks.weights import load_networks

    if format_ or recording:
        stream.check_unused(f"the recording {recording}" if recording else "the text of --format")
    secret = read_key(key)
    announce_pipe(recording, "packets")
    reader = RecordingReader(recording, StreamFormat.parse(format_) if format_ else None) if recording else None
    if reader:
        stream = reader.stream
    else:
        stream = StreamFormat.parse(format_) if format_ else stream.of_size(parse_size(size))
    stream = stream if reader else signed_with(stream, secret)
    if secret:
        check_key(stream, secret)
    path = find_weights(stream.model_name)
    networks = load_networks(stream.model_name)
    make_profile(networks, stream)  # what the model cannot serve is said now, not at the first picture
    stream = pinned(stream)
    packets = counted_packets(reader, secret) if reader else None
    if as_json:
        known = as_dict(stream, path, networks.profile) | ({"packets": packets} if reader else {})
        typer.echo(json.dumps(known, indent=2))
        return
    console.print(stream.text, markup=False)
    table = Table(show_header=False, box=None)
    per_pixel = 8 / stream.pixels
    headers = stream.blocks * stream.header_bytes * per_pixel
    for name, value in (
        ("format digest", f"0x{stream.digest:04x}"),
        ("weights", f"{path}, profile {networks.profile}"),
        ("code blocks a picture", f"{stream.blocks} of {stream.block_size} bytes"),
        ("base layer", base_words(stream)),
        ("it survives", survival_words(stream)),
        ("enhancement layer", f"{stream.enhancement_blocks} blocks, {stream.enhancement_bits} bits"),
        ("rate of the blocks", f"{stream.sent_bpp:.4f} bpp"),
        ("with packet headers", f"{stream.sent_bpp + headers:.4f} bpp on the air"),
        *([("signed with key", stream.key)] if stream.key else []),
        *([("packets", packet_words(packets))] if reader else []),
    ):
        table.add_row(name, value)
    console.print(table)


def as_dict(stream: StreamFormat, weights: Path, profile: str) -> dict:
    """The same in numbers, of names that say units."""
    per_pixel = 8 / stream.pixels
    return {
        "format": stream.text, "digest": stream.digest, "weights": str(weights), "profile": profile,
        "width": stream.width, "height": stream.height, "blocks": stream.blocks, "block_bytes": stream.block_size,
        "packet_bytes": stream.packet_bytes, "key": stream.key or None, "layout": stream.layout,
        "base_blocks": stream.base_blocks, "base_share": round(float(stream.base_share), 5),
        "survivable_loss": round(float(stream.survivable), 5),
        "enhancement_blocks": stream.enhancement_blocks, "enhancement_bits": int(stream.enhancement_bits),
        "bpp": round(stream.sent_bpp, 6),
        "bpp_with_headers": round(stream.sent_bpp + stream.blocks * stream.header_bytes * per_pixel, 6),
    }  # fmt: skip


def counted_packets(reader: RecordingReader, secret: bytes) -> dict[str, int | None]:
    """How many packets a recording has, and of a signed stream how many of them its key did not sign, None where it is
    not given."""
    known = bool(secret) or not reader.stream.key
    parser = PacketParser(reader.stream, key=secret) if known else None
    counts: dict[str, int | None] = {"count": 0, "forged": 0 if known else None}
    for packets in reader:
        counts["count"] += len(packets)
        if parser:
            counts["forged"] += parser.parse(packets).forged
    return counts


def packet_words(packets: dict[str, int | None]) -> str:
    words = options.counted(packets["count"], "packet")
    if packets["forged"] is None:
        return f"{words}; whether they are signed says --key"
    return f"{words}, {packets['forged']} of them forged" if packets["forged"] else words


def base_words(stream: StreamFormat) -> str:
    """Where the base layer goes, and how much of the rate it takes."""
    share = stream.base_share
    if stream.layout == "apart":
        repair = stream.base_blocks - stream.base_sources
        return f"{stream.base_blocks} blocks ({stream.base_sources} source, {repair} repair), {share:.0%} of the rate"
    least, most = stream.share_bytes.min(), stream.share_bytes.max()
    each = f"{least}" if least == most else f"{least} to {most}"
    return f"{each} bytes of every block, {share:.0%} of the rate; about {stream.enough_blocks} blocks give it back"


def survival_words(stream: StreamFormat) -> str:
    """How bad the link may get, in words."""
    most = stream.survivable
    if most == 0:
        return "no lost block: on a link that loses any, raise --survive or --redundancy"
    return f"the loss of up to {most:.0%} of the blocks in 99 of 100 frames"
