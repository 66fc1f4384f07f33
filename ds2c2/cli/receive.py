# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 receive``: packets from a recording or UDP to pictures in a folder."""

import time
from typing import Annotated

import typer
from rich.console import Console

from ds2c2.assembler import LinkCounts
from ds2c2.cli import options
from ds2c2.errors import FormatError, LinkError
from ds2c2.packets import HEADER_BYTES
from ds2c2.recording import RecordingReader
from ds2c2.streamformat import StreamFormat
from ds2c2.udp import UdpReceiver, is_loopback, parse_address

console = Console(highlight=False, soft_wrap=True)
NOTHING_OF_OURS = 9  # exit code: packets came, none was of this stream and format


def receive(
    source: Annotated[
        str, typer.Option("--from", metavar="WHERE", help="udp://host:port to listen on, or a recording.")
    ],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the pictures go: frame-000000.png and so on.")],
    format_: options.Format = "",
    originals: Annotated[list[str], typer.Option(help="The pictures that were sent, to measure against.")] = [],  # noqa: B006
    fit: options.Fit = "pad",
    device: options.Device = "auto",
    stream: options.StreamNumber = 0,
    timeout: Annotated[float, typer.Option(help="Seconds of silence after which what is under way is shown.")] = 1.0,
    wait: Annotated[float, typer.Option(help="Seconds without a packet after which to stop.")] = 30.0,
    off_loopback: Annotated[
        bool, typer.Option("--off-loopback", help="Listen on an address others can reach.")
    ] = False,
) -> None:
    """Receive packets and write the pictures; ends at the end of the stream or after --wait."""
    from ds2c2.codec import Codec
    from ds2c2.packetstream import PacketsToPictures
    from ds2c2.session import FrameResult, PictureFeed, ReceivingEnd

    recording = None
    if "://" not in source:
        recording = RecordingReader(source)
        stream_format = recording.stream
    elif not format_:
        raise FormatError("--format is needed with UDP: the text that `ds2c2 send` prints, or `ds2c2 info`")
    else:
        stream_format = StreamFormat.parse(format_)
        host, port = parse_address(source)
        if not is_loopback(host) and not off_loopback:
            raise LinkError(f"{source}: others can reach it and UDP knows no keys; add --off-loopback if meant")
    feed = PictureFeed(originals, stream_format.width, stream_format.height, fit) if originals else None
    codec = Codec(stream_format, device)
    receiving = ReceivingEnd(codec, out, feed)
    way = PacketsToPictures(receiving, stream)

    def show(results: list[FrameResult]) -> None:
        for result in results:
            console.print(describe(result), markup=False)

    trouble = ""
    if recording is not None:
        for packets in recording:
            show(way.push(packets))
        if recording.torn_bytes:
            trouble = f", {recording.torn_bytes} bytes of a torn last packet"
    else:
        link = UdpReceiver(host, port, HEADER_BYTES + codec.stream.block_size)
        console.print(f"listening on {source}", markup=False)
        try:
            heard = time.monotonic()
            while not way.assembler.ended:
                packets = link.read(min(timeout, wait))
                if len(packets):
                    heard = time.monotonic()
                    show(way.push(packets))
                    continue
                show(way.flush())
                if time.monotonic() - heard > wait:
                    console.print(f"no packet for {wait:g} s and no end of stream: stopping")
                    break
        finally:
            link.close()
        if link.wrong_size or link.dropped:
            trouble = f", {link.wrong_size} datagrams of another size, {link.dropped} dropped by a full queue"
    show(way.flush())
    counts = way.assembler.counts
    console.print(f"packets: {counts.line()}{trouble}")
    if not receiving.results:
        explain_nothing(counts, codec.stream)
    console.print(
        f"wrote {len(receiving.results)} pictures to {out}, {receiving.concealed} of them concealed", markup=False
    )


def describe(result) -> str:  # noqa: ANN001 - FrameResult; importing it would import torch
    words = [f"frame {result.frame}:", "concealed, its base layer was lost" if result.concealed else "received"]
    words.append(
        f"({result.base_lost} base and {result.enhancement_lost} enhancement blocks lost, "
        f"{result.base_repaired} repaired{f', {result.damaged} damaged' if result.damaged else ''})"
    )
    if result.psnr is not None:
        words.append(f"PSNR {result.psnr:.2f} dB, MS-SSIM {result.ms_ssim:.4f}")
    return " ".join([*words, f"-> {result.path}"])


def explain_nothing(counts: LinkCounts, stream: StreamFormat) -> None:
    if counts.other_format:
        raise NothingReceived(
            f"{counts.other_format} packets came with another stream format than {stream.text}; "
            "give the sender's with --format"
        )
    raise NothingReceived("no picture: no packet of this stream came; check the address, --stream and --format")


class NothingReceived(LinkError):
    exit_code = NOTHING_OF_OURS
