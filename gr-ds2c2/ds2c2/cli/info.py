# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 info``: what a stream format comes to."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ds2c2.cli import options
from ds2c2.cli.options import DEFAULTS, make_format, parse_size
from ds2c2.stream.packets import HEADER_BYTES
from ds2c2.stream.streamformat import StreamFormat

console = Console(highlight=False, soft_wrap=True)


def info(
    size: Annotated[str, typer.Argument(metavar="[WxH]", help="Picture size.")] = "768x512",
    bpp: options.Bpp = DEFAULTS["bpp"],
    block_size: options.BlockSize = DEFAULTS["block_size"],
    base_bpp: options.BaseBpp = DEFAULTS["base_bpp"],
    redundancy: options.Redundancy = DEFAULTS["base_redundancy"],
    interleave: options.Interleave = DEFAULTS["interleave"],
    depth: options.Depth = DEFAULTS["depth"],
    seed: options.Seed = DEFAULTS["seed"],
    model: options.Model = DEFAULTS["model"],
    format_: options.Format = "",
) -> None:
    """Print a stream format in text form, and the blocks and rates that follow from it."""
    from ds2c2.codec.profiles import make_profile
    from ds2c2.networks.modelfiles import find_weights, pinned
    from ds2c2.networks.weights import load_networks

    if format_:
        stream = StreamFormat.parse(format_)
    else:
        stream = make_format(parse_size(size), bpp, block_size, base_bpp, redundancy, interleave, depth, seed, model)
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
