# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parser of bytes or text that comes from elsewhere, as a function of bytes: what ``fuzz.py`` opens, and
``test_corpus.py`` again with the inputs that were kept.

A door may raise ``UserError`` and nothing else, within ``MOST_SECONDS`` and ``MOST_BYTES``. Where checks would keep
out whatever is not genuine, the door makes right ones: a forger can, too.
"""

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from campaign import FORMATS, KEY, STREAM_NUMBER

from ds2c2.codec.baselayer import protect_base
from ds2c2.codec.baseshares import share_base
from ds2c2.codec.codec import Codec
from ds2c2.codec.favour import FAVOUR_COUNTS
from ds2c2.codec.labelcoder import decode_labels
from ds2c2.codec.labels import parse_wish, read_labels
from ds2c2.codec.mapcoder import decode_map
from ds2c2.codec.smallpicture import decode_lossless, decode_small
from ds2c2.errors import UserError
from ds2c2.evaluation.report import read_results
from ds2c2.links.iqrecording import IqReader, recording_paths
from ds2c2.networks.weights import load_networks
from ds2c2.paper.study import read_study
from ds2c2.pictures.pictures import read_picture
from ds2c2.serve.frames import FrameReader
from ds2c2.serve.pipe import Address
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.packetcheck import PacketCheck
from ds2c2.stream.packets import build_packets
from ds2c2.stream.packetsize import misfit
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.formats.content import Reading
from ds2c2.traces.losstrace import read_links, write_trace
from ds2c2.traces.packetfates import TraceError
from ds2c2.traces.tracerecorder import TraceRecorder
from ds2c2.training.recipefile import read_recipe
from ds2c2.transport.recording import RecordingReader
from ds2c2.transport.udp import parse_address
from tinymodels import write_tiny_models

MOST_SECONDS = 3.0  # of the processor for one input; the usual one takes some ms, under a fuzzer five times that
MOST_BYTES = 256 << 20  # that one input may take at its peak
CORPUS = Path(__file__).parent / "corpus"

Door = Callable[[bytes], None]


class TooMuch(Exception):
    """An input took more time or memory than is allowed."""


def within_bounds(door: Door, data: bytes) -> None:
    """Open a door with an input. Raises whatever is a finding."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        door(data)
    except UserError:
        pass
    seconds = time.process_time() - began
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if seconds > MOST_SECONDS or grown > MOST_BYTES:
        raise TooMuch(f"{seconds:.1f} s, {grown >> 20} MiB")


# Packets -----------------------------------------------------------------------------------------------------

INSTRUCTION = 6  # bytes that order packets with right checks: kind and stream, copies, frame, index


def packets(folder: Path) -> Door:
    """Byte 0: stream format; byte 1: whether bytes are packets as they are or say which to make, and how many are
    pushed at once; both ends that take packets."""
    forms = [(form, KEY if form.key else b"") for form in FORMATS.values()]

    def rows_of(data: bytes, stream: StreamFormat, made: bool) -> np.ndarray:
        if not made:
            size = stream.packet_bytes
            return np.frombuffer(data.ljust(-(-len(data) // size) * size, b"\0"), np.uint8).reshape(-1, size)
        rows = [np.zeros((0, stream.packet_bytes), np.uint8)]
        check = PacketCheck(stream, KEY) if stream.key else None
        for place in range(0, len(data) - INSTRUCTION + 1, INSTRUCTION):
            what, more, *numbers = data[place : place + INSTRUCTION]
            count = 1 + (more & 31)
            frame, index = numbers[0] << 8 | numbers[1], numbers[2] << 8 | numbers[3]
            indices = (index + np.arange(count)) & 0xFFFF
            blocks = np.full((count, stream.block_size), what, np.uint8)
            number = STREAM_NUMBER + (what >> 4 & 1)
            session = 1_000_000 + (more >> 5)
            rows.append(
                build_packets(what & 15, number, np.full(count, frame), indices, blocks, stream, check, session)
            )
        return np.concatenate(rows)

    def door(data: bytes) -> None:
        if len(data) < 3:
            return
        stream, key = forms[data[0] % len(forms)]
        rows, at_once = rows_of(data[2:], stream, data[1] & 1), 1 + (data[1] >> 1)
        misfit(data[2:], stream)
        assembler = FrameAssembler(stream, STREAM_NUMBER, key=key)
        recorder = TraceRecorder(stream, STREAM_NUMBER, key=key)
        for place in range(0, len(rows), at_once):
            piece = rows[place : place + at_once]
            assembler.push(piece)
            assembler.parser.other_digests(piece)
            if data[1] & 2 and len(piece):
                recorder.failed(piece[0], 0.0)
            recorder.push(piece, None)
        assembler.flush()
        try:
            recorder.finish().lost()
        except TraceError:
            pass

    return door


# The codec ---------------------------------------------------------------------------------------------------

CODECS = {
    "version-1": StreamFormat(64, 64, bpp=0.9, block_size=32, base_bpp=0.15, base_redundancy=1.0),
    "version-2": StreamFormat(64, 64, bpp=1.0, block_size=64, base_bpp=0.15, survive=0.2),
    "binary": StreamFormat(64, 64, 0.9, 32, 0.15, base_redundancy=1.0, interleave="bit", model="binary"),
    "paper": StreamFormat(64, 64, 0.75, 32, 0.3, base_redundancy=0.1, interleave="bit", model="paper"),
}


def codecs(folder: Path) -> list[Codec]:
    write_tiny_models(folder)
    return [Codec(stream, "cpu", weights=folder / f"{stream.model_name}.safetensors") for stream in CODECS.values()]


def portrait() -> np.ndarray:
    """A picture of 64x64 that is the same everywhere."""
    y, x = np.mgrid[:64, :64]
    return np.stack([3 * x + y, 255 - 3 * y, x * y // 16], axis=2).astype(np.uint8)


def base(folder: Path) -> Door:
    """Byte 0: codec; the others are a base container, which arrives whole and with right checks."""
    made = codecs(folder)

    def door(data: bytes) -> None:
        if not data:
            return
        codec = made[data[0] % len(made)]
        stream = codec.stream
        container = data[1:][: stream.base_capacity].ljust(stream.base_capacity, b"\0")
        blocks = np.zeros((stream.blocks, stream.block_size), np.uint8)
        if stream.layout == "apart":
            blocks[: stream.base_blocks] = protect_base(container, stream)
        else:
            for row, share in zip(blocks, share_base(container, stream), strict=True):
                row[: len(share)] = share
        codec.decode(to_soft(blocks, np.ones(len(blocks), bool)))

    return door


def blocks(folder: Path) -> Door:
    """Byte 0: codec; then patches of a genuine picture's blocks: place (2 bytes), length, bytes."""
    made = codecs(folder)
    genuine = [codec.encode(portrait()).blocks for codec in made]

    def door(data: bytes) -> None:
        if not data:
            return
        place = data[0] % len(made)
        rows = genuine[place].copy()
        flat, at = rows.reshape(-1), 1
        while at + 3 <= len(data):
            start, length = (data[at] << 8 | data[at + 1]) % len(flat), data[at + 2]
            patch = np.frombuffer(data[at + 3 : at + 3 + length], np.uint8)[: len(flat) - start]
            flat[start : start + len(patch)] = patch
            at += 3 + length
        arrived = np.ones(len(rows), bool)
        arrived[len(data) % len(rows)] = bool(data[0] & 128)
        made[place].decode(to_soft(rows, arrived))

    return door


def vp8(folder: Path) -> Door:
    """Byte 0: the small picture, lossy or lossless."""

    def door(data: bytes) -> None:
        (decode_lossless if data[:1] == b"\1" else decode_small)(data[1:])

    return door


def maps(folder: Path) -> Door:
    """Bytes 0 to 2: kind of map, height and width; then its bytes."""

    def door(data: bytes) -> None:
        if len(data) < 4:
            return
        height, width = 1 + data[1] % 64, 1 + data[2] % 64
        if data[0] & 1:
            found = decode_map(data[3:], height, width, FAVOUR_COUNTS)
            assert found.shape == (height, width) and 0 <= found.min() <= found.max() < FAVOUR_COUNTS.shape[1]
        else:
            assert decode_labels(data[3:], height, width).shape == (height, width)

    return door


# Files -------------------------------------------------------------------------------------------------------

SMALL = StreamFormat(64, 64, bpp=0.9, block_size=48, base_redundancy=0.5)


def recordings(folder: Path) -> Door:
    """Byte 0: with or without a stream format that is wanted; the rest is the file."""
    path = folder / "x.rec"

    def door(data: bytes) -> None:
        path.write_bytes(data[1:])
        for rows in RecordingReader(path, SMALL if data[:1] == b"\1" else None):
            assert rows.ndim == 2

    return door


def sigmf(folder: Path) -> Door:
    """The metadata of a recording of 100 samples."""
    data_path, meta_path = recording_paths(folder / "air")
    data_path.write_bytes(np.zeros(100, np.complex64).tobytes())

    def door(data: bytes) -> None:
        meta_path.write_bytes(data)
        reader = IqReader(data_path)
        assert len(reader.read(0, 1000)) <= 1000
        assert isinstance(reader.stream_format, str) and isinstance(reader.trouble, str)
        assert isinstance(reader.hardware, str) and reader.rate == (reader.rate and float(reader.rate))
        for capture in reader.captures:
            assert capture.start >= 0

    return door


READINGS = (
    Reading(),
    Reading(within="start"),
    Reading(within="spread", lost="1"),
    Reading(form="indices"),
    Reading(stream_format=SMALL.text),
    Reading(counter="0:2"),
    Reading(form="columns", wrap=256),
    Reading(form="digits", lost="0"),
)


def traces(folder: Path) -> Door:
    """Byte 0: how the file, which is the rest, is read."""
    path, again = folder / "x.log", folder / "again.csv"

    def door(data: bytes) -> None:
        if not data:
            return
        path.write_bytes(data[1:])
        links = read_links(path, READINGS[data[0] % len(READINGS)])
        name, trace = next(iter(links.traces.items()))
        assert len(trace.lost()) <= len(trace)
        # What was read can be written and read again.
        if len(trace) < 1000:
            write_trace(again, trace)
            assert len(read_links(again).traces[""]) == len(trace), name

    return door


def weights(folder: Path) -> Door:
    """A weights file."""
    path = folder / "x.safetensors"

    def door(data: bytes) -> None:
        path.write_bytes(data)
        load_networks(path)

    return door


def pictures(folder: Path) -> Door:
    """Byte 0: a picture, or a map of labels."""
    path = folder / "x.png"

    def door(data: bytes) -> None:
        path.write_bytes(data[1:])
        (read_labels if data[:1] == b"\1" else read_picture)(path)

    return door


# Texts and messages ------------------------------------------------------------------------------------------


def texts(folder: Path) -> Door:
    """A stream format; also a wish of what comes finer, and addresses."""

    def door(data: bytes) -> None:
        text = data.decode(errors="replace")
        for parse in (parse_wish, parse_address, Address.parse):
            try:
                parse(text)
            except UserError:
                pass
        stream = StreamFormat.parse(text)
        assert StreamFormat.parse(stream.text) == stream
        assert 0 < stream.blocks <= 65536 and 0 <= stream.survivable <= 1 and stream.enhancement_bits > 0
        assert len(stream.share_bytes) == stream.blocks and stream.base_share < 1 and 0 <= stream.digest < 65536

    return door


def serve(folder: Path) -> Door:
    """Byte 0: with or without a stream format that is wanted; messages, each after its length in 2 bytes."""
    number = [0]

    def door(data: bytes) -> None:
        number[0] += 1
        reader, at = FrameReader(SMALL if data[:1] == b"\1" else None), 1
        while at + 2 <= len(data) and not reader.ended:
            length = data[at] << 8 | data[at + 1]
            for frame, soft in reader.push(data[at + 2 : at + 2 + length]):
                assert isinstance(frame, int) and soft.shape == (reader.stream.blocks, 8 * reader.stream.block_size)
            at += 2 + length
        reader.close()

    return door


def recipes(folder: Path) -> Door:
    """A recipe, of which the last line is also a change; and a study."""
    path = folder / "x.toml"

    def door(data: bytes) -> None:
        path.write_bytes(data)
        lines = data.decode(errors="replace").splitlines()
        for read in (
            lambda: read_recipe(str(path)),
            lambda: read_recipe(str(path), lines[-1:]),
            lambda: read_study(str(path)),
            lambda: read_results(path),
        ):
            try:
                read()
            except UserError:
                pass

    return door


DOORS: dict[str, Callable[[Path], Door]] = {
    made.__name__: made
    for made in (
        packets, base, vp8, maps, blocks, recordings, sigmf, traces, texts, weights, serve, recipes, pictures,
    )
}  # fmt: skip


def inputs(name: str) -> list[Path]:
    """A door's corpus."""
    return sorted((CORPUS / name).iterdir(), key=os.fspath)
