# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 serve``: the codec on one host, the radio on another."""

from typing import Annotated, Literal

import typer
from rich.progress import Progress

from ds2c2.cli import options
from ds2c2.cli.options import StreamOptions
from ds2c2.cli.receivewords import describe
from ds2c2.cli.spread import takes
from ds2c2.cli.stopping import until_signalled
from ds2c2.cli.terminal import Terminal
from ds2c2.errors import LinkError, NothingReceived, PictureError
from ds2c2.files import check_folder, kept_if_used
from ds2c2.stream.streamformat import StreamFormat

console = Terminal()
serve_app = typer.Typer(no_args_is_help=True, help="The codec for a radio on another host, through ZeroMQ.")

ENCODE_AT, DECODE_AT = "tcp://127.0.0.1:5601", "tcp://127.0.0.1:5602"
KeyFolder = Annotated[
    str, typer.Option("--keys", metavar="FOLDER", help="This host's keys and those of others; listen for their relays.")
]
Wait = Annotated[float, typer.Option(help="Seconds in which nothing moves after which to stop; inf for never.")]


def say(line: str) -> None:
    console.print(line, markup=False)


def address_and_keys(at: str, keys: str):  # noqa: ANN201 - Address and Keys; importing them imports zmq
    """What ``--at`` and ``--keys`` say, checked before PyTorch is loaded. Raises ``LinkError``."""
    from ds2c2.serve.keys import load_keys
    from ds2c2.serve.pipe import Address

    address, ring = Address.parse(at), load_keys(keys) if keys else None
    address.guard(ring)
    return address, ring


@serve_app.command()
@takes(stream=StreamOptions)
def encode(
    stream: StreamOptions,
    pictures: Annotated[list[str], typer.Argument(help="Still pictures: files, folders or globs.")],
    at: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where the flowgraph's ZMQ PULL Source connects, or its relay.")
    ] = ENCODE_AT,
    fit: options.Fit = "pad",
    favour: options.Favour = [],  # noqa: B006
    labels: options.Labels = "",
    effort: options.Effort = 0,
    device: options.Device = "auto",
    repeat: Annotated[bool, typer.Option("--repeat", help="Start over for ever.")] = False,
    frame_rate: Annotated[float, typer.Option(help="Pictures a second at most; 0 for no limit.")] = 0.0,
    keys: KeyFolder = "",
    wait: Wait = 30.0,
    strict: options.Strict = False,
) -> None:
    """Encode pictures for a flowgraph: its ZMQ PULL Source takes the code blocks."""
    from ds2c2.pictures.moving.sources import moves
    from ds2c2.pictures.pictures import list_pictures
    from ds2c2.serve.pipe import Pipe

    for name in filter(lambda name: moves([name]), pictures):
        raise PictureError(
            f"{name}: serve encode takes still pictures alone; films, cameras, addresses and the standard input "
            "are for `ds2c2 send` and the Encoder Source"
        )
    address, ring = address_and_keys(at, keys)
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.session import PictureFeed, SendingEnd, common_size
    from ds2c2.serve.hosts import EncodeHost

    stream_format = stream.stream(lambda: common_size(list_pictures(pictures)))
    feed = PictureFeed(pictures, stream_format.width, stream_format.height, fit, repeat, strict)
    for line in feed.skipped_lines:
        say(line)
    sending = SendingEnd(Codec(stream_format, device), feed, favour, labels, effort)
    host = EncodeHost(sending, Pipe(address, sends=True, listens=True, keys=ring), wait, say, frame_rate)
    until_signalled(host)
    say(f"stream format: {sending.codec.stream.text}")
    say(f"code blocks at {at}" + (f", for the hosts whose keys are in {keys}" if ring else ""))
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("sent", total=None if repeat else len(feed.paths))
        host.run(lambda frames: bar.update(task, completed=frames))
    whole = "" if repeat or host.frames == len(feed.paths) else f" of {len(feed.paths)}"
    say(f"sent {host.frames}{whole} pictures, {host.frames * stream_format.blocks} code blocks")
    if not (host.ended or host.stopped):
        raise LinkError(f"{at}: nobody took code blocks for {wait:g} s; is the flowgraph running, with Pass Tags set?")


@serve_app.command()
def decode(
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the pictures go: frame-000000.png and so on.")],
    at: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="The flowgraph's ZMQ PUSH Sink; with --keys where its relay connects."),
    ] = DECODE_AT,
    format_: Annotated[
        str, typer.Option("--format", metavar="TEXT", help="Refuse other streams than this; default: take what comes.")
    ] = "",
    originals: options.Originals = [],  # noqa: B006
    fit: options.Fit = "pad",
    device: options.Device = "auto",
    keys: KeyFolder = "",
    wait: Wait = 30.0,
    render: options.Render = "",
) -> None:
    """Decode a flowgraph's soft bits, which its ZMQ PUSH Sink gives, to pictures."""
    from ds2c2.serve.pipe import Pipe

    address, ring = address_and_keys(at, keys)
    wanted = StreamFormat.parse(format_) if format_ else None
    check_folder(out)
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.session import PictureFeed, ReceivingEnd
    from ds2c2.networks.modelfiles import find_weights
    from ds2c2.serve.hosts import DecodeHost

    if render:
        find_weights(render)  # unknown ones are named now, not when the first message comes

    def receiver(stream: StreamFormat) -> ReceivingEnd:
        feed = PictureFeed(originals, stream.width, stream.height, fit) if originals else None
        receiving = ReceivingEnd(Codec(stream, device, render), out, feed, replace=False, kept=0)
        say(f"stream format: {receiving.codec.stream.text}")
        return receiving

    with kept_if_used(out):
        host = DecodeHost(
            receiver,
            Pipe(address, sends=False, listens=ring is not None, keys=ring),
            wait,
            say,
            lambda result: say(describe(result, host.reader.stream)),
            wanted,
        )
        until_signalled(host)
        say(f"soft bits from {at}" + (f", of the hosts whose keys are in {keys}" if ring else ""))
        host.run()
    if host.gave_up:
        say(f"no message for {wait:g} s and no end of stream: stopping")
    left = f", {host.left} messages not looked at" if host.left else ""
    say(f"messages: {host.reader.counts.line()}{left}")
    written, concealed, lost = 0, 0, 0
    if (got := host.receiving) is not None:
        written, concealed, lost = got.written, got.concealed - got.lost, got.lost
    nothing = f"; nothing came of {options.counted(lost, 'frame')}" if lost else ""
    say(f"wrote {options.counted(written, 'picture')} to {out}, {concealed} of them concealed{nothing}")
    if not (written or lost or host.stopped):
        raise NothingReceived(f"{at}: no picture came; is the flowgraph running, with Pass Tags set?")


@serve_app.command()
def relay(
    side: Annotated[Literal["encode", "decode"], typer.Argument(help="Which of the GPU host's commands it is for.")],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where that command listens on the GPU host.")],
    keys: Annotated[
        str, typer.Option("--keys", metavar="FOLDER", help="This host's keys and the GPU host's public one.")
    ],
    at: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The flowgraph's end on this host; default: as `serve` has it.")
    ] = "",
    peer: Annotated[str, typer.Option(metavar="NAME", help="The GPU host's key, if FOLDER has several.")] = "",
    wait: Wait = 30.0,
) -> None:
    """Carry messages between a flowgraph on this host and a GPU host, encrypted (CURVE)."""
    from ds2c2.serve.keys import load_keys
    from ds2c2.serve.pipe import READ_AHEAD, Address, Pipe
    from ds2c2.serve.relay import Relay

    ring = load_keys(keys)
    there, here = Address.parse(host), Address.parse(at or (ENCODE_AT if side == "encode" else DECODE_AT))
    encodes = side == "encode"
    far = Pipe(there, sends=not encodes, listens=False, keys=ring, peer=peer)
    near = Pipe(here, sends=encodes, listens=encodes)
    # Code blocks wait on the GPU host until the radio takes them; soft bits must leave the flowgraph at once.
    way = Relay(far, near, 1, wait, say) if encodes else Relay(near, far, READ_AHEAD, wait, say)
    until_signalled(way)
    say(f"{'from' if encodes else 'to'} {host}, {'for' if encodes else 'from'} the flowgraph at {here.text}")
    way.run()
    if way.gave_up:
        say(f"nothing moved for {wait:g} s and no end of stream: stopping")
    trouble = "".join(
        f", {count} {what}" for count, what in ((way.malformed, "malformed"), (way.left, "not passed on")) if count
    )
    say(f"passed on {way.messages} messages, {way.frames} frames{trouble}")
    if not (way.messages or way.stopped):
        raise NothingReceived(f"nothing came: is `ds2c2 serve {side}` running at {host}, and the flowgraph here?")


@serve_app.command()
def keys(
    name: Annotated[str, typer.Argument(help="This host's name among the others: letters, digits and ._-")],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the keys go, and those of other hosts.")] = "keys",
) -> None:
    """Make this host's pair of keys; copy the public one to the other host."""
    from ds2c2.serve.keys import make_keys

    public, secret = make_keys(out, name)
    say(f"wrote {secret}: stays here, for this user only")
    say(f"wrote {public}: copy it into the key folder of the host at the other end, and its .key into {out}")
