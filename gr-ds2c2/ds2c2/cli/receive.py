# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 receive``: packets from a recording, UDP or a radio to pictures in a folder."""

from typing import Annotated

import typer
from rich.console import Console

from ds2c2.cli import options, sources
from ds2c2.cli.radio import ReceivingOptions
from ds2c2.cli.spread import takes
from ds2c2.errors import NothingReceived
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.packetcheck import check_key
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import known_difference
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import Listener

console = Console(highlight=False, soft_wrap=True)


@takes(radio=ReceivingOptions)
def receive(
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the pictures go: frame-000000.png and so on.")],
    radio: ReceivingOptions,
    source: sources.From = "",
    format_: options.Format = "",
    originals: Annotated[list[str], typer.Option(help="The pictures that were sent, to measure against.")] = [],  # noqa: B006
    fit: options.Fit = "pad",
    device: options.Device = "auto",
    stream: options.StreamNumber = 0,
    key: options.Key = "",
    timeout: sources.Silence = 1.0,
    wait: sources.Wait = 30.0,
    off_loopback: sources.OffLoopback = False,
    trace: Annotated[
        str, typer.Option(metavar="FILE", help="Write a loss trace too: what became of every packet (CSV).")
    ] = "",
    render: options.Render = "",
) -> None:
    """Receive packets and write the pictures; ends at the end of the stream or after --wait."""
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.packetstream import PacketsToPictures
    from ds2c2.ends.session import FrameResult, PictureFeed, ReceivingEnd
    from ds2c2.traces.losstrace import check_place, write_trace
    from ds2c2.traces.tracerecorder import TraceRecorder

    def show(results: list[FrameResult]) -> None:
        for result in results:
            console.print(describe(result), markup=False)

    if sources.only_asked(radio, source, console):
        return
    secret = read_key(key)
    if trace:
        check_place(trace)
    with sources.open_source(radio, source, format_, off_loopback) as link:
        wanted = link.stream
        check_key(wanted, secret)
        feed = PictureFeed(originals, wanted.width, wanted.height, fit) if originals else None
        codec = Codec(wanted, device, render)
        receiving = ReceivingEnd(codec, out, feed)
        way = PacketsToPictures(receiving, stream, secret)
        recorder = TraceRecorder(codec.stream, stream, about=link.about, key=secret) if trace else None
        listener = Listener(link, timeout, wait, lambda: way.assembler.ended)
        sources.say_listening(console, radio, source)
        misfit_said = False
        try:
            for arrivals in listener:
                if link.misfit and not misfit_said:
                    misfit_said = True
                    console.print(f"{link.misfit}: {same_size(wanted)}", markup=False)
                if recorder:
                    recorder.take(arrivals)
                # Silence of a source that is not live is this host's: there is nothing to be late.
                show(way.flush() if arrivals.silent and link.live else way.push(arrivals.good))
        except KeyboardInterrupt:
            if recorder and listener.good:
                console.print(f"wrote loss trace {write_trace(trace, recorder.finish())}", markup=False)
            raise
    if listener.gave_up:
        console.print(f"no packet for {wait:g} s and no end of stream: stopping")
    show(way.flush())
    counts = way.assembler.counts
    console.print(f"packets: {counts.line()}{f', {listener.trouble}' if listener.trouble else ''}")
    if not receiving.results:
        explain_nothing(way.assembler, link.misfit)
    if recorder:
        console.print(f"wrote loss trace {write_trace(trace, recorder.finish())}", markup=False)
    console.print(
        f"wrote {options.counted(len(receiving.results), 'picture')} to {out}, {receiving.concealed} of them concealed",
        markup=False,
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


def same_size(stream: StreamFormat) -> str:
    """The remedy where packets have another size."""
    return f"give the sender's --format, and a UDP Sink of GNU Radio the payload size {stream.packet_bytes}"


def explain_nothing(assembler: FrameAssembler, misfit: str) -> None:
    counts, stream = assembler.counts, assembler.format
    if counts.other_format:
        difference = known_difference(stream, assembler.other_digest)
        raise NothingReceived(
            f"{counts.other_format} packets came with another stream format than {stream.text}{difference}; "
            "give the sender's with --format"
        )
    if misfit:
        raise NothingReceived(f"no picture: {misfit}; {same_size(stream)}")
    raise NothingReceived("no picture: no packet of this stream came; check the address, --stream and --format")
