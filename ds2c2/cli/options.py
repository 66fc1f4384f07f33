# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands share."""

from typing import Annotated, Literal

import typer

from ds2c2.errors import FormatError
from ds2c2.streamformat import StreamFormat

Size = Annotated[str, typer.Option(metavar="WxH", help="Picture size of the stream; default: the first picture's.")]
Bpp = Annotated[float, typer.Option(help="Bits per pixel, all code blocks counted, 0.1 to 1.0.")]
BlockSize = Annotated[int, typer.Option(help="Bytes of a code block, 32 to 1056.")]
BaseBpp = Annotated[float, typer.Option(help="Bits per pixel of the base layer before redundancy.")]
Redundancy = Annotated[float, typer.Option(help="Repair blocks per source block of the base layer.")]
Interleave = Annotated[Literal["bit", "block", "none"], typer.Option(help="What the interleaver permutes.")]
Depth = Annotated[int, typer.Option(help="Frames that --interleave block spreads over.")]
Seed = Annotated[int, typer.Option(help="Seed of the permutation.")]
Model = Annotated[str, typer.Option(help="Weights: a name from models/.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Fit = Annotated[Literal["pad", "scale"], typer.Option(help="How pictures of another size are fitted.")]
Format = Annotated[str, typer.Option("--format", metavar="TEXT", help="Stream format as `info` and `send` print it.")]
StreamNumber = Annotated[int, typer.Option("--stream", min=0, max=255, help="Number of the stream in its packets.")]
Loss = Annotated[float, typer.Option(help="Share of code blocks that the emulated channel hits, 0 to 1.")]
Channel = Annotated[
    Literal["iid", "exact", "gilbert-elliott", "trace"], typer.Option("--channel", help="Which blocks are hit.")
]
Effect = Annotated[
    Literal["erase", "zero", "flip"],
    typer.Option(help="A hit packet is gone, its 1s become 0, or its bits flip."),
]
Burst = Annotated[float, typer.Option(help="Mean burst of the gilbert-elliott channel, in blocks.")]
Trace = Annotated[str, typer.Option(metavar="FILE", help="Loss trace for --channel trace: 0 and 1, one a line.")]
ChannelSeed = Annotated[int, typer.Option(help="Seed of the emulated channel.")]
ProtectBase = Annotated[bool, typer.Option("--protect-base", help="Base blocks are never hit (the paper's rule).")]

DEFAULTS = {field: StreamFormat.__dataclass_fields__[field].default for field in (
    "bpp", "block_size", "base_bpp", "base_redundancy", "interleave", "depth", "seed", "model"
)}  # fmt: skip


def parse_size(text: str) -> tuple[int, int]:
    """``768x512`` to (768, 512). Raises ``FormatError``."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise FormatError(f"size {text!r} is not understood; write 768x512")
    return int(width), int(height)
