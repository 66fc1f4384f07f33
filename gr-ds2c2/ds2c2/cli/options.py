# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands share."""

from typing import Annotated, Literal

import typer

from ds2c2.errors import FormatError
from ds2c2.stream.streamformat import StreamFormat

Size = Annotated[str, typer.Option(metavar="WxH", help="Picture size of the stream; default: the first picture's.")]
Bpp = Annotated[float, typer.Option(help="Bits per pixel, all code blocks counted, 0.1 to 1.0.")]
BlockSize = Annotated[int, typer.Option(help="Bytes of a code block, 32 to 1056.")]
BaseBpp = Annotated[float, typer.Option(help="Bits per pixel of the base layer before redundancy.")]
Redundancy = Annotated[float, typer.Option(help="Repair blocks per source block of the base layer.")]
Interleave = Annotated[
    Literal["auto", "bit", "block", "none"],
    typer.Option(help="What the interleaver permutes; auto: what the model's profile wants, coded none, others bit."),
]
Depth = Annotated[int, typer.Option(help="Frames that --interleave block spreads over.")]
Seed = Annotated[int, typer.Option(help="Seed of the permutation.")]
Model = Annotated[str, typer.Option(help="Weights: a name from models/.")]
Render = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="Weights whose decoder makes the pictures, when not the stream's own: coded-perceptual for one of coded.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Fit = Annotated[Literal["pad", "scale"], typer.Option(help="How pictures of another size are fitted.")]
Format = Annotated[str, typer.Option("--format", metavar="TEXT", help="Stream format as `info` and `send` print it.")]
StreamNumber = Annotated[int, typer.Option("--stream", min=0, max=255, help="Number of the stream in its packets.")]
Loss = Annotated[
    float, typer.Option(help="Share of code blocks (bits with --unit bit) that the emulated channel hits, 0 to 1.")
]
Channel = Annotated[
    Literal["iid", "exact", "gilbert-elliott", "trace"], typer.Option("--channel", help="Which blocks are hit.")
]
Effect = Annotated[
    Literal["erase", "zero", "flip"],
    typer.Option(help="A hit packet is gone, its 1s become 0, or its bits flip."),
]
Unit = Annotated[
    Literal["block", "bit"],
    typer.Option(help="What is hit: whole blocks, or each bit by itself (with --channel iid, --effect zero or flip)."),
]
Burst = Annotated[float, typer.Option(help="Mean burst of the gilbert-elliott channel, in blocks.")]
Trace = Annotated[str, typer.Option(metavar="FILE", help="Loss trace for --channel trace: 0 and 1, one a line.")]
ChannelSeed = Annotated[int, typer.Option(help="Seed of the emulated channel.")]
Favour = Annotated[
    list[str],
    typer.Option(
        metavar="WHERE=GAIN",
        help="Send a region finer (0.25 to 4; 2 halves its quantizer's step) at the same rate: X,Y,WxH=GAIN, a "
        "rectangle in pixels of the stream, or CLASS=GAIN with --labels. May be repeated; the last one counts.",
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        metavar="FOLDER",
        help="Label maps, a PNG of class numbers a picture: for --favour CLASS=GAIN, and for models of profile paper, "
        "where segnet:MODEL or smp:ENCODER:FILE names a SegNet instead.",
    ),
]
ProtectBase = Annotated[bool, typer.Option("--protect-base", help="Base blocks are never hit (the paper's rule).")]

DEFAULTS = {field: StreamFormat.__dataclass_fields__[field].default for field in (
    "bpp", "block_size", "base_bpp", "base_redundancy", "depth", "seed", "model"
)} | {"interleave": "auto"}  # fmt: skip


def counted(number: int, what: str) -> str:
    """``1 picture``, ``2 pictures``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def parse_size(text: str) -> tuple[int, int]:
    """``768x512`` to (768, 512). Raises ``FormatError``."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise FormatError(f"size {text!r} is not understood; write 768x512")
    return int(width), int(height)


def make_format(
    size: tuple[int, int],
    bpp: float,
    block_size: int,
    base_bpp: float,
    redundancy: float,
    interleave: str,
    depth: int,
    seed: int,
    model: str,
) -> StreamFormat:
    """The stream format of a command's options. Raises ``FormatError`` and ``WeightsError``."""
    from ds2c2.networks.weights import resolve_interleave

    interleave = resolve_interleave(interleave, model)
    return StreamFormat(*size, bpp, block_size, base_bpp, redundancy, interleave, depth, seed, model)


def unsuited_effect(effect: str, model: str) -> str:
    """Why the emulated effect says nothing of the model on a real link, empty where it does.

    Raises ``WeightsError``.
    """
    from ds2c2.networks.weights import codec_profile

    name = model.partition("@")[0]
    profile = codec_profile(name)
    if effect == "erase" or profile.bears_flips:
        return ""
    return (
        f"model {name} (profile {profile.name}) needs a link that drops damaged packets: single flipped bits would "
        f"show as wrong pictures, blocks that --effect {effect} changes as a whole are mostly noticed; use "
        "--model binary"
    )
