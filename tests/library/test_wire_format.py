# SPDX-License-Identifier: GPL-3.0-or-later
"""Version 1 on the wire: the document, the kept recording and the library say the same bytes."""

import binascii
import hashlib
import re
import runpy
import zlib
from pathlib import Path

import numpy as np
import pytest

from ds2c2.codec.baselayer import recover_base, unpack_base
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.packets import END_COPIES
from ds2c2.stream.softbits import to_hard, to_soft
from ds2c2.stream.streamformat import StreamFormat

DATA = Path(__file__).parent / "data"
DOCUMENT = (Path(__file__).parents[2] / "docs" / "wire-format.md").read_text(encoding="utf-8")
MAGIC, TEXT, BODY = (DATA / "recording-v1.bin").read_bytes().split(b"\n", 2)
STREAM_NUMBER = 5
# SHA-256 of each frame's 17 code blocks before the interleaver, and of its base container.
FRAMES = [
    (
        "31601c7ab957dff690991ba13fa32382550cef7da1f42e47bdafe389d9459c0f",
        "fa8b8945125bbd5153d3c2ab1f4d8305ab8c00e241c7e3a332a3e7ddcd0f5865",
    ),
    (
        "580817b58434831c92b7900d831fe8fb1e2482da70a7f3d5cade1b67e74cf435",
        "72b7c27583a11242e4491d2eaac7a04cf8411cf4ee849ccdf90f0d51e57d2e3a",
    ),
]


@pytest.fixture
def stream():
    return StreamFormat.parse(TEXT.decode())


@pytest.fixture
def packets():
    return np.frombuffer(BODY, np.uint8).reshape(-1, 48)


def documented(what: str) -> bytes:
    """The bytes of a row of the worked example's table."""
    return bytes.fromhex(re.search(rf"^\| {re.escape(what)}[^|]*\| `([0-9a-f]+)` \|$", DOCUMENT, re.MULTILINE)[1])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_recording_is_the_one_that_was_kept():
    assert MAGIC == b"ds2c2-packets/1"
    assert sha256((DATA / "recording-v1.bin").read_bytes()) == (
        "8be43dfb9bcb16fab33aa411168a9782c4e2d07652156492636947b1d77b0f90"
    )


def test_the_text_gives_the_numbers_of_the_document(stream):
    assert stream.text == TEXT.decode()
    assert f"    {stream.text}\n" in DOCUMENT
    assert (
        f"digest `{stream.digest:04x}`, N = {stream.blocks}, T = {stream.symbol_bytes}, K = {stream.base_sources}, "
        f"N_b = {stream.base_blocks}, N_e = {stream.enhancement_blocks}."
    ) in DOCUMENT
    assert stream.digest == 0x95AB


@pytest.mark.parametrize("lost", [[], [0], [1, 3, 9, 16], [0, 1]], ids=["nothing", "a source", "some", "all sources"])
def test_a_recording_of_version_1_is_read(stream, packets, lost):
    kept = packets[~np.isin(np.arange(len(packets)) % stream.blocks, lost) | (np.arange(len(packets)) >= 34)]
    assembler = FrameAssembler(stream, STREAM_NUMBER)
    frames = assembler.push(kept) + assembler.flush()
    assert [frame.number for frame in frames] == [0, 1]
    assert assembler.ended
    assert (assembler.counts.end, assembler.counts.missing) == (END_COPIES, 2 * len(lost))
    interleaver = Interleaver(stream)
    for frame, (blocks_digest, container_digest) in zip(frames, FRAMES, strict=True):
        soft = interleaver.deinterleave(to_soft(frame.blocks, frame.arrived)[None])[0]
        blocks, arrived = to_hard(soft)
        if not lost:
            assert sha256(blocks.tobytes()) == blocks_digest
        base = slice(stream.base_blocks)
        received = recover_base(blocks[base], arrived[base], stream)
        assert sha256(received.container) == container_digest
        small = unpack_base(received.container, 8, 12).small
        # libwebp may round another way one day; it may not show another picture.
        assert np.abs(small[0, 0].astype(int) - [[12, 6, 101], [6, 0, 139]][frame.number]).max() <= 3
        assert np.abs(small[7, 11].astype(int) - [[210, 211, 118], [205, 215, 164]][frame.number]).max() <= 3


def test_the_document_shows_the_recording(packets):
    shown = re.findall(r"^\| packet (\d+):.*\| `([0-9a-f]+)` \|$", DOCUMENT, re.MULTILINE)
    assert [int(number) for number, _ in shown] == [0, 1, 2, 4, 17, 34]
    for number, data in shown:
        assert packets[int(number)].tobytes().hex() == data
    assert all(blocks_digest in DOCUMENT for blocks_digest, _ in FRAMES)


def test_todays_sender_writes_the_same_bytes():
    """From the documented container on: c itself may change with libwebp."""
    script = runpy.run_path(str(DATA / "make_recording.py"))
    container = documented("base container of frame 0")
    base = script["protect_base"](container, script["STREAM"])
    interleaver = script["Interleaver"](script["STREAM"])
    blocks = np.concatenate([base, script["blocks_of"](0)[len(base) :]])
    assert sha256(blocks.tobytes()) == FRAMES[0][0]
    assert blocks[len(base)].tobytes() == documented("enhancement of frame 0")
    packetizer = script["Packetizer"](script["STREAM"], STREAM_NUMBER)
    packetizer.sent = 0
    sent = packetizer.pack(interleaver.interleave(blocks[None])[0])
    assert sent.tobytes() == BODY[: sent.size]
    packetizer.sent = 34
    assert packetizer.end().tobytes() == BODY[34 * 48 :]


# What follows reads the bytes with nothing of the library: the document alone must suffice.


def test_a_packet_by_the_document_alone():
    data = documented("packet 1")
    assert data[:6].hex() == "100500000001"
    digest = int.from_bytes(hashlib.sha256(TEXT).digest()[:2], "big")
    assert binascii.crc_hqx(data[:6], 0xFFFF) ^ digest == int.from_bytes(data[6:8], "big")
    block = data[8:]
    assert block[32:36] == bytes(4)
    assert zlib.crc32(bytes([0, 1]) + block[:32]).to_bytes(4, "big") == block[36:]
    assert block[:32] == documented("base container of frame 0")[32:]


def pcg64(seed: int, count: int) -> list[int]:
    """Raw PCG64 output as the document words it."""
    mask32, mask64, mask128 = (1 << 32) - 1, (1 << 64) - 1, (1 << 128) - 1
    h = a = 0

    def hashed(v):
        nonlocal h
        v ^= h
        h = h * a & mask32
        v = v * h & mask32
        return v ^ v >> 16

    def mixed(x, y):
        z = (0xCA01F9DD * x - 0x4973F715 * y) & mask32
        return z ^ z >> 16

    h, a = 0x43B0D7E5, 0x931E8875
    p = [hashed(seed), hashed(0), hashed(0), hashed(0)]
    for i in range(4):
        for j in range(4):
            if i != j:
                p[j] = mixed(p[j], hashed(p[i]))
    h, a = 0x8B51F9DD, 0x58F38DED
    w = [hashed(p[i % 4]) for i in range(8)]
    v = [w[2 * i] + (w[2 * i + 1] << 32) for i in range(4)]
    c = (2 * ((v[2] << 64) + v[3]) + 1) & mask128
    m = 0x2360ED051FC65DA44385DF649FCCF645
    s = c
    s = ((s + (v[0] << 64) + v[1]) * m + c) & mask128
    out = []
    for _ in range(count):
        s = (s * m + c) & mask128
        word, turn = (s >> 64 ^ s) & mask64, s >> 122
        out.append((word >> turn | word << (64 - turn)) & mask64)
    return out


@pytest.mark.parametrize("seed", [0, 1, 7, 2**32 - 1])
def test_the_generator_by_the_document_alone(seed):
    numbers = pcg64(seed, 50)
    assert numbers == [int(number) for number in np.random.PCG64(seed).random_raw(50)]
    if seed in (1, 7):
        assert f"`{numbers[0]:#x}` and `{numbers[1]:#x}`" in DOCUMENT


def test_the_permutation_by_the_document_alone():
    """An enhancement packet of the recording, bit by bit from the documented block's rule."""
    numbers = pcg64(7, 13 * 320)
    order = sorted(range(len(numbers)), key=lambda place: (numbers[place], place))
    first = ", ".join(map(str, order[:7])) + f" and {order[7]}"
    assert f"take bits {first}." in DOCUMENT
    enhancement = bytes(3 * j % 251 for j in range(13 * 40))
    bits = "".join(f"{byte:08b}" for byte in enhancement)
    sent = "".join(bits[place] for place in order[:320])
    assert int(sent, 2).to_bytes(40, "big") == documented("packet 4")[8:]
