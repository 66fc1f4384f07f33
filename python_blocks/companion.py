# SPDX-License-Identifier: GPL-3.0-or-later
"""What GNU Radio Companion asks of a block's values before a run: the library's own checks, each answer one line.

An assert of a ``block.yml`` that fails shows its own expression and nothing else. So the checks here do not fail: they
find the block whose assert is evaluated, and leave it the library's line, which names the value and the remedy. Where
that block is not found (no Companion, or another one), the assert fails in the usual way. A parameter that shows red
already, since its expression cannot be evaluated, is not judged again.
"""

import functools
import os
import sys
from collections.abc import Callable

from ds2c2.channels.channel import FITTED
from ds2c2.channels.packetchannel import PacketChannel
from ds2c2.codec.effort import check_effort
from ds2c2.errors import FormatError, PictureError, UserError, WeightsError
from ds2c2.links.air import AirSettings
from ds2c2.links.radiosettings import RadioSettings, ReceiveSettings, TransmitSettings
from ds2c2.networks.modelfiles import agreed_digest, check_interleave, weights_profile
from ds2c2.pictures.moving.sources import check_folder, check_names, moves
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import MAX_STREAM
from ds2c2.stream.streamformat import StreamFormat

from ._companion_block import asking, fed_by_widgets, format_remedy
from ._stage import as_format, as_sources
from .packets_to_pdus import check_rate

# Devices that every host has: to ask for another one loads torch.
EVERYWHERE = ("auto", "cpu")


class Unclear:
    """Stands for a stream format that cannot be, so that only its own variable shows red: whatever depends on it
    finds items of one byte."""

    def __getattr__(self, name: str) -> int:
        if name.startswith("__"):
            raise AttributeError(name)
        return 1


def stream_format_value(*sizes, **settings) -> StreamFormat | Unclear:
    """The value of a Stream Format variable: whether it can be is said by ``stream_format``."""
    try:
        return StreamFormat(*sizes, **settings)
    except (FormatError, TypeError, AttributeError):
        return Unclear()


def block_bytes(stream_format: StreamFormat | str) -> int:
    """Bytes of a code block, for the width of a port; 1 where that is not known."""
    return _sizes(stream_format).block_size


def packet_bytes(stream_format: StreamFormat | str) -> int:
    """Bytes of a packet, for the width of a port; 1 where that is not known."""
    return _sizes(stream_format).packet_bytes


def _sizes(stream_format: StreamFormat | str) -> StreamFormat | Unclear:
    try:
        return as_format(stream_format)
    except FormatError:
        return Unclear()


def _answered(check: Callable) -> Callable[..., bool]:
    """Decorate a check: what it raises is a line of the block that asks."""

    @functools.wraps(check)
    def inner(*values, **settings) -> bool:
        block = asking(sys._getframe(1))
        lines = []
        if block is None or all(param.is_valid() for param in block.params.values()):
            try:
                check(block, *values, **settings)
            except UserError as error:
                lines.append(str(error))
            except (TypeError, ValueError, AttributeError, OSError) as error:
                lines.append(f"{type(error).__name__}: {error}")
        elif remedy := format_remedy(block):
            lines.append(remedy)
        if block is None:
            return not lines
        for line in [*lines, *fed_by_widgets(block)]:
            if line not in block.get_error_messages():
                block.add_error_message(line)
        return True

    return inner


def _known(stream_format: StreamFormat | str | Unclear) -> StreamFormat | None:
    """The stream format, None where its variable is red. Raises ``FormatError``."""
    return None if isinstance(stream_format, Unclear) else as_format(stream_format)


def _near(block, name: str) -> str:
    """A relative name, as the run will see it: Companion runs a flowgraph in the flowgraph's folder."""
    if not name:
        return name
    folder = os.path.dirname(getattr(block and block.parent_flowgraph, "grc_file_path", "") or "")
    there = os.path.join(folder, os.path.expanduser(name))
    return there if folder and (os.path.exists(there) or not os.path.exists(name)) else name


def _check_device(device: str) -> None:
    if device not in EVERYWHERE:
        from ds2c2.networks.weights import choose_device

        choose_device(device)


def _check_pictures(block, pictures: str | list[str]) -> None:
    for name in as_sources(pictures):
        try:
            check_names([name])
        except PictureError:
            # Where the flowgraph lies and not where Companion was started.
            if (there := _near(block, name)) == name:
                raise
            check_names([there])


@functools.lru_cache(maxsize=8)
def _check_replay(form: StreamFormat, trace: str, written: int, size: int, **settings) -> None:
    PacketChannel(form, trace=trace, **settings)


@_answered
def known_format(block, stream_format) -> None:
    """Of a block that needs the stream format alone."""
    _known(stream_format)


@_answered
def stream_format(block, *sizes, **settings) -> None:
    """Of a Stream Format variable. A model that is not here is no fault: a relay needs no weights."""
    form = StreamFormat(*sizes, **settings)
    try:
        profile = weights_profile(form.model_name)
    except WeightsError:
        return
    check_interleave(form, profile)


@_answered
def encoder_source(
    block, stream_format, pictures, device, frame_rate, favour, labels, count=0, follow=False, live=False, effort=0
) -> None:
    from ds2c2.codec.labels import FavourMaps, names_segmenter

    if labels and not names_segmenter(labels) and not os.path.isdir(_near(block, labels)):
        raise PictureError(f"labels {labels}: no such folder of label maps")
    if frame_rate < 0:
        raise UserError(f"frame rate {frame_rate:g} is negative; give frames a second, or 0 for no limit")
    form = _known(stream_format)
    if form is not None:
        agreed_digest(form)
        # Of a model that sends label maps, labels says where they come from.
        by_class = "" if weights_profile(form.model_name) == "paper" else labels
        FavourMaps(favour, by_class, (), form.width, form.height)
        check_effort(form, weights_profile(form.model_name), effort)
    if count < 0:
        raise UserError(f"count {count} is negative; give a number of pictures, or 0 for no limit")
    if follow:
        check_folder([_near(block, name) for name in as_sources(pictures)])
    else:
        _check_pictures(block, pictures)
        if live and not moves(as_sources(pictures)):
            raise PictureError("still pictures are never late: Live is for films and the like; set it to No")
    _check_device(device)


@_answered
def decoder_sink(block, stream_format, originals, device, render) -> None:
    form = _known(stream_format)
    if form is not None:
        agreed_digest(form, render)
    if originals:
        _check_pictures(block, originals)
    _check_device(device)


@_answered
def block_erasure_channel(block, stream_format, model, trace, **settings) -> None:
    form, trace = _known(stream_format), _near(block, trace)
    if form is None:
        return
    if os.path.isfile(trace) and model in ("trace", *FITTED) and settings["unit"] == "block":
        about = os.stat(trace)
        # A fit takes seconds, and is the run's.
        _check_replay(form, trace, about.st_mtime_ns, about.st_size, model="trace", **settings)
    else:
        PacketChannel(form, model=model, trace=trace, **settings)


@_answered
def packets_to_pdus(block, stream_format, rate) -> None:
    check_rate(rate)
    _known(stream_format)


@_answered
def packetizer(block, stream_format, stream, key) -> None:
    _check_stream(block, stream_format, stream, 0, key)


@_answered
def depacketizer(block, stream_format, stream, timeout, reorder, key) -> None:
    if not timeout > 0:
        raise FormatError(f"timeout {timeout:g} is out of range: above 0 seconds")
    _check_stream(block, stream_format, stream, reorder, key)


def _check_stream(block, stream_format, stream: int, reorder: int, key: str) -> None:
    if not 0 <= stream <= MAX_STREAM:
        raise FormatError(f"stream {stream} is out of range: 0 to {MAX_STREAM}")
    form, secret = _known(stream_format), read_key(_near(block, key))
    if form is not None:
        FrameAssembler(form, stream, reorder, secret)


@_answered
def radio_air(block, **settings) -> None:
    AirSettings(**settings)


@_answered
def link(block, stream_format, **air) -> None:
    """Of a modem's link: what the modem itself bears is said by asserts of its own."""
    _known(stream_format)
    AirSettings(**air)


@_answered
def radio_sink(block, stream_format, **settings) -> None:
    """That a real radio may send is asked at the run: a flowgraph is made before an antenna is connected."""
    _ring(block, TransmitSettings(**settings))
    if stream_format:
        _known(stream_format)


@_answered
def radio_source(block, **settings) -> None:
    radio = ReceiveSettings(**settings)
    if ring := _ring(block, radio):
        ring.other(radio.peer)


def _ring(block, radio: RadioSettings):
    """The keys that a radio's settings name, None for none."""
    from ds2c2.serve.keys import load_keys

    return load_keys(_near(block, radio.keys)) if radio.backend == "zmq" and radio.keys else None
