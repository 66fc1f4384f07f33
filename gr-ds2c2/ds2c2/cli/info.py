# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 info``: what a stream format comes to."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ds2c2.cli import options
from ds2c2.cli.options import RateOptions, parse_size
from ds2c2.cli.spread import takes
from ds2c2.stream.packets import HEADER_BYTES
from ds2c2.stream.streamformat import StreamFormat

console = Console(highlight=False, soft_wrap=True)


@takes(stream=RateOptions)
def info(
    stream: RateOptions,
    size: Annotated[str, typer.Argument(metavar="[WxH]", help="Picture size.")] = "768x512",
    format_: options.Format = "",
) -> None:
    """Print a stream format in text form, and the blocks and rates that follow from it."""
    from ds2c2.codec.profiles import make_profile
    from ds2c2.networks.modelfiles import find_weights, pinned
    from ds2c2.networks.weights import load_networks

    stream = StreamFormat.parse(format_) if format_ else stream.of_size(parse_size(size))
    path = find_weights(stream.model_name)
    networks = load_networks(stream.model_name)
    make_profile(networks, stream)  # what the model cannot serve is said now, not at the first picture
    stream = pinned(stream)
    console.print(stream.text, markup=False)
    table = Table(show_header=False, box=None)
    per_pixel = 8 / stream.pixels
    headers = stream.blocks * HEADER_BYTES * per_pixel
    for name, value in (
        ("format digest", f"0x{stream.digest:04x}"),
        ("weights", f"{path}, profile {networks.profile}"),
        ("code blocks a picture", f"{stream.blocks} of {stream.block_size} bytes"),
        ("base layer", f"{stream.base_blocks} blocks ({stream.base_sources} source, the rest repair)"),
        ("enhancement layer", f"{stream.enhancement_blocks} blocks, {stream.enhancement_bits} bits"),
        ("rate of the blocks", f"{stream.sent_bpp:.4f} bpp"),
        ("with packet headers", f"{stream.sent_bpp + headers:.4f} bpp on the air"),
    ):
        table.add_row(name, value)
    console.print(table)
