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
from ds2c2.stream.streamformat import StreamFormat

console = Terminal()


@takes(stream=RateOptions)
def info(
    stream: RateOptions,
    size: Annotated[str, typer.Argument(metavar="[WxH]", help="Picture size.")] = "768x512",
    format_: options.Format = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as a JSON object.")] = False,
) -> None:
    """Print a stream format in text form, and the blocks and rates that follow from it."""
    from ds2c2.codec.profiles import make_profile
    from ds2c2.networks.modelfiles import find_weights, pinned
    from ds2c2.networks.weights import load_networks

    if format_:
        stream.check_unused()
    stream = StreamFormat.parse(format_) if format_ else stream.of_size(parse_size(size))
    path = find_weights(stream.model_name)
    networks = load_networks(stream.model_name)
    make_profile(networks, stream)  # what the model cannot serve is said now, not at the first picture
    stream = pinned(stream)
    if as_json:
        typer.echo(json.dumps(as_dict(stream, path, networks.profile), indent=2))
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
    ):
        table.add_row(name, value)
    console.print(table)


def as_dict(stream: StreamFormat, weights: Path, profile: str) -> dict:
    """The same in numbers, of names that say units."""
    per_pixel = 8 / stream.pixels
    return {
        "format": stream.text, "digest": stream.digest, "weights": str(weights), "profile": profile,
        "width": stream.width, "height": stream.height, "blocks": stream.blocks, "block_bytes": stream.block_size,
        "packet_bytes": stream.packet_bytes, "layout": stream.layout, "base_blocks": stream.base_blocks,
        "base_share": round(float(stream.base_share), 5), "survivable_loss": round(float(stream.survivable), 5),
        "enhancement_blocks": stream.enhancement_blocks, "enhancement_bits": int(stream.enhancement_bits),
        "bpp": round(stream.sent_bpp, 6),
        "bpp_with_headers": round(stream.sent_bpp + stream.blocks * stream.header_bytes * per_pixel, 6),
    }  # fmt: skip


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
