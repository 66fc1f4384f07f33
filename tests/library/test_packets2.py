# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of version 2: a check over what the model needs whole, and signatures that nobody can forge."""

import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2c2.errors import FormatError, LinkError
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.packetcheck import key_id, signed_with
from ds2c2.stream.packetkey import KEY_BYTES, make_key, read_key
from ds2c2.stream.packets import Packetizer, PacketParser, known_difference
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.packetfates import TraceError
from ds2c2.traces.tracerecorder import TraceRecorder

KEY, OTHER = bytes(range(32)), bytes(32)
SPREAD = StreamFormat(192, 128, bpp=0.6, block_size=64, survive=0.3)
APART = StreamFormat(192, 128, bpp=0.6, block_size=64, survive=0.3, interleave="bit", model="binary")
SIGNED = signed_with(SPREAD, KEY)


def blocks_of(stream: StreamFormat, frames: int = 2, seed: int = 1) -> np.ndarray:
    shape = (frames * stream.blocks, stream.block_size)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def key_of(stream: StreamFormat) -> bytes:
    return KEY if stream.key else b""


def packets_of(stream: StreamFormat, frames: int = 2, session: int = 1_700_000_000, seed: int = 1) -> np.ndarray:
    return Packetizer(stream, 3, key_of(stream), session).pack(blocks_of(stream, frames, seed))


def test_the_layout_of_a_packet_is_pinned():
    packet = packets_of(SPREAD)[SPREAD.blocks + 2]
    assert packet[:6].tolist() == [0x20, 3, 0, 1, 0, 2]
    check = zlib.crc32(packet[:6].tobytes() + packet[10:].tobytes()) ^ SPREAD.digest
    assert packet[6:10].tobytes() == check.to_bytes(4, "big")
    assert len(packet) == SPREAD.packet_bytes == 10 + 64
    signed = packets_of(SIGNED)[0]
    assert signed[6:10].tobytes() == (1_700_000_000).to_bytes(4, "big")
    assert len(signed) == SIGNED.packet_bytes == 14 + 64
    assert SIGNED.text.endswith(f" key={key_id(KEY)}") and StreamFormat.parse(SIGNED.text) == SIGNED


def test_keyed_checks_are_pinned():
    """BLAKE2s of RFC 7693 with 4 bytes."""
    import hashlib

    packet = packets_of(SIGNED)[0]
    covered = packet[:10].tobytes() + packet[14:].tobytes()
    made = int.from_bytes(hashlib.blake2s(covered, digest_size=4, key=KEY).digest(), "big") ^ SIGNED.digest
    assert packet[10:14].tobytes() == made.to_bytes(4, "big")


@pytest.mark.parametrize("stream", [SPREAD, APART, SIGNED], ids=["spread", "apart", "signed"])
def test_what_is_sent_is_received(stream):
    packets = packets_of(stream)
    parsed = PacketParser(stream, 3, key_of(stream)).parse(packets)
    assert np.array_equal(parsed.blocks, blocks_of(stream))
    assert parsed.frames.tolist() == [0] * stream.blocks + [1] * stream.blocks
    assert parsed.indices.tolist() == [*range(stream.blocks)] * 2
    assert (parsed.malformed, parsed.damaged, parsed.forged, parsed.foreign, parsed.other_format) == (0,) * 5


@given(st.integers(0, 8 * SPREAD.packet_bytes - 1))
def test_any_flipped_bit_of_a_block_that_decodes_alone_is_noticed(bit):
    changed = packets_of(SPREAD, 1)
    changed[5, bit // 8] ^= 128 >> bit % 8
    parsed = PacketParser(SPREAD, 3).parse(changed)
    assert len(parsed.frames) == SPREAD.blocks - 1
    assert parsed.damaged + parsed.malformed + parsed.other_format == 1


@given(st.integers(0, 8 * APART.packet_bytes - 1))
def test_a_model_that_bears_flips_gets_them_and_its_header_is_checked(bit):
    changed = packets_of(APART, 1)
    changed[5, bit // 8] ^= 128 >> bit % 8
    parsed = PacketParser(APART, 3).parse(changed)
    in_header = bit < 8 * APART.header_bytes
    assert len(parsed.frames) == APART.blocks - in_header


def test_another_format_is_told_from_damage():
    other = StreamFormat(192, 128, bpp=0.6, block_size=64, survive=0.4)
    parser = PacketParser(other, 3)
    parsed = parser.parse(packets_of(SPREAD))
    assert (parsed.other_format, parsed.damaged, len(parsed.frames)) == (2 * SPREAD.blocks, 0, 0)
    assert set(parser.other_digests(packets_of(SPREAD))) == {SPREAD.digest}
    assert known_difference(other, SPREAD.digest) == ""
    assert known_difference(SPREAD, replace(SPREAD, seed=7).digest) == ", perhaps only in seed: 7 there, 1 here"


def test_without_the_key_nothing_is_taken():
    forger = StreamFormat.parse(SIGNED.text.replace(key_id(KEY), key_id(OTHER)))
    with pytest.raises(FormatError, match=f"signed with key {key_id(KEY)}; give its file with --key"):
        PacketParser(SIGNED, 3)
    with pytest.raises(FormatError, match="give both ends the same"):
        PacketParser(SIGNED, 3, OTHER)
    with pytest.raises(FormatError, match="the stream is not signed") as unsigned:
        PacketParser(SPREAD, 3, KEY)
    words = re.search("add (.*) to the text of the stream format", str(unsigned.value))[1]
    assert StreamFormat.parse(f"{SPREAD.text} {words}") == SIGNED
    with pytest.raises(FormatError, match="of version 1, which never is; leave the key out"):
        PacketParser(StreamFormat(192, 128, base_redundancy=1), 3, KEY)
    with pytest.raises(FormatError, match="not in version 1"):
        signed_with(StreamFormat(192, 128, base_redundancy=1), KEY)
    # Who knows all but the key makes packets that count as forged.
    fake = Packetizer(forger, 3, OTHER, 2_000_000_000).pack(blocks_of(SPREAD))
    parsed = PacketParser(SIGNED, 3, KEY).parse(fake)
    assert parsed.forged == len(fake) and not len(parsed.frames)


def test_forged_packets_change_nothing_of_a_signed_stream():
    rng = np.random.default_rng(2)
    genuine = packets_of(SIGNED, 6)
    fake = rng.integers(0, 256, (5 * len(genuine), SIGNED.packet_bytes), dtype=np.uint8)
    fake[::2, :10] = genuine[rng.integers(len(genuine), size=len(fake[::2])), :10]
    fake[1::4, 0] = 0x21  # ends
    mixed = np.concatenate([fake, genuine])
    order = np.argsort(np.concatenate([rng.random(len(fake)), np.linspace(0, 1, len(genuine))]), kind="stable")
    assembler = FrameAssembler(SIGNED, 3, key=KEY)
    frames = [
        frame for piece in np.array_split(mixed[order], 40) for frame in assembler.push(piece)
    ] + assembler.flush()
    assert [frame.number for frame in frames] == list(range(6))
    assert all(frame.arrived.all() for frame in frames)
    counts = assembler.counts
    assert counts.forged + counts.malformed == len(fake) and counts.used == len(genuine)


def test_a_trace_of_what_another_key_signed_says_so():
    recorder = TraceRecorder(SIGNED, 3, key=KEY)
    other = Packetizer(signed_with(SPREAD, OTHER), 3, OTHER).pack(blocks_of(SPREAD))
    recorder.push(other, None)
    with pytest.raises(TraceError, match=f"but {len(other)} that this key did not sign: .*; check key"):
        recorder.finish()


def test_a_replayed_recording_is_counted_and_a_newer_sender_is_followed():
    old, live, new = (packets_of(SIGNED, 3, session, seed) for seed, session in enumerate((100, 200, 300), 1))
    assembler, recorder = FrameAssembler(SIGNED, 3, key=KEY), TraceRecorder(SIGNED, 3, key=KEY)
    frames = []
    for piece in (live, old, new, live):
        frames += assembler.push(piece)
        recorder.push(piece, None)
    frames += assembler.flush()
    assert assembler.counts.replayed == recorder.counts["replayed"] == len(old) + len(live)
    assert assembler.counts.resyncs == 1 and assembler.counts.used == len(live) + len(new)
    got = np.concatenate([frame.blocks for frame in frames])
    assert np.array_equal(got, np.concatenate([blocks_of(SIGNED, 3, 2), blocks_of(SIGNED, 3, 3)]))
    trace = recorder.finish()
    assert (trace.counts()["ok"], len(trace.resumes)) == (len(live) + len(new), 1)


@pytest.mark.parametrize("silent", [False, True])
def test_packets_of_the_same_session_played_again_move_nothing(silent):
    """As many as would move a stream that is not signed, under way and in pauses of the sender."""
    count = 400 // SIGNED.blocks + 8
    live = packets_of(SIGNED, count)
    assembler, recorder = FrameAssembler(SIGNED, 3, key=KEY), TraceRecorder(SIGNED, 3, key=KEY)
    frames = []
    for start in range(0, len(live), 100):
        for rows in (live[start : start + 100], live[:64], live[: start + 100][-64:]):
            frames += assembler.push(rows)
            recorder.push(rows, None)
        if silent:
            frames += assembler.flush(pause=True)
            recorder.settle()
    frames += assembler.flush()
    trace, counts = recorder.finish(), assembler.counts
    assert [frame.number for frame in frames] == list(range(count))
    assert (counts.resyncs, len(trace.resumes), trace.counts()["ok"]) == (0, 0, len(live))
    assert counts.received == counts.used + counts.duplicate + counts.late + counts.out_of_range
    if not silent:
        assert counts.used == len(live)


def test_an_end_of_the_old_sender_does_not_end_the_new_one():
    old = Packetizer(SIGNED, 3, KEY, 100)
    old.pack(blocks_of(SIGNED, 1))
    assembler = FrameAssembler(SIGNED, 3, key=KEY)
    assembler.push(packets_of(SIGNED, 2, 200))
    assembler.push(old.end())
    assert assembler.total_frames is None and assembler.counts.replayed == len(old.end())


def test_key_files(tmp_path):
    path = tmp_path / "link.key"
    key = make_key(path)
    assert len(key) == KEY_BYTES and read_key(path) == key and path.stat().st_mode & 0o777 == 0o600
    assert read_key("") == b""
    with pytest.raises(LinkError, match="is there already"):
        make_key(path)
    path.chmod(0o640)
    with pytest.raises(LinkError, match="others can read it; `chmod 600"):
        read_key(path)
    (tmp_path / "short").write_text("00ff\n")
    (tmp_path / "short").chmod(0o600)
    for name, words in (("short", "not a key file"), ("nowhere", "cannot be read")):
        with pytest.raises(LinkError, match=words):
            read_key(tmp_path / name)
    with pytest.raises(LinkError, match="no place for a key"):
        make_key(tmp_path / "no" / "where")
