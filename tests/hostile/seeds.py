# SPDX-License-Identifier: GPL-3.0-or-later
"""What fuzzing begins with, made by our own code, and what was found by reading: the inputs in ``corpus/``."""

import io
import json
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from campaign import FORMATS, KEY, STREAM_NUMBER
from doors import CODECS, CORPUS, SMALL, codecs, portrait
from PIL import Image

from ds2c2.codec.codec import Codec
from ds2c2.codec.favour import FAVOUR_COUNTS
from ds2c2.codec.labelcoder import LabelMapError, encode_labels
from ds2c2.codec.mapcoder import encode_map
from ds2c2.codec.smallpicture import encode_lossless, encode_small
from ds2c2.links.iqrecording import IqWriter
from ds2c2.networks.segnet import SegNet, SegNetShape
from ds2c2.networks.weights import save_weights
from ds2c2.serve.frames import frame_messages
from ds2c2.stream.packets import Packetizer
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import LossTrace, write_trace
from ds2c2.transport.recording import RecordingWriter


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


def container_of(codec: Codec) -> bytes:
    return codec.profile.encode(portrait(), b"", None, None).container


def base_seeds() -> Iterator[tuple[str, bytes]]:
    for place, (name, codec) in enumerate(zip(CODECS, _codecs(), strict=True)):
        yield name, bytes([place]) + container_of(codec)


def blocks_seeds() -> Iterator[tuple[str, bytes]]:
    for place, (name, codec) in enumerate(zip(CODECS, _codecs(), strict=True)):
        stream = codec.stream
        share = 0 if stream.layout == "apart" else int(stream.share_bytes[0])
        patches = b""
        for block in range(stream.base_blocks, stream.blocks, 5):
            start = block * stream.block_size + share
            patches += bytes([start >> 8, start & 255, 5, 0, 0, 1, 255, block])
        yield name, bytes([place]) + patches


def vp8_seeds() -> Iterator[tuple[str, bytes]]:
    small = portrait()[::4, ::4]
    yield "lossy", b"\0" + encode_small(small, 60)
    yield "lossless", b"\1" + encode_lossless(small)


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
    if not _made:
        with tempfile.TemporaryDirectory() as folder:
            _made.extend(codecs(Path(folder)))
    return _made


def recordings_seeds() -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.rec"
        sender = Packetizer(SMALL)
        rows = sender.pack(np.zeros((SMALL.blocks, SMALL.block_size), np.uint8))
        with RecordingWriter(path, SMALL) as writer:
            writer.write(rows)
        yield "recording", b"\0" + path.read_bytes()
    yield "packets-alone", b"\1" + rows.tobytes()


def sigmf_seeds() -> Iterator[tuple[str, bytes]]:
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


def traces_seeds() -> Iterator[tuple[str, bytes]]:
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


def weights_seeds() -> Iterator[tuple[str, bytes]]:
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


def pictures_seeds() -> Iterator[tuple[str, bytes]]:
    for name, mode, kind in (
        ("png", "RGB", "PNG"),
        ("grey", "L", "PNG"),
        ("palette", "P", "PNG"),
        ("jpeg", "RGB", "JPEG"),
    ):
        file = io.BytesIO()
        Image.fromarray(portrait()[::4, ::4]).convert(mode).save(file, kind)
        yield name, bytes([mode in "LP"]) + file.getvalue()


def texts_seeds() -> Iterator[tuple[str, bytes]]:
    for name, stream in {**FORMATS, **CODECS}.items():
        yield name.replace(" ", "-"), stream.text.encode()
    yield (
        "large",
        b"ds2c2/1 4096x4096 bpp=1 block=32 base=0.5 redundancy=0 interleave=block depth=64 seed=1 model=a@00000000",
    )
    yield "wish", b"120,80,64x48=2"
    yield "udp", b"udp://[::1]:5005"


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


def write_seeds(name: str) -> None:
    """A door's seeds into its corpus."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for stem, data in globals()[f"{name}_seeds"]():
        (folder / stem).write_bytes(data)
