# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 send``: pictures to packets, into a recording, over UDP or over the air."""

import itertools
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.progress import track

from ds2c2.channels.packetchannel import PacketChannel
from ds2c2.cli import options
from ds2c2.cli.moving import SourceOptions, packet_rate
from ds2c2.cli.options import ChannelOptions, StreamOptions, unsuited_effect
from ds2c2.cli.radio import SendingOptions, check_duration, flowgraphs, show_dry_run
from ds2c2.cli.sources import is_recorded, no_bare_address, one_place
from ds2c2.cli.spread import takes
from ds2c2.cli.stopping import until_signalled
from ds2c2.cli.terminal import Terminal
from ds2c2.ends.pace import Pace
from ds2c2.errors import FormatError, LinkError
from ds2c2.files import check_free
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.packetcheck import signed_with
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import END_COPIES
from ds2c2.stream.stamps import check_call
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import write_trace
from ds2c2.traces.merging import SenderLog
from ds2c2.transport.outbox import Outbox
from ds2c2.transport.recording import RecordingWriter
from ds2c2.transport.udp import DEFAULT_RATE, UdpSender, parse_address, parse_multicast

if TYPE_CHECKING:
    from ds2c2.ends.session import SendingEnd

console = Terminal()
warnings = Terminal(stderr=True)


@takes(stream=StreamOptions, source=SourceOptions, channel=ChannelOptions, radio=SendingOptions)
def send(
    pictures: Annotated[
        list[str],
        typer.Argument(
            help="Pictures: files, folders or globs; films, cameras (/dev/video0), addresses (rtsp://, http://), - for "
            "the standard input (PNG, JPEG, MJPEG, Y4M)."
        ),
    ],
    stream: StreamOptions,
    source: SourceOptions,
    channel: ChannelOptions,
    radio: SendingOptions,
    to: Annotated[
        str,
        typer.Option(
            metavar="WHERE", help="udp://host:port, a multicast group too (?ttl=4), or a file to record the packets in."
        ),
    ] = "",
    fit: options.Fit = "pad",
    favour: options.Favour = [],  # noqa: B006
    labels: options.Labels = "",
    effort: options.Effort = 0,
    device: options.Device = "auto",
    stream_number: options.StreamNumber = 0,
    key: options.Key = "",
    rate: Annotated[
        float,
        typer.Option(
            help=f"Packets per second over UDP; 0: as the pictures' rate needs, {DEFAULT_RATE:g} where they have none."
        ),
    ] = 0.0,
    strict: options.Strict = False,
    log: Annotated[
        str, typer.Option(metavar="FILE", help="Write what left this host as a loss trace, for `ds2c2 trace merge`.")
    ] = "",
    stamp: Annotated[
        bool, typer.Option("--stamp", help="Say with each picture when it was there: a packet more, for its delay.")
    ] = False,
    call: Annotated[str, typer.Option(metavar="SIGN", help="This station's call sign, in packets of --stamp.")] = "",
) -> None:
    """Send pictures as packets: over UDP, into a recording or over the air, through an emulated channel if asked."""
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.packetstream import pictures_to_packets
    from ds2c2.ends.session import SendingEnd

    one_place("--to", to, radio)
    address = parse_address(to) if "://" in to else None
    no_bare_address("--to", to)
    if address is None and rate:
        raise LinkError(f"--rate {rate:g}: nothing but UDP has a rate; leave it out, or give --to udp://host:port")
    group = parse_multicast(to) if address else None
    check_free(log, "" if address else to)
    check_call(call)
    secret = read_key(key)
    stream_format, feed = source.open(pictures, strict, fit, lambda size: signed_with(stream.stream(size), secret))
    if (stamp or call) and stream_format.version == 1:
        raise FormatError("--stamp and --call need version 2 of the wire format: leave --redundancy out")
    recorded = is_recorded(radio, to)
    if recorded and not feed.moving:
        source.check_recording()
    for line in [] if feed.moving else feed.skipped_lines:
        warnings.print(line, markup=False)
    if radio.radio and not opened(radio, stream_format, feed.frames):
        return
    emulated = PacketChannel(stream_format, **channel.settings())
    speed = 0.0 if recorded else source.speed(feed)
    link = UdpSender(*address, rate or packet_rate(stream_format, speed) or DEFAULT_RATE, group) if address else None
    codec = Codec(stream_format, device)
    sending = SendingEnd(codec, feed, favour, labels, effort)
    if warning := unsuited_effect(channel.effect, codec.stream.model):
        warnings.print(f"warning: {warning}", markup=False)
    console.print(f"stream format: {codec.stream.text}", markup=False)
    if feed.moving or feed.repeat:
        until_signalled(feed)
    groups = paced(pictures_to_packets(sending, stream_number, secret, stamp or bool(call), call), sending, speed)
    steps = None if feed.frames is None else -(-feed.frames // stream_format.depth) + 1
    shown = track(groups, description="sending", total=steps, console=console, transient=True)

    kept = SenderLog(codec.stream, stream_number, secret) if log else None
    if radio.radio:
        to = transmit(radio, codec.stream, shown, emulated, kept)
    elif link is None:
        with RecordingWriter(to, codec.stream) as recording:
            for packets in shown:
                recording.write(emulated.through(packets))
                if kept:
                    kept.take(packets, np.full(len(packets), np.nan), np.zeros(len(packets), bool))
    else:
        over_udp(link, to, ((packets, emulated.through(packets)) for packets in shown), kept)
    if kept:
        console.print(f"wrote {write_trace(log, kept.finish(sending.frame))}: what left this host", markup=False)
    blocks = emulated.passed + emulated.hit
    hit = f"{blocks} blocks, {emulated.hit} of them hit"
    if channel.unit == "bit":
        hit = f"{blocks} blocks, {emulated.bits_hit} of their {8 * stream_format.block_size * blocks} bits hit"
    late = (
        f"; {options.counted(feed.late, 'picture')} came too late and were dropped" if feed.moving and feed.late else ""
    )
    console.print(
        f"sent {options.counted(sending.frame, 'picture')}, {hit} by the emulated channel, to {to}{late}",
        markup=False,
    )
    if feed.moving and feed.skipped:
        console.print(f"{options.counted(feed.skipped, 'file')} skipped", markup=False)


def offered(
    packets: np.ndarray, passed: np.ndarray, times: np.ndarray, refused: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Packets with their times and whether the host refused them, as a ``SenderLog`` takes them, from those of the
    ``passed`` ones: what the emulated channel hits is the channel's loss and not the host's."""
    if len(passed) == len(packets):
        return packets, times, refused
    known = {packet.tobytes(): place for place, packet in enumerate(passed)}
    places = np.array([known.get(packet.tobytes(), -1) for packet in packets], int)
    there = places >= 0
    found, unsent = np.full(len(packets), np.nan), np.zeros(len(packets), bool)
    found[there], unsent[there] = times[places[there]], refused[places[there]]
    return packets, found, unsent


def paced(groups: Iterable[np.ndarray], sending: "SendingEnd", speed: float) -> Iterator[np.ndarray]:
    """Groups of packets when they are due; what was wrong with a picture is said when it is met."""
    feed, told, frames = sending.feed, 0, 0
    pace = Pace(0.0 if feed.moving and feed.live else speed)  # what is live sets its pace itself
    for packets in groups:
        pace.wait(lambda: feed.stopped)
        pace.step(sending.frame - frames)
        frames = sending.frame
        yield packets
        if feed.moving:
            lines = feed.problem_lines
            for line in lines[told:]:
                warnings.print(line, markup=False)
            told = len(lines)


def opened(radio: SendingOptions, stream_format: StreamFormat, pictures: int | None) -> bool:
    """Check what a radio is to send; with ``--dry-run`` say it and give False. Raises ``UserError``s."""
    packets = (pictures or 1) * stream_format.blocks + END_COPIES
    seconds = check_duration(stream_format, radio.link_settings, radio.settings, packets)
    if radio.dry_run:
        each = "" if pictures is not None else " of each picture and the end"
        more = {"packets": f"{packets}{each}, {seconds:.2f} s on the air", "stream format": pinned(stream_format).text}
        show_dry_run(console, radio.settings, radio.link_settings, more)
    else:
        radio.settings.check_consent()
    return not radio.dry_run


def over_udp(link: UdpSender, to: str, groups: Iterable[tuple[np.ndarray, np.ndarray]], log: SenderLog | None) -> None:
    """Send groups of packets, each while the next is encoded: all of a group, and what of it passed the emulated
    channel. Raises ``LinkError`` where nobody listens."""
    began = time.monotonic()

    def out(group: tuple[np.ndarray, np.ndarray]) -> None:
        packets, passed = group
        times, refused = link.send(passed)
        if log:
            log.take(*offered(packets, passed, times - began, refused))

    try:
        with Outbox(out) as outbox:
            for group in groups:
                outbox.put(group)
    finally:
        link.close()
    # Of two datagrams that nobody takes the kernel refuses one; a receiver that leaves at the stream's end has
    # the last ones refused, and that is no fault.
    if 2 * link.refused >= link.sent - 1:
        raise LinkError(
            f"{to}: nobody listens there, {link.refused} of {link.sent} packets were refused; start the receiver first"
        )
    if link.refused:
        console.print(f"{link.refused} packets were refused by {to}: nobody listens there?", markup=False)


def transmit(
    radio: SendingOptions,
    stream: StreamFormat,
    offered_groups: Iterable[np.ndarray],
    emulated: PacketChannel,
    log: SenderLog | None,
) -> str:
    """Send groups of packets by a radio, through the emulated channel; gives its name for people. Of the log's
    packets the times are those that they have on the air where the radio never stops for want of samples. Raises
    ``UserError``s."""
    duration = radio.link_settings.packet_samples(stream.packet_bytes) / radio.settings.rate
    count = 0

    def through() -> Iterator[np.ndarray]:
        nonlocal count
        for packets in offered_groups:
            if log:
                log.take(packets, (count + np.arange(len(packets))) * duration, np.zeros(len(packets), bool))
            count += len(packets)
            yield emulated.through(packets)

    groups = through()
    # The first is encoded before the radio is opened, the others while it sends: zeros stand between them.
    first = next(groups)
    with flowgraphs().radio_transmitter(stream, radio.link_settings, radio.settings) as transmitter:
        began = time.time()
        for packets in itertools.chain([first], groups):
            transmitter.send(packets)
        transmitter.finish()
        for kind, when in transmitter.sink.events if log else ():
            # Of a USRP that was set to this host's time.
            log.host_event(kind, when - began)
    return radio.place
