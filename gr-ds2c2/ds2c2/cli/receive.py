# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 receive``: packets from a recording, UDP or a radio to pictures in a folder, and before somebody's eyes."""

import signal
from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console

from ds2c2.cli import options, sources
from ds2c2.cli.radio import ReceivingOptions
from ds2c2.cli.receivewords import same_size, show, totals
from ds2c2.cli.spread import takes
from ds2c2.cli.watching import WatchOptions, watching
from ds2c2.errors import LinkError, NothingReceived
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.packetcheck import check_key
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import known_difference
from ds2c2.transport.packetsource import Listener
from ds2c2.watch.reception import Reception

console = Console(highlight=False, soft_wrap=True)
DEFAULT_WAIT = 30.0  # seconds


@takes(radio=ReceivingOptions, watch=WatchOptions)
def receive(
    radio: ReceivingOptions,
    watch: WatchOptions,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the pictures go: frame-000000.png and so on.")] = "",
    source: sources.From = "",
    format_: options.Format = "",
    originals: Annotated[list[str], typer.Option(help="The pictures that were sent, to measure against.")] = [],  # noqa: B006
    fit: options.Fit = "pad",
    device: options.Device = "auto",
    stream: options.StreamNumber = 0,
    key: options.Key = "",
    timeout: sources.Silence = 1.0,
    wait: sources.Wait = DEFAULT_WAIT,
    off_loopback: sources.OffLoopback = False,
    trace: Annotated[
        str, typer.Option(metavar="FILE", help="Write a loss trace too: what became of every packet (CSV).")
    ] = "",
    render: options.Render = "",
    max_frames: Annotated[
        int, typer.Option(min=0, help="Stop after so many frames, lost ones among them; 0: any.")
    ] = 0,
    max_pictures: Annotated[int, typer.Option(min=0, help="Stop after so many pictures are written; 0: any.")] = 0,
    stay: Annotated[
        bool, typer.Option("--stay", help="Go on after the end of a stream and through any silence, until Ctrl-C.")
    ] = False,
) -> None:
    """Receive packets, write or show pictures; ends when silence follows the end of the stream, or after --wait."""
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.packetstream import PacketsToPictures
    from ds2c2.ends.session import PictureFeed, ReceivingEnd, fresh_folder
    from ds2c2.traces.losstrace import check_place, write_trace
    from ds2c2.traces.tracerecorder import TraceRecorder

    if sources.only_asked(radio, source, console):
        return
    check_asked(out, watch, max_pictures, stay, wait)
    secret = read_key(key)
    if trace:
        check_place(trace)
    with ExitStack() as opened:
        link = opened.enter_context(sources.open_source(radio, source, format_, off_loopback, bool(watch.http)))
        wanted = link.stream
        check_key(wanted, secret)
        if stay and not link.live:
            raise LinkError("--stay: what is read there ends by itself; leave it out")
        feed = PictureFeed(originals, wanted.width, wanted.height, fit) if originals else None
        codec = Codec(wanted, device, render)
        reception = Reception(wanted, source or radio.place)
        watchers = opened.enter_context(watching(watch, reception))
        folder = fresh_folder(out)
        receiving = ReceivingEnd(codec, folder, feed, shown=reception.shown)
        way = PacketsToPictures(receiving, stream, secret, max_frames, max_pictures)
        assembler = way.assembler
        recorder = TraceRecorder(codec.stream, stream, about=link.about, key=secret) if trace else None
        listener = Listener(
            link, timeout, float("inf") if stay else wait, lambda: assembler.ended and not stay,
            lambda: assembler.counts.used, assembler.signed,
        )  # fmt: skip
        if stay:
            stop_when_told(listener)
        if out and str(folder) != out:
            console.print(f"{out} has pictures of an earlier run: writing to {folder}", markup=False)
        for line in watchers.lines:
            console.print(line, markup=False)
        sources.say_listening(console, radio, source)
        misfit_said = False
        try:
            for arrivals in listener:
                if link.misfit and not misfit_said:
                    misfit_said = True
                    console.print(f"{link.misfit}: {same_size(wanted)}", markup=False)
                # Silence of a source that is not live is this host's: there is nothing to be late.
                if listener.quiet and link.live:
                    show(console, way.flush())
                    if recorder:
                        recorder.settle()
                if recorder:
                    recorder.take(arrivals)
                with reception.working():
                    results = way.push(arrivals.good)
                show(console, results)
                reception.arrived(arrivals, assembler.counts)
                if way.full:
                    listener.stop()
        except KeyboardInterrupt:
            if recorder and listener.good:
                console.print(f"wrote loss trace {write_trace(trace, recorder.finish())}", markup=False)
            raise
        if listener.gave_up:
            console.print(f"no packet of this stream for {wait:g} s and no end of it: stopping")
        show(console, way.flush())
        if way.full:
            console.print("as many as --max-frames or --max-pictures allows: stopping")
        counts = assembler.counts
        console.print(f"packets: {counts.line()}{f', {listener.trouble}' if listener.trouble else ''}")
        if not receiving.frames:
            explain_nothing(assembler, link.misfit)
        if recorder:
            console.print(f"wrote loss trace {write_trace(trace, recorder.finish())}", markup=False)
        console.print(totals(receiving, str(folder)), markup=False)


def check_asked(out: str, watch: WatchOptions, max_pictures: int, stay: bool, wait: float) -> None:
    """Raises ``LinkError`` where pictures would go nowhere, and for options that do nothing."""
    watch.check_used()
    if not (out or watch.any):
        raise LinkError("the pictures would go nowhere; give --out FOLDER, or --http 127.0.0.1:8080")
    if max_pictures and not out:
        raise LinkError("--max-pictures: none is written; add --out, or give --max-frames")
    if stay and wait != DEFAULT_WAIT:
        raise LinkError(f"--wait {wait:g}: --stay waits for ever; leave one of them out")


def stop_when_told(listener: Listener) -> None:
    """Ctrl-C and SIGTERM end a reception that nothing else ends, in good order; a second one at once."""

    def stop(number: int, _: object) -> None:
        listener.stop()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


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
