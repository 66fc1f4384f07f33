# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 receive``: packets from a recording, UDP or a radio to pictures in a folder, and before somebody's eyes."""

import signal
from contextlib import ExitStack
from typing import Annotated

import typer

from ds2c2.cli import options, sources
from ds2c2.cli.pictureplace import BoundedPlaceOptions, picture_place
from ds2c2.cli.radio import ReceivingOptions
from ds2c2.cli.receivewords import Teller, same_size
from ds2c2.cli.spread import takes
from ds2c2.cli.stopping import interrupted_by_sigterm
from ds2c2.cli.watching import WatchOptions, watching
from ds2c2.errors import LinkError, NothingReceived
from ds2c2.files import check_free
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.packetcheck import check_key
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import known_difference
from ds2c2.transport.fates import packet_counts
from ds2c2.transport.packetsource import Listener, PacketSource
from ds2c2.transport.recording import RecordingWriter
from ds2c2.watch.reception import Reception

DEFAULT_WAIT = 30.0  # seconds
TELL_AFTER = 32  # packets of another stream format or key, before any of ours


@takes(place=BoundedPlaceOptions, watch=WatchOptions, radio=ReceivingOptions)
def receive(
    place: BoundedPlaceOptions,
    watch: WatchOptions,
    radio: ReceivingOptions,
    places: sources.Stations = [],  # noqa: B006
    format_: options.Format = "",
    originals: options.Originals = [],  # noqa: B006
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
    record: Annotated[
        str, typer.Option(metavar="FILE", help="Record the packets too, to be received again or for `merge`.")
    ] = "",
    render: options.Render = "",
    stay: Annotated[
        bool, typer.Option("--stay", help="Go on after the end of a stream and through any silence, until Ctrl-C.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a line: one for each frame, and one at the end.")
    ] = False,
) -> None:
    """Receive packets, write or show pictures; ends when silence follows the end of the stream, or after --wait."""
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.packetstream import PacketsToPictures
    from ds2c2.ends.session import PictureFeed, ReceivingEnd
    from ds2c2.traces.losstrace import write_trace
    from ds2c2.traces.tracerecorder import TraceRecorder

    teller, source = Teller(as_json), " ".join(places)
    if sources.only_asked(radio, source):
        return
    watch.check_used()
    place.check(watch.any)
    if stay and wait != DEFAULT_WAIT:
        raise LinkError(f"--wait {wait:g}: --stay waits for ever; leave one of them out")
    options.check_fit(fit, originals)
    secret = read_key(key)
    check_free(trace, record, place.out if place.film else "")
    with ExitStack() as opened:
        opened.enter_context(interrupted_by_sigterm())
        link = opened.enter_context(sources.open_stations(radio, places, format_, off_loopback, bool(watch.http)))
        wanted = link.stream
        check_key(wanted, secret)
        if stay and not link.live:
            raise LinkError("--stay: what is read there ends by itself; leave it out")
        feed = PictureFeed(originals, wanted.width, wanted.height, fit) if originals else None
        codec = Codec(wanted, device, render)
        reception = Reception(wanted, source or radio.place)
        watchers = opened.enter_context(watching(watch, reception))
        put = opened.enter_context(picture_place(place, wanted, link.live))
        packets = opened.enter_context(RecordingWriter(record, codec.stream)) if record else None
        recorded = sources.is_recorded(radio, source)
        delays: list[float | None] = []  # of the frames that are still to be told

        def shown(result, picture) -> None:  # noqa: ANN001 - a frame's, and uint8[H, W, 3]
            put.shown(result, picture)
            # Senders that stamp their frames say when the picture was there, and who they are.
            stamp = assembler.stamp(result.frame)
            delays.append(stamp.delay() if stamp and not recorded else None)
            reception.shown(result, picture, delays[-1], stamp.call if stamp else "")

        def tell(results: list) -> None:
            teller.frames(results, wanted, delays)
            delays.clear()

        receiving = ReceivingEnd(codec, put.folder, feed, shown=shown, kept=0)
        way = PacketsToPictures(receiving, stream, secret, place.max_frames, place.max_pictures, link.ordered)
        assembler = way.assembler
        recorder = TraceRecorder(codec.stream, stream, about=link.about, key=secret) if trace else None
        listener = Listener(
            link, timeout, float("inf") if stay else wait, lambda: assembler.ended and not stay,
            lambda: assembler.counts.used, assembler.signed, lambda: assembler.heard,
        )  # fmt: skip
        if stay:
            stop_when_told(listener)
        for line in (*put.notes, *watchers.lines, *sources.listening_lines(radio, source)):
            teller.say(line)
        misfit_said = other_said = False
        try:
            for arrivals in listener:
                if link.misfit and not misfit_said:
                    misfit_said = True
                    teller.say(f"{link.misfit}: {same_size(wanted)}")
                if listener.quiet:
                    tell(way.flush(pause=True))
                    if recorder:
                        recorder.settle()
                    if packets:
                        packets.silence()
                if recorder:
                    recorder.take(arrivals)
                if packets:
                    packets.write(arrivals.good)
                with reception.working():
                    results = way.push(arrivals.good)
                tell(results)
                link.credit(assembler.counts.used)
                reception.arrived(arrivals, assembler.counts, link.turned_away)
                if not (other_said or assembler.counts.used) and strange(assembler) >= TELL_AFTER:
                    other_said = True
                    teller.say(strange_words(assembler))
                if way.full or watchers.left:
                    listener.stop()
        except KeyboardInterrupt:
            if packets and listener.good:
                teller.say(f"wrote packet recording {packets.finish()}")
            if recorder and listener.good:
                teller.say(f"wrote loss trace {write_trace(trace, recorder.finish())}")
            raise
        for arrivals in () if way.full else listener.rest():
            # Told to stop: what is there is kept and not decoded.
            if recorder:
                recorder.take(arrivals)
            if packets:
                packets.write(arrivals.good)
        if listener.unread:
            unread = options.counted(listener.unread, "packet")
            teller.say(f"{unread} had come and were not decoded when it was told to stop")
        if listener.gave_up:
            teller.say(f"no packet of this stream for {wait:g} s and no end of it: stopping")
        tell(way.flush())
        if way.full:
            teller.say("as many as --max-frames or --max-pictures allows: stopping")
        if watchers.left:
            teller.say("the window was closed: stopping")
        teller.counts(assembler.counts, listener.trouble)
        teller.stations(link.stations)
        if not receiving.frames:
            explain_nothing(assembler, link)
        if recorder:
            teller.say(f"wrote loss trace {write_trace(trace, recorder.finish())}")
        if packets:
            teller.say(f"wrote packet recording {packets.finish()}")
        came = packet_counts(assembler.counts, listener.failed, listener.unreadable, link.turned_away, listener.unread)
        teller.done(receiving, came, put.words, put.written(receiving), listener.trouble, link.stations)
        reception.end()
        watchers.linger()


def stop_when_told(listener: Listener) -> None:
    """Ctrl-C and SIGTERM end a reception that nothing else ends, in good order; a second one at once."""

    def stop(number: int, _: object) -> None:
        listener.stop()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def strange(assembler: FrameAssembler) -> int:
    """Packets of another stream format, or that the key did not sign."""
    return assembler.counts.other_format + assembler.counts.forged


def strange_words(assembler: FrameAssembler) -> str:
    """What is to be said where such packets come."""
    stream, count = assembler.format, assembler.counts.other_format
    if (forged := assembler.counts.forged) > count:
        return (
            f"{options.counted(forged, 'packet')} came that the key {stream.key} did not sign; if the sender sent "
            "them, give both ends the same --key, and --format as that says it"
        )
    difference = known_difference(stream, assembler.other_digest)
    return (
        f"{options.counted(count, 'packet')} came with another stream format than {stream.text}{difference}; "
        "if the sender sent them, give its --format"
    )


def explain_nothing(assembler: FrameAssembler, link: PacketSource) -> None:
    stream = assembler.format
    if strange(assembler):
        raise NothingReceived(strange_words(assembler))
    if link.misfit:
        raise NothingReceived(f"no picture: {link.misfit}; {same_size(stream)}")
    if link.unheard:
        raise NothingReceived(
            f"no picture: {link.unheard}; check the sender, the address, --link and its settings, --sample-rate, "
            "frequency and gain"
        )
    raise NothingReceived("no picture: no packet of this stream came; check the address, --stream and --format")
