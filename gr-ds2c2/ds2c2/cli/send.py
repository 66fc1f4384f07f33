# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 send``: pictures to packets, into a recording, over UDP or over the air."""

import time
from collections.abc import Iterable, Iterator
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from ds2c2.channels.packetchannel import PacketChannel
from ds2c2.cli import options
from ds2c2.cli.options import ChannelOptions, StreamOptions, unsuited_effect
from ds2c2.cli.radio import SendingOptions, check_duration, flowgraphs, show_dry_run
from ds2c2.cli.sources import no_bare_address, one_place
from ds2c2.cli.spread import takes
from ds2c2.errors import LinkError
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.packetcheck import signed_with
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import END_COPIES
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import check_place, write_trace
from ds2c2.traces.merging import SenderLog
from ds2c2.transport.recording import RecordingWriter
from ds2c2.transport.udp import DEFAULT_RATE, UdpSender, parse_address

console = Console(highlight=False, soft_wrap=True)
warnings = Console(stderr=True, highlight=False, soft_wrap=True)


@takes(stream=StreamOptions, channel=ChannelOptions, radio=SendingOptions)
def send(
    pictures: Annotated[list[str], typer.Argument(help="Files, folders or globs.")],
    stream: StreamOptions,
    channel: ChannelOptions,
    radio: SendingOptions,
    to: Annotated[str, typer.Option(metavar="WHERE", help="udp://host:port, or a file to record the packets in.")] = "",
    fit: options.Fit = "pad",
    favour: options.Favour = [],  # noqa: B006
    labels: options.Labels = "",
    effort: options.Effort = 0,
    device: options.Device = "auto",
    stream_number: options.StreamNumber = 0,
    key: options.Key = "",
    rate: Annotated[float, typer.Option(help="Packets per second over UDP.")] = DEFAULT_RATE,
    strict: options.Strict = False,
    log: Annotated[
        str, typer.Option(metavar="FILE", help="Write what left this host as a loss trace, for `ds2c2 trace merge`.")
    ] = "",
) -> None:
    """Send pictures as packets: over UDP, into a recording or over the air, through an emulated channel if asked."""
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.packetstream import pictures_to_packets
    from ds2c2.ends.session import PictureFeed, SendingEnd, common_size
    from ds2c2.pictures.pictures import list_pictures

    one_place("--to", to, radio)
    address = parse_address(to) if "://" in to else None
    no_bare_address("--to", to)
    if address is None and rate != DEFAULT_RATE:
        raise LinkError(f"--rate {rate:g}: nothing but UDP has a rate; leave it out, or give --to udp://host:port")
    secret = read_key(key)
    stream_format = signed_with(stream.stream(lambda: common_size(list_pictures(pictures))), secret)
    feed = PictureFeed(pictures, stream_format.width, stream_format.height, fit, strict=strict)
    for line in feed.skipped_lines:
        warnings.print(line, markup=False)
    if radio.radio and not opened(radio, stream_format, len(feed.paths)):
        return
    emulated = PacketChannel(stream_format, **channel.settings())
    if log:
        check_place(log)
    codec = Codec(stream_format, device)
    sending = SendingEnd(codec, feed, favour, labels, effort)
    if warning := unsuited_effect(channel.effect, codec.stream.model):
        warnings.print(f"warning: {warning}", markup=False)
    console.print(f"stream format: {codec.stream.text}", markup=False)
    groups = pictures_to_packets(sending, stream_number, secret)
    steps = -(-len(feed.paths) // stream_format.depth) + 1
    shown = track(groups, description="sending", total=steps, console=console, transient=True)

    kept = SenderLog(codec.stream, stream_number, secret) if log else None
    began = time.monotonic()
    if radio.radio:
        to = transmit(radio, codec.stream, shown, emulated, kept)
    elif address is None:
        with RecordingWriter(to, codec.stream) as recording:
            for packets in shown:
                recording.write(emulated.through(packets))
                if kept:
                    kept.take(packets, np.full(len(packets), np.nan), np.zeros(len(packets), bool))
    else:
        link = UdpSender(*address, rate)
        try:
            for packets in shown:
                passed = emulated.through(packets)
                times, refused = link.send(passed)
                if kept:
                    kept.take(*offered(packets, passed, times - began, refused))
        finally:
            link.close()
        # Of two datagrams that nobody takes the kernel refuses one; a receiver that leaves at the stream's end has
        # the last ones refused, and that is no fault.
        if 2 * link.refused >= link.sent - 1:
            raise LinkError(
                f"{to}: nobody listens there, {link.refused} of {link.sent} packets were refused; start the receiver "
                "first"
            )
        if link.refused:
            console.print(f"{link.refused} packets were refused by {to}: nobody listens there?", markup=False)
    if kept:
        console.print(f"wrote {write_trace(log, kept.finish(sending.frame))}: what left this host", markup=False)
    blocks = emulated.passed + emulated.hit
    hit = f"{blocks} blocks, {emulated.hit} of them hit"
    if channel.unit == "bit":
        hit = f"{blocks} blocks, {emulated.bits_hit} of their {8 * stream_format.block_size * blocks} bits hit"
    console.print(
        f"sent {options.counted(sending.frame, 'picture')}, {hit} by the emulated channel, to {to}",
        markup=False,
    )


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


def opened(radio: SendingOptions, stream_format: StreamFormat, pictures: int) -> bool:
    """Check what a radio is to send; with ``--dry-run`` say it and give False. Raises ``UserError``s."""
    packets = pictures * stream_format.blocks + END_COPIES
    seconds = check_duration(stream_format, radio.link_settings, radio.settings, packets)
    if radio.dry_run:
        more = {"packets": f"{packets}, {seconds:.2f} s on the air", "stream format": pinned(stream_format).text}
        show_dry_run(console, radio.settings, radio.link_settings, more)
    else:
        radio.settings.check_consent()
    return not radio.dry_run


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

    groups: Iterable[np.ndarray] = through()
    if radio.settings.on_air:
        # All are encoded before the radio is opened: it is on the air no longer than it must be, and
        # never waits for a picture.
        groups = list(groups)
    with flowgraphs().radio_transmitter(stream, radio.link_settings, radio.settings) as transmitter:
        began = time.time()
        for packets in groups:
            transmitter.send(packets)
        transmitter.finish()
        for kind, when in transmitter.sink.events if log else ():
            # Of a USRP that was set to this host's time.
            log.host_event(kind, when - began)
    return radio.place
