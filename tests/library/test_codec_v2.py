# SPDX-License-Identifier: GPL-3.0-or-later
"""Wire format 2 through the codec: any blocks that are enough give a picture, and fewer give none."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.data import astronaut

from ds2c2.codec.codec import Codec
from ds2c2.errors import FormatError
from ds2c2.pictures.pictures import fit_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

CODED = StreamFormat(128, 96, bpp=0.6, block_size=40, survive=0.5, model="coded")
BINARY = StreamFormat(128, 96, bpp=0.6, block_size=40, survive=0.5, interleave="bit", model="binary")

pytestmark = pytest.mark.usefixtures("models")


def picture_for(stream):
    return fit_picture(astronaut(), stream.width, stream.height, "scale")


def received(codec, blocks, lost):
    arrived = np.ones(len(blocks), bool)
    arrived[lost] = False
    return codec.decode(to_soft(blocks, arrived))


@pytest.mark.parametrize("stream", [CODED, BINARY], ids=["spread", "apart"])
def test_layout_follows_the_interleaving(stream):
    assert stream.layout == {"coded": "spread", "binary": "apart"}[stream.model]
    assert Codec(stream, "cpu").encode(picture_for(stream)).blocks.shape == (stream.blocks, stream.block_size)


def test_a_model_without_room_for_shares_is_refused():
    with pytest.raises(FormatError, match="use layout=apart, which goes with interleave=bit"):
        Codec(replace(CODED, model="binary"), "cpu")


def lossy(stream, kept):
    """Every way to keep so many blocks that a link knows: bursts at either end, and 20 at random."""
    rng = np.random.default_rng(5)
    yield np.arange(stream.blocks - kept)
    yield np.arange(kept, stream.blocks)
    for _ in range(20):
        yield rng.permutation(stream.blocks)[kept:]


def test_any_blocks_that_are_enough_give_a_picture():
    codec = Codec(CODED, "cpu")
    blocks = codec.encode(picture_for(CODED)).blocks
    symbols = np.diff(CODED.share_symbols)
    # Two symbols more than there are sources: RaptorQ fails once in a million such sets (RFC 6330, 5.8).
    enough = [
        lost
        for lost in lossy(CODED, CODED.enough_blocks + 1)
        if np.delete(symbols, lost).sum() >= CODED.base_sources + 2
    ]
    assert len(enough) >= 10
    for lost in enough:
        frame = received(codec, blocks, lost)
        assert not frame.concealed and (frame.base_damaged, frame.enhancement_damaged) == (0, 0)
        assert frame.enhancement_lost == len(lost)


def test_too_few_blocks_give_no_picture_and_no_noise():
    codec = Codec(CODED, "cpu")
    blocks = codec.encode(picture_for(CODED)).blocks
    sources_in = np.searchsorted(CODED.share_symbols, CODED.base_sources)
    for lost in lossy(CODED, sources_in // 2):
        assert received(codec, blocks, lost).concealed


def test_base_blocks_of_their_own_survive_what_they_are_made_for():
    """Layout apart: as many base blocks as make the sources arrive in 99 of 100 frames."""
    codec = Codec(BINARY, "cpu")
    blocks = codec.encode(picture_for(BINARY)).blocks
    rng = np.random.default_rng(7)
    frames = [received(codec, blocks, np.flatnonzero(rng.random(BINARY.blocks) < 0.5)) for _ in range(60)]
    # 60 frames of which each is concealed with probability 0.02 at most: more than 6 once in 10 000 runs.
    assert sum(frame.concealed for frame in frames) <= 6


@pytest.mark.parametrize("place", ["share", "header", "payload"])
def test_damage_that_no_check_saw_is_never_shown_as_a_base_layer(place):
    """A changed block costs itself or, in its share, the frame; the container's own CRC sees to that."""
    codec = Codec(CODED, "cpu")
    blocks = codec.encode(picture_for(CODED)).blocks
    share = int(CODED.share_bytes[0])
    byte = {"share": 0, "header": share, "payload": share + 3}[place]
    changed = blocks.copy()
    changed[0, byte] ^= 0x55
    frame = received(codec, changed, [])
    if place == "share":
        assert frame.concealed and frame.base_damaged == 1
    else:
        assert not frame.concealed
        assert not np.array_equal(frame.picture, received(codec, blocks, []).picture)
