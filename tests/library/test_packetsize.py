# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and streams of packets alone: the size of the packets in them is found, and what does not match is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.errors import FormatError
from ds2c2.stream.packets import Packetizer
from ds2c2.stream.packetsize import LEAST, misfit, packet_size_in
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.recording import RecordingReader, RecordingWriter

PROTECTED = {1: {"base_redundancy": 1.0}, 2: {"survive": 0.5}}


def stream_of(version: int, block_size: int) -> StreamFormat:
    return StreamFormat(512, 512, bpp=0.6, block_size=block_size, **PROTECTED[version])


def packets_of(stream: StreamFormat, count: int = 40, seed: int = 1) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (count, stream.block_size), np.uint8)
    return Packetizer(stream).pack(blocks)


@settings(max_examples=40)
@given(
    version=st.sampled_from([1, 2]),
    block_size=st.sampled_from([32, 48, 100, 333, 1056]),
    start=st.integers(0, 2000),
    lost=st.floats(0, 0.2),
    seed=st.integers(0, 1000),
)
def test_the_size_is_found_from_anywhere(version, block_size, start, lost, seed):
    """Of packets with losses among them, from the middle of one."""
    stream = stream_of(version, block_size)
    packets = packets_of(stream, 60, seed)
    kept = packets[np.random.default_rng(seed).random(len(packets)) >= lost]
    assert packet_size_in(kept.tobytes()[start:]) in (
        {stream.packet_bytes} if lost < 0.1 else {stream.packet_bytes, None}
    )


@settings(max_examples=40)
@given(st.one_of(st.binary(max_size=4000), st.builds(bytes, st.integers(0, 20_000))))
def test_no_size_is_found_where_none_is(data):
    assert packet_size_in(data) is None


def test_few_packets_are_not_enough():
    packets = packets_of(stream_of(2, 48), LEAST)
    assert packet_size_in(packets.tobytes()) is None


def test_a_misfit_in_words():
    stream = stream_of(2, 100)
    assert misfit(packets_of(stream_of(1, 100)).tobytes(), stream) == "packets of 108 bytes came where 110 are wanted"
    assert misfit(packets_of(stream).tobytes()[50:], stream).startswith("packets of 110 bytes came cut in other places")
    assert misfit(bytes(1000), stream) == "what came is no packet of 110 bytes of version 2 of the wire format"


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_packets_alone(tmp_path, version):
    stream = stream_of(version, 100)
    packets = packets_of(stream)
    (tmp_path / "alone").write_bytes(packets.tobytes() + b"torn")
    reader = RecordingReader(tmp_path / "alone", stream)
    np.testing.assert_array_equal(np.concatenate(list(reader)), packets)
    assert reader.torn_bytes == 4 and reader.stream == stream


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "what came is no packet of 110 bytes"),
        (bytes(range(256)) * 40 + b"more", r"\(10244 bytes, no whole number of them\); give the sender's --format"),
        (packets_of(stream_of(2, 48)).tobytes(), r"packets of 58 bytes came where 110 are wanted \(2320 bytes, no"),
        (packets_of(stream_of(2, 100)).tobytes()[7:], "cut in other places than they begin at"),
    ],
)
def test_a_file_that_does_not_match(tmp_path, data, said):
    (tmp_path / "alone").write_bytes(data)
    with pytest.raises(FormatError, match=said):
        RecordingReader(tmp_path / "alone", stream_of(2, 100))
    with pytest.raises(FormatError, match="alone: not a packet recording .* read with --format"):
        RecordingReader(tmp_path / "alone")


def test_a_recording_says_itself_what_it_is_of(tmp_path):
    stream = stream_of(1, 100)
    with RecordingWriter(tmp_path / "recording", stream):
        pass
    assert RecordingReader(tmp_path / "recording", stream).stream == stream
    with pytest.raises(FormatError, match="recorded as ds2c2/1 .*, not as ds2c2/2 .*; leave --format out"):
        RecordingReader(tmp_path / "recording", stream_of(2, 100))
