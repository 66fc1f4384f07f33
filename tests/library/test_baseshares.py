# SPDX-License-Identifier: GPL-3.0-or-later
"""The base layer in shares: any large enough set of blocks gives it back, damage never gives another."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.codec.baseshares import gather_base, share_base
from ds2c2.stream.streamformat import StreamFormat


def blocks_of(stream: StreamFormat, seed: int = 1) -> tuple[bytes, np.ndarray]:
    """A container and the blocks that carry its shares; what stands behind the shares is noise."""
    rng = np.random.default_rng(seed)
    container = rng.bytes(stream.base_capacity)
    blocks = rng.integers(0, 256, (stream.blocks, stream.block_size), dtype=np.uint8)
    for row, share in zip(blocks, share_base(container, stream), strict=True):
        row[: len(share)] = share
    return container, blocks


streams = st.builds(
    StreamFormat,
    width=st.integers(240, 640),
    height=st.integers(240, 640),
    bpp=st.floats(0.3, 1.0),
    block_size=st.integers(48, 200),
    survive=st.floats(0.0, 0.6),
)


@settings(max_examples=60)
@given(streams, st.integers(0, 2**32 - 1))
def test_as_many_blocks_as_are_counted_on_give_it_back(stream, seed):
    container, blocks = blocks_of(stream, seed % 7)
    order = np.random.default_rng(seed).permutation(stream.blocks)
    # Shares differ by one symbol, so what these blocks carry differs by as many at the most.
    spare = -(-stream.enough_blocks // 8) + 2
    arrived = np.zeros(stream.blocks, bool)
    arrived[order[: min(stream.blocks, stream.enough_blocks + spare)]] = True
    received = gather_base(blocks, arrived, stream)
    assert received.container == container
    assert received.damaged == 0
    assert received.arrived == int(stream.share_symbols[1:][arrived].sum() - stream.share_symbols[:-1][arrived].sum())


def test_one_frame_of_a_hundred_goes_at_the_loss_that_is_to_be_survived():
    stream = StreamFormat(768, 512, survive=0.5)
    container, blocks = blocks_of(stream)
    rng = np.random.default_rng(5)
    lost = sum(gather_base(blocks, rng.random(stream.blocks) >= 0.5, stream).container is None for _ in range(1000))
    assert 2 <= lost <= 25
    assert all(
        gather_base(blocks, rng.random(stream.blocks) >= 0.35, stream).container == container for _ in range(200)
    )


def test_a_burst_costs_no_more_than_scattered_losses():
    stream = StreamFormat(768, 512, survive=0.5)
    container, blocks = blocks_of(stream)
    for start in range(0, stream.blocks - 64, 7):
        arrived = np.ones(stream.blocks, bool)
        arrived[start : start + 63] = False
        assert gather_base(blocks, arrived, stream).container == container


def test_changed_shares_never_give_another_container():
    stream = StreamFormat(320, 240, survive=0.5)
    container, blocks = blocks_of(stream)
    rng = np.random.default_rng(3)
    outcomes = []
    for _ in range(40):
        changed = blocks.copy()
        changed[rng.integers(stream.blocks), rng.integers(8)] ^= 1 << rng.integers(8)
        arrived = rng.random(stream.blocks) >= 0.2
        received = gather_base(changed, arrived, stream)
        outcomes.append(received.container)
        assert received.container in (None, container)
    assert None in outcomes  # the CRC is what stopped it


def test_nothing_and_too_little():
    stream = StreamFormat(320, 240, survive=0.5)
    _, blocks = blocks_of(stream)
    assert gather_base(blocks, np.zeros(stream.blocks, bool), stream).container is None
    arrived = np.zeros(stream.blocks, bool)
    arrived[:3] = True
    assert gather_base(blocks, arrived, stream).container is None


@pytest.mark.parametrize("survive", [0.0, 0.5])
def test_the_systematic_symbols_are_the_container(survive):
    stream = StreamFormat(320, 240, survive=survive)
    container, blocks = blocks_of(stream)
    joined = b"".join(share.tobytes() for share in share_base(container, stream))
    assert joined[: len(container)] == container
    assert len(joined) == int(stream.share_bytes.sum())


def test_shares_are_pinned():
    """RaptorQ symbols and how many each block has are on the wire."""
    stream = StreamFormat(768, 512, survive=0.3)
    container = (bytes(range(256)) * 8)[: stream.base_capacity]
    data = b"".join(share.tobytes() for share in share_base(container, stream))
    assert hashlib.sha256(data).hexdigest() == PINNED


PINNED = "68eb42cc02d6953a0ba9bb41fe6c6090289bdefe68b3f8b320b8420be50343d7"
