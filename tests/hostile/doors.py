# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parser of bytes or text that comes from elsewhere, as a function of bytes: what ``fuzz.py`` opens, and
``test_corpus.py`` again with the inputs that were kept.

A door may raise ``UserError`` and nothing else, within ``MOST_SECONDS`` and ``MOST_BYTES``. Where checks would keep
out whatever is not genuine, the door makes right ones: a forger can, too.
"""

import json
import os
import resource
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from campaign import FORMATS, KEY, STREAM_NUMBER
from PIL import Image

from ds2c2.codec.baselayer import protect_base
from ds2c2.codec.baseshares import share_base
from ds2c2.codec.codec import Codec
from ds2c2.codec.favour import FAVOUR_COUNTS
from ds2c2.codec.labelcoder import LabelMapError, decode_labels, encode_labels
from ds2c2.codec.labels import parse_wish, read_labels
from ds2c2.codec.mapcoder import decode_map, encode_map
from ds2c2.codec.smallpicture import decode_lossless, decode_small, encode_lossless, encode_small
from ds2c2.errors import UserError
from ds2c2.evaluation.report import read_results
from ds2c2.links.iqrecording import IqReader, IqWriter, recording_paths
from ds2c2.networks.weights import load_networks
from ds2c2.paper.study import read_study
from ds2c2.pictures.pictures import read_picture
from ds2c2.serve.frames import FrameReader, frame_messages
from ds2c2.serve.pipe import Address
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.packetcheck import PacketCheck
from ds2c2.stream.packets import Packetizer, build_packets
from ds2c2.stream.packetsize import misfit
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.formats.content import Reading
from ds2c2.traces.losstrace import read_links, write_trace
from ds2c2.traces.packetfates import LossTrace, TraceError
from ds2c2.traces.tracerecorder import TraceRecorder
from ds2c2.training.recipefile import read_recipe
from ds2c2.transport.recording import RecordingReader, RecordingWriter
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


def packets_seeds() -> Iterator[tuple[str, bytes]]:
    for place, (name, stream) in enumerate(FORMATS.items()):
        sender = Packetizer(stream, STREAM_NUMBER, KEY if stream.key else b"", session=1_000_000)
        blocks = np.zeros((2 * stream.blocks, stream.block_size), np.uint8)
        rows = np.concatenate([sender.pack(blocks), sender.end()])
        yield name.replace(" ", "-"), bytes([place, 8]) + rows[::7].tobytes()
        orders = b"".join(
            bytes([0, 20, frame >> 8, frame & 255, 0, 0]) for frame in (0, 1, 2, 60, 61, 40000, 40001, 40002, 5)
        )
        yield f"{name.replace(' ', '-')}-orders", bytes([place, 9]) + orders + bytes([1, 7, 0, 0, 0, 3])


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


def container_of(codec: Codec) -> bytes:
    return codec.profile.encode(portrait(), b"", None, None).container


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


def base_seeds() -> Iterator[tuple[str, bytes]]:
    for place, (name, codec) in enumerate(zip(CODECS, _codecs(), strict=True)):
        yield name, bytes([place]) + container_of(codec)


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


def blocks_seeds() -> Iterator[tuple[str, bytes]]:
    for place, (name, codec) in enumerate(zip(CODECS, _codecs(), strict=True)):
        stream = codec.stream
        share = 0 if stream.layout == "apart" else int(stream.share_bytes[0])
        patches = b""
        for block in range(stream.base_blocks, stream.blocks, 5):
            start = block * stream.block_size + share
            patches += bytes([start >> 8, start & 255, 5, 0, 0, 1, 255, block])
        yield name, bytes([place]) + patches


def vp8(folder: Path) -> Door:
    """Byte 0: the small picture, lossy or lossless."""

    def door(data: bytes) -> None:
        (decode_lossless if data[:1] == b"\1" else decode_small)(data[1:])

    return door


def vp8_seeds() -> Iterator[tuple[str, bytes]]:
    small = portrait()[::4, ::4]
    yield "lossy", b"\0" + encode_small(small, 60)
    yield "lossless", b"\1" + encode_lossless(small)


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


def maps_seeds() -> Iterator[tuple[str, bytes]]:
    values = np.arange(12 * 16).reshape(12, 16)
    yield "favour", bytes([1, 11, 15]) + encode_map(values // 20 % FAVOUR_COUNTS.shape[1], FAVOUR_COUNTS)
    labels = (values // 5 % 12).astype(np.uint8)
    yield "labels", bytes([0, 11, 15]) + encode_labels(labels, 1000)
    coarse = encode_labels(labels, 1000)
    for budget in range(len(coarse) - 1, 0, -1):
        try:
            coarse = encode_labels(labels, budget)
        except LabelMapError:
            break
    yield "coarse", bytes([0, 11, 15]) + coarse


_made: list[Codec] = []


def _codecs() -> list[Codec]:
    """For seeds, made once."""
    import tempfile

    if not _made:
        with tempfile.TemporaryDirectory() as folder:
            _made.extend(codecs(Path(folder)))
    return _made


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


def recordings_seeds() -> Iterator[tuple[str, bytes]]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.rec"
        sender = Packetizer(SMALL)
        rows = sender.pack(np.zeros((SMALL.blocks, SMALL.block_size), np.uint8))
        with RecordingWriter(path, SMALL) as writer:
            writer.write(rows)
        yield "recording", b"\0" + path.read_bytes()
    yield "packets-alone", b"\1" + rows.tobytes()


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


def sigmf_seeds() -> Iterator[tuple[str, bytes]]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        writer = IqWriter(Path(folder) / "air", 1e6, 433e6, "none", SMALL.text, {"link": "ofdm"})
        writer.capture(1.7e9, 434e6)
        writer.event("overrun", "1")
        writer.write(np.zeros(100, np.complex64))
        writer.close()
        yield "ours", writer.meta_path.read_bytes()
    described = {"core:datatype": "ci16_le", "core:version": "1.0.0"}
    yield "least", json.dumps({"global": described, "captures": [], "annotations": []}).encode()
    described["core:trailing_bytes"] = 900
    captures = [{"core:sample_start": 0, "core:header_bytes": 1 << 70}]
    yield "headers", json.dumps({"global": described, "captures": captures, "annotations": []}).encode()
    run = {"core:sample_start": 0, "core:label": "ds2c2 run", "ds2c2:format": 5}
    del described["core:trailing_bytes"]
    yield "format", json.dumps({"global": described, "captures": [], "annotations": [run]}).encode()
    yield "deep", b"[" * 4000


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


def traces_seeds() -> Iterator[tuple[str, bytes]]:
    import tempfile

    given = Path(__file__).resolve().parents[1] / "library" / "data" / "traces"
    for path in sorted(given.iterdir()):
        yield path.name.replace(".", "-"), bytes([5 if path.name == "counter.kiss" else 0]) + path.read_bytes()[:1500]
    lost = np.arange(40) % 7 == 3
    with tempfile.TemporaryDirectory() as folder:
        path = write_trace(Path(folder) / "x.csv", LossTrace.from_losses(lost, SMALL, {"resumes": "0"}))
        yield "trace", b"\0" + path.read_bytes()
    yield "digits", b"\0# lost: 1\n" + "".join(str(int(one)) for one in lost).encode()
    yield "mahimahi", b"\0" + b"1\n2\n5\n9\n"
    yield "wfb", b"\0" + b"100\tPKT\t1:2:3\n" * 3
    yield "ns3", b'\0dropsVector = "3,10,17"\n'
    yield "indices", b"\x03" + b"3 10 17"
    rows = [{"seq": place, "time_ms": 20.0 * place, "snr": 3.5} for place in range(9) if place != 4]
    yield "json", b"\0" + json.dumps(rows).encode()
    yield "json-lists", b"\0" + json.dumps({"seq": [1, 2, 5], "lost": [0, 1, 0], "link": ["a", "b", "a"]}).encode()
    intervals = [{"streams": [{"socket": 5, "packets": 10, "lost_packets": 3}]} for _ in range(3)]
    yield "iperf3", b"\1" + json.dumps({"intervals": intervals, "end": {}}).encode()
    content = {"intervals": [], "end": {}, "server_output_json": {"intervals": intervals}}
    yield "iperf3-server", b"\2" + json.dumps(content).encode()
    yield "csv", b"\0time;seq;rssi\n" + b"".join(b"2026-01-01T00:00:%02d;%d;-90\n" % (n, n) for n in range(5))
    yield "utf16", b"\0" + "seq,ok\n1,true\n2,false\n".encode("utf-16")
    # What was found by reading, before any fuzzing.
    yield "deep", b"\0" + b"[" * 4000
    yield "far", b"\0seq\n0\n19999999\n"
    yield (
        "far-links",
        b"\0seq,link\n" + b"".join(b"%d,%d\n" % (900_000 * one, two) for two in range(40) for one in (0, 1)),
    )
    yield "infinity", b'\0{"seq": [1, Infinity, 3]}'
    yield "huge", b'\0{"seq": [1, 2], "snr": [1%s, 2], "time": [[1], {}]}' % (b"0" * 400)
    yield "endless-time", b"\0seq,time\n1,1e999\n2,1e999\n"
    yield "nothing-in-common", b"\0" + json.dumps([{f"k{one}": 1} for one in range(500)]).encode()
    yield "superscripts", b"\0" + "\u00b2\n\u00b2\n\u00b2\n".encode()
    yield "digits-without-end", b"\0" + b"1" * 5000 + b"\n1\n2\n"
    yield "ns3-huge", b'\0dropsVector = "99999999999999999999"\n'
    yield "ns3-far", b'\0dropsVector = "19999998"\n'
    for place, counts in enumerate(({"packets": 10**13, "lost_packets": 1}, {"packets": -5, "lost_packets": "x"}, 7)):
        content = {"intervals": [{"streams": [counts]}], "end": {}}
        if isinstance(counts, dict):
            counts["socket"] = 1
        yield f"iperf3-{place}", b"\1" + json.dumps(content).encode()
    yield "iperf3-list", b"\1" + json.dumps({"intervals": [], "end": {}, "server_output_json": [1]}).encode()
    yield "ssdv-images", b"\0" + b"".join(_ssdv(image, 65535) for image in range(30))


def _ssdv(image: int, number: int) -> bytes:
    body = b"\x67" + bytes([0, 0, 0, 9, image]) + number.to_bytes(2, "big") + bytes(243)
    return b"\x55" + body + zlib.crc32(body).to_bytes(4, "big")


def weights(folder: Path) -> Door:
    """A weights file."""
    path = folder / "x.safetensors"

    def door(data: bytes) -> None:
        path.write_bytes(data)
        load_networks(path)

    return door


def weights_seeds() -> Iterator[tuple[str, bytes]]:
    import tempfile

    import torch

    from ds2c2.networks.segnet import SegNet, SegNetShape
    from ds2c2.networks.weights import save_weights

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        small = SegNet(SegNetShape(widths=(2, 2, 2), blocks=(1, 1, 1)))
        for storage in ("float16", "int8"):
            path = save_weights(Path(folder) / f"{storage}.safetensors", small, {}, storage)
            yield storage, path.read_bytes()
        path = save_weights(Path(folder) / "part.safetensors", small, {}, part_of="trunk.", rest_from="x@00000000")
        yield "part", path.read_bytes()
        yield "path", path.read_bytes().replace(b'"x@00000000"', b'"../x@0000"')
        whole = (Path(folder) / "float16.safetensors").read_bytes()
        # A shape of 3.6 million million weights; as long as the true one, so that nothing else is wrong.
        yield "wide", whole.replace(b"[2, 2, 2]", b"[9e5,9,9]").replace(b"[1, 1, 1]", b"[9,9,9]  ")
    yield "git-lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 16240768\n"


def pictures(folder: Path) -> Door:
    """Byte 0: a picture, or a map of labels."""
    path = folder / "x.png"

    def door(data: bytes) -> None:
        path.write_bytes(data[1:])
        (read_labels if data[:1] == b"\1" else read_picture)(path)

    return door


def pictures_seeds() -> Iterator[tuple[str, bytes]]:
    import io

    for name, mode, kind in (
        ("png", "RGB", "PNG"),
        ("grey", "L", "PNG"),
        ("palette", "P", "PNG"),
        ("jpeg", "RGB", "JPEG"),
    ):
        file = io.BytesIO()
        Image.fromarray(portrait()[::4, ::4]).convert(mode).save(file, kind)
        yield name, bytes([mode in "LP"]) + file.getvalue()


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


def texts_seeds() -> Iterator[tuple[str, bytes]]:
    for name, stream in {**FORMATS, **CODECS}.items():
        yield name.replace(" ", "-"), stream.text.encode()
    yield (
        "large",
        b"ds2c2/1 4096x4096 bpp=1 block=32 base=0.5 redundancy=0 interleave=block depth=64 seed=1 model=a@00000000",
    )
    yield "wish", b"120,80,64x48=2"
    yield "udp", b"udp://[::1]:5005"


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


def serve_seeds() -> Iterator[tuple[str, bytes]]:
    soft = np.zeros((SMALL.blocks, 8 * SMALL.block_size), np.uint8)
    small = StreamFormat(64, 64, bpp=0.4, block_size=32, base_bpp=0.02, base_redundancy=0.0)
    for name, stream, first in (("frames", SMALL, b"\1"), ("unknown", small, b"\0")):
        out = first
        for number in range(2):
            blocks = soft[: stream.blocks, : 8 * stream.block_size]
            for message in frame_messages(stream, number, blocks, number == 1):
                out += len(message).to_bytes(2, "big") + message
        yield name, out
    header = (0x5FF0).to_bytes(2, "little") + b"\1" + bytes(8) + (1).to_bytes(8, "little")
    deep = header + bytes(8) + b"\7\6" * 3000 + b"\6" + b"\6\6"
    yield "list-of-lists", b"\0" + len(deep).to_bytes(2, "big") + deep


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


def recipes_seeds() -> Iterator[tuple[str, bytes]]:
    folder = Path(__file__).resolve().parents[2] / "gr-ds2c2" / "recipes"
    for name in ("smoke", "segnet-camvid", "camvid"):
        yield name, (folder / f"{name}.toml").read_bytes()
    yield (
        "study",
        b'recipe = "smoke"\nset = ["training.seed=1"]\n[[model]]\nname = "a"\nset = ["channel.pe_train=0.08"]\n',
    )
    yield "deep", b"a = " + b"[" * 4000
    yield "no-section", b"training = 5\ntraining.batch=4"
    yield "large-number", b"[training]\nlearning_rate = 1%s" % (b"0" * 400)
    yield "results", json.dumps({"name": "a", "settings": {}, "curves": [], "best-fixed": {}}).encode()


DOORS: dict[str, Callable[[Path], Door]] = {
    made.__name__: made
    for made in (
        packets, base, vp8, maps, blocks, recordings, sigmf, traces, texts, weights, serve, recipes, pictures,
    )
}  # fmt: skip


def write_seeds(name: str) -> None:
    """A door's seeds into its corpus, made by our own code."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for stem, data in globals()[f"{name}_seeds"]():
        (folder / stem).write_bytes(data)


def inputs(name: str) -> list[Path]:
    """A door's corpus."""
    return sorted((CORPUS / name).iterdir(), key=os.fspath)
