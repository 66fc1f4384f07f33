# SPDX-License-Identifier: GPL-3.0-or-later
"""Flowgraphs of wire format 2: shares of the base layer in every block, signed packets."""

import numpy as np
import pytest
from flowgraph import ends_of, numbers_of, random_frames, run, through
from gnuradio import ds2c2, gr
from PIL import Image

from ds2c2.channels.channel import BlockChannel
from ds2c2.codec.codec import Codec
from ds2c2.errors import FormatError
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.packetcheck import signed_with
from ds2c2.stream.packetkey import make_key
from ds2c2.stream.packets import END_COPIES, Packetizer
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

FRAMES = 5
LOSS, SEED = 0.4, 11
SPREAD = StreamFormat(192, 128, bpp=0.6, block_size=40, survive=0.5, model="coded")
APART = StreamFormat(192, 128, bpp=0.6, block_size=40, survive=0.5, interleave="bit", model="binary")


@pytest.fixture
def key(tmp_path):
    return str(tmp_path / "key.txt"), make_key(tmp_path / "key.txt")


def parts(stream, file):
    return (
        ds2c2.interleaver(stream),
        ds2c2.packetizer(stream, key=file),
        ds2c2.block_erasure_channel(stream, LOSS, seed=SEED),
        ds2c2.depacketizer(stream, key=file, timeout=0.05),
        ds2c2.deinterleaver(stream),
    )


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("stream", [SPREAD, APART], ids=["spread", "apart"])
def test_signed_pictures_are_the_librarys(stream, key, picture_folder, tmp_path):
    """Encoder to Decoder Sink over a channel that loses 40 %: same seed, same pictures, bit for bit."""
    file, secret = key
    stream = signed_with(stream, secret)
    (tmp_path / "got").mkdir()
    source = ds2c2.encoder_source(stream, str(picture_folder), "cpu")
    sink = ds2c2.decoder_sink(stream, str(tmp_path / "got"), device="cpu")
    graph = gr.top_block()
    graph.connect(source, *parts(stream, file), sink)
    run(graph)
    codec = Codec(stream, "cpu")
    channel = BlockChannel(LOSS, seed=SEED, frame_blocks=stream.blocks)
    interleaver = Interleaver(stream)
    written = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "got").glob("frame-*.png"))]
    pictures = [np.asarray(Image.open(path)) for path in sorted(picture_folder.glob("*.png"))]
    assert len(written) == len(pictures) == FRAMES
    shown = 0
    for got, picture in zip(written, pictures, strict=True):
        blocks = interleaver.interleave(codec.encode(picture).blocks[None])[0]
        soft = to_soft(blocks, ~channel.draw(stream.blocks))
        frame = codec.decode(interleaver.deinterleave(soft[None])[0])
        if not frame.concealed:
            np.testing.assert_array_equal(got, frame.picture)
            shown += 1
    assert shown >= FRAMES - 1


def test_forged_and_replayed_packets_move_nothing(key):
    """Between genuine packets come an older session's, whose key was right, and some of who has another key."""
    file, secret = key
    stream = pinned(signed_with(SPREAD, secret))
    rows, old = random_frames(stream, FRAMES, 1), random_frames(stream, FRAMES, 2)
    packetizer = Packetizer(stream, 0, secret, 2000)
    genuine, ends = packetizer.pack(rows), packetizer.end()
    replayed = Packetizer(stream, 0, secret, 1000).pack(old)
    forged = genuine.copy()
    forged[:, stream.header_bytes - 4] ^= 1  # the check begins here
    mixed = np.stack([genuine, replayed, forged], axis=1).reshape(-1, stream.packet_bytes)
    block = ds2c2.depacketizer(stream, key=file, timeout=0.05)
    out, tags = through(np.concatenate([mixed, ends]), block)
    np.testing.assert_array_equal(out.view(np.int8), to_soft(rows, np.ones(len(rows), bool)))
    assert numbers_of(tags) == [(place * stream.blocks, place) for place in range(FRAMES)]
    assert ends_of(tags) == [len(rows) - 1]
    counts = block.counts
    assert (counts.used, counts.replayed, counts.forged, counts.end) == (
        len(genuine),
        len(replayed),
        len(forged),
        END_COPIES,
    )


def test_a_key_that_is_not_the_formats_is_refused(key):
    file, secret = key
    for stream, given in ((signed_with(SPREAD, secret), ""), (SPREAD, file)):
        with pytest.raises(FormatError, match="signed"):
            ds2c2.packetizer(stream, key=given)
        with pytest.raises(FormatError, match="signed"):
            ds2c2.depacketizer(stream, key=given)
