# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands share."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import typer

from ds2c2.channels.channel import DEFAULT_BURST, FITTED, ChannelError
from ds2c2.errors import FormatError, LinkError
from ds2c2.stream.streamformat import DEFAULT_SURVIVE, StreamFormat

Render = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="Weights whose decoder makes the pictures, when not the stream's own: coded-perceptual for one of coded.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Originals = Annotated[list[str], typer.Option(help="The pictures that were sent, to measure against.")]
Fit = Annotated[Literal["pad", "scale"], typer.Option(help="How pictures of another size are fitted.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop at a file of a folder that cannot be sent, instead of skipping it.")
]
StreamNumber = Annotated[int, typer.Option("--stream", min=0, max=255, help="Number of the stream in its packets.")]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        metavar="FILE",
        help="Packets are signed with this key (`ds2c2 key` makes one); without it none is taken.",
    ),
]
Favour = Annotated[
    list[str],
    typer.Option(
        metavar="WHERE=GAIN",
        help="Send a region finer (0.25 to 4; 2 halves its quantizer's step) at the same rate: X,Y,WxH=GAIN, a "
        "rectangle in pixels of the stream, MASK.png=GAIN, what is white there, or CLASS=GAIN with --labels. May be "
        "repeated; the last one counts.",
    ),
]
Effort = Annotated[
    int,
    typer.Option(
        metavar="STEPS",
        help="Steps, 0 to 1000, that refine each picture before it is sent, for models of profile coded: 16 give up to "
        "0.3 dB and take some 50 s for 768x512. Receivers need not know.",
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


def check_fit(fit: str, originals: list[str]) -> None:
    """Raises ``LinkError`` where a receiving end has nothing to fit."""
    if fit != "pad" and not originals:
        raise LinkError(f"--fit {fit}: nothing is measured; give --originals, or leave it out")


def counted(number: int, what: str) -> str:
    """``1 picture``, ``2 pictures``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def parse_size(text: str) -> tuple[int, int]:
    """``768x512`` to (768, 512). Raises ``FormatError``."""
    width, _, height = text.partition("x")
    if not (text.isascii() and width.isdecimal() and height.isdecimal()):
        raise FormatError(f"size {text!r} is not understood; write 768x512")
    return int(width), int(height)


STREAM, CHANNEL = "Stream format (both ends alike)", "Emulated channel"


def _stream(kind, help_: str, *names: str, metavar: str | None = None, min: int | None = None):  # noqa: A002 - typer's
    return Annotated[kind, typer.Option(*names, help=help_, rich_help_panel=STREAM, metavar=metavar, min=min)]


def _channel(kind, help_: str, *names: str, metavar: str | None = None):
    return Annotated[kind, typer.Option(*names, help=help_, rich_help_panel=CHANNEL, metavar=metavar)]


Format = _stream(str, "Stream format as `info` and `send` print it.", "--format", metavar="TEXT")


@dataclass(frozen=True)
class RateOptions:
    """What a stream format is made of beside the picture's size."""

    bpp: _stream(float, "Bits per pixel, all code blocks counted, 0.1 to 1.0.") = StreamFormat.bpp
    block_size: _stream(int, "Bytes of a code block, 32 to 1056.") = StreamFormat.block_size
    base_bpp: _stream(float, "Bits per pixel of the base layer before redundancy.") = StreamFormat.base_bpp
    survive: _stream(
        float | None,
        f"Share of the blocks that may be lost before the base layer goes, 0 to 0.8; {DEFAULT_SURVIVE:g} if not said.",
    ) = None
    redundancy: _stream(
        float | None,
        "For receivers of version 1 of the wire format, in place of --survive: repair blocks per source block of the "
        "base layer.",
    ) = None
    interleave: _stream(
        Literal["auto", "bit", "block", "none"],
        "What the interleaver permutes; auto: what the model's profile wants, coded none, others bit.",
    ) = "auto"
    depth: _stream(int, "Frames that --interleave block spreads over.") = StreamFormat.depth
    seed: _stream(int, "Seed of the permutation; a part of the stream format, so both ends need the same.", min=0) = (
        StreamFormat.seed
    )
    model: _stream(str, "Weights: a name from models/.") = StreamFormat.model

    def format_settings(self) -> dict:
        """Arguments of ``StreamFormat`` beside the size. Raises ``WeightsError``."""
        from ds2c2.networks.weights import codec_profile, resolve_interleave

        settings = self.asked() | {"interleave": resolve_interleave(self.interleave, self.model)}
        if self.redundancy is None:
            settings["layout"] = codec_profile(self.model.partition("@")[0]).layout
        return settings

    def asked(self) -> dict:
        """Arguments of ``StreamFormat`` that were given, as they were given."""
        values = {_FIELDS.get(entry.name, entry.name): getattr(self, entry.name, None) for entry in fields(RateOptions)}
        # An empty name of a model is as good as none.
        return {name: value for name, value in values.items() if value not in (None, "")}

    def check_unused(self, said_by: str = "the text of --format") -> None:
        """Raises ``FormatError`` for options beside a whole stream format, which says all that they would."""
        others = (entry for entry in fields(self) if entry.name != "format_")
        given = [entry.name for entry in others if getattr(self, entry.name) != entry.default]
        if given:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise FormatError(f"{names}: {said_by} says that already; leave one of them out")

    def of_size(self, size: tuple[int, int]) -> StreamFormat:
        """The stream format of pictures of a size. Raises ``FormatError`` and ``WeightsError``."""
        return StreamFormat(*size, **self.format_settings())


# Options that the stream format calls by another name.
_FIELDS = {"redundancy": "base_redundancy"}


@dataclass(frozen=True)
class StreamOptions(RateOptions):
    """A whole stream format: its text, or its parts and the size."""

    size: _stream(str, "Picture size of the stream; default: the first picture's.", metavar="WxH") = ""
    format_: Format = ""

    def stream(self, pictures: Callable[[], tuple[int, int]]) -> StreamFormat:
        """The stream format; ``pictures`` gives their size where none is said. Raises ``FormatError``,
        ``WeightsError``, and what ``pictures`` raises."""
        if self.format_:
            self.check_unused()
            return StreamFormat.parse(self.format_)
        return self.of_size(parse_size(self.size) if self.size else pictures())


@dataclass(frozen=True)
class ChannelOptions:
    """An emulated channel."""

    loss: _channel(float, "Share of code blocks (bits with --unit bit) that the emulated channel hits, 0 to 1.") = 0.0
    channel: _channel(
        Literal[
            "iid",
            "exact",
            "gilbert-elliott",
            "trace",
            "gilbert-elliott-general",
            "hidden-markov",
            "semi-markov",
            "drift",
        ],
        "Which blocks are hit; trace: as recorded; the last four are fitted to --trace and drawn from.",
    ) = "iid"
    effect: _channel(Literal["erase", "zero", "flip"], "A hit packet is gone, its 1s become 0, or its bits flip.") = (
        "erase"
    )
    unit: _channel(
        Literal["block", "bit"],
        "What is hit: whole blocks, or each bit by itself (with --channel iid, --effect zero or flip).",
    ) = "block"
    burst: _channel(float, "Mean burst of the gilbert-elliott channel, in blocks.") = DEFAULT_BURST
    trace: _channel(str, "Loss trace for --channel trace, or to fit a model to.", metavar="FILE") = ""
    channel_seed: _channel(int, "Seed of the emulated channel.") = 1
    protect_base: _channel(
        bool, "Base blocks are never hit (the paper's rule, with --redundancy 0).", "--protect-base"
    ) = False

    def settings(self) -> dict:
        """Arguments of ``PacketChannel`` and of the Block Erasure Channel beside the stream format. Raises
        ``ChannelError`` for options that this channel would not heed."""
        given = {entry.name for entry in fields(self) if getattr(self, entry.name) != entry.default}
        of_trace = self.channel in ("trace", *FITTED)
        if "trace" in given and not of_trace:
            raise ChannelError(
                f"--trace {self.trace}: only --channel trace reads it, or one of {', '.join(FITTED)}, which are fitted "
                "to it; add that, or leave it out"
            )
        if "loss" in given and of_trace:
            raise ChannelError(
                f"--loss {self.loss:g}: --channel {self.channel} loses what the trace says; leave one of them out"
            )
        if "burst" in given and self.channel != "gilbert-elliott":
            raise ChannelError(
                f"--burst {self.burst:g}: only --channel gilbert-elliott has it; add that, or leave it out"
            )
        values = {entry.name: getattr(self, entry.name) for entry in fields(ChannelOptions)}
        return {_ARGUMENTS.get(name, name): value for name, value in values.items()}


# Options that channels call by another name.
_ARGUMENTS = {"channel": "model", "channel_seed": "seed"}


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
