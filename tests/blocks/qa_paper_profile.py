# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile paper in a flowgraph: its pictures through the paper's channel are the library's."""

import numpy as np
import pytest
from flowgraph import run
from gnuradio import ds2c2
from PIL import Image

from ds2c2.channels.channel import BlockChannel
from ds2c2.codec.codec import Codec
from ds2c2.ends.session import PictureFeed, SendingEnd
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(128, 96, bpp=0.84636, base_bpp=0.5, base_redundancy=0.1, interleave="bit", model="paper")
LOSS, SEED = 0.25, 3

pytestmark = pytest.mark.usefixtures("models")


@pytest.fixture
def folders(tmp_path):
    """Two pictures of blocks of colour and their label maps."""
    rng = np.random.default_rng(4)
    for folder in ("pictures", "labels"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        cells = rng.integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(cells.repeat(8, 0).repeat(8, 1)).save(tmp_path / "pictures" / f"{name}.png")
        classes = rng.integers(0, 12, (12, 16), np.uint8)
        Image.fromarray(classes.repeat(8, 0).repeat(8, 1)).save(tmp_path / "labels" / f"{name}.png")
    return str(tmp_path / "pictures"), str(tmp_path / "labels"), tmp_path / "received"


def test_loopback(folders):
    """Hit blocks lose their ones, base blocks are never hit; nobody is told."""
    pictures, labels, received = folders
    graph = ds2c2.loopback(
        STREAM, pictures, str(received), loss=LOSS, model="exact", effect="zero", seed=SEED, protect_base=True,
        device="cpu", labels=labels,
    )  # fmt: skip
    run(graph)
    codec = Codec(STREAM, "cpu")
    sending = SendingEnd(codec, PictureFeed([pictures], 128, 96), labels=labels)
    channel = BlockChannel(LOSS, "exact", "zero", seed=SEED, frame_blocks=STREAM.blocks, base_blocks=STREAM.base_blocks)
    interleaver = Interleaver(STREAM)
    written = sorted(received.glob("frame-*.png"))
    assert len(written) == 2
    for path in written:
        sent = interleaver.interleave(sending.next_frame().blocks[None])[0]
        hits = channel.draw(STREAM.blocks)
        assert hits.sum() == 1
        soft = to_soft(channel.damage(sent, hits), np.ones(STREAM.blocks, bool))
        wanted = codec.decode(interleaver.deinterleave(soft[None])[0]).picture
        assert np.array_equal(np.asarray(Image.open(path)), wanted)
