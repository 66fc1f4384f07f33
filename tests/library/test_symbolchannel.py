# SPDX-License-Identifier: GPL-3.0-or-later
"""The channel on symbols is the emulated channel on packets, to the symbol; its draws are fair."""

import numpy as np
import pytest
import torch

from ds2c2.channels.channel import BlockChannel
from ds2c2.channels.packetchannel import PacketChannel
from ds2c2.channels.symbolchannel import SymbolChannel
from ds2c2.errors import UserError
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.packets import HEADER_BYTES, Packetizer
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat


@pytest.mark.parametrize("interleave", ["bit", "none"])
@pytest.mark.parametrize("effect", ["zero", "flip", "erase"])
def test_it_is_what_blocks_interleaver_and_emulated_channel_do(effect, interleave):
    """Random symbols through both ways, hit in the same blocks: the paper's channel, exactly."""
    stream = StreamFormat(256, 192, bpp=0.5, interleave=interleave, seed=5, model="x", base_redundancy=1)
    count = stream.enhancement_bits - 300  # the last block is filled up
    rng = np.random.default_rng(1)
    bits = np.zeros(stream.enhancement_bits, np.uint8)
    bits[:count] = rng.integers(0, 2, count)
    frame = np.zeros((stream.blocks, stream.block_size), np.uint8)
    frame[stream.base_blocks :] = np.packbits(bits).reshape(-1, stream.block_size)
    sent = Interleaver(stream).interleave(frame[None])[0]
    blocks = BlockChannel(0.16, "exact", effect, frame_blocks=stream.blocks, base_blocks=stream.base_blocks)
    hits = blocks.draw(stream.blocks)
    assert hits.sum() == round(0.16 * stream.enhancement_blocks) and not hits[: stream.base_blocks].any()
    if effect == "erase":
        soft = to_soft(sent, ~hits)
    else:
        soft = to_soft(blocks.damage(sent, hits), np.ones(stream.blocks, bool))
    received = Interleaver(stream).deinterleave(soft[None])[0][stream.base_blocks :].reshape(-1)[:count]

    channel = SymbolChannel(effect, "block", stream.block_size, interleave == "bit", seed=5)
    assert channel.blocks(count) == stream.enhancement_blocks
    symbols = torch.from_numpy(bits[:count].astype(np.float32)) * 2 - 1
    mask = channel.spread(torch.from_numpy(hits[stream.base_blocks :]), count)
    assert channel.through(symbols, mask).tolist() == received.tolist()


@pytest.mark.parametrize("interleave", ["bit", "none"])
@pytest.mark.parametrize("effect", ["zero", "flip"])
def test_single_bits_do_to_symbols_what_the_emulated_channel_does_to_packets(effect, interleave):
    """The paper's BEC and BSC: packets through the emulated link, symbols through ``SymbolChannel`` with
    the same bits hit."""
    stream = StreamFormat(256, 192, bpp=0.5, interleave=interleave, seed=5, model="x@01234567", base_redundancy=1)
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 256, (1, stream.blocks, stream.block_size), dtype=np.uint8)
    interleaver = Interleaver(stream)
    packets = Packetizer(stream).pack(interleaver.interleave(frame)[0])
    link = PacketChannel(stream, 0.16, effect=effect, seed=3, protect_base=True, unit="bit")
    arrived = link.through(packets)
    assert np.array_equal(arrived[:, :HEADER_BYTES], packets[:, :HEADER_BYTES])
    assert np.array_equal(arrived[: stream.base_blocks], packets[: stream.base_blocks])

    def back(payloads):
        """Payloads to soft bits of the enhancement layer in the encoder's order."""
        soft = to_soft(payloads, np.ones(stream.blocks, bool))
        return interleaver.deinterleave(soft[None])[0][stream.base_blocks :].reshape(-1)

    twin = BlockChannel(0.16, "iid", effect, seed=3, unit="bit",
                        frame_blocks=stream.blocks, base_blocks=stream.base_blocks)  # fmt: skip
    hits = torch.from_numpy(back(twin.draw_bits(stream.blocks, stream.block_size)) > 0)
    assert link.bits_hit == twin.bits_hit == int(hits.sum()) > 0
    sent = torch.from_numpy(back(packets[:, HEADER_BYTES:]))
    received = SymbolChannel(effect, "bit", stream.block_size, interleave == "bit", seed=5).through(sent, hits)
    assert received.tolist() == back(arrived[:, HEADER_BYTES:]).tolist()


def test_effects_on_single_symbols_and_their_gradients():
    symbols = torch.tensor([1.0, -1.0, 1.0, -1.0], requires_grad=True)
    hits = torch.tensor([True, True, False, False])
    wanted = {"zero": ([-1, -1, 1, -1], [0, 0, 1, 1]), "flip": ([-1, 1, 1, -1], [-1, -1, 1, 1]),
              "erase": ([0, 0, 1, -1], [0, 0, 1, 1])}  # fmt: skip
    for effect, (received, gradient) in wanted.items():
        symbols.grad = None
        out = SymbolChannel(effect).through(symbols, hits)
        out.sum().backward()
        assert (out.tolist(), symbols.grad.tolist()) == (received, gradient)


def test_whole_blocks_are_hit_in_the_wanted_share_on_average():
    """6 blocks at 8 %: none or one, so that the mean is 8 %."""
    channel = SymbolChannel(interleave=False)
    generator = torch.Generator().manual_seed(1)
    counts = []
    for _ in range(2000):
        hits = channel.draw(4096, 0.08, generator)
        assert hits.shape == (4096,)
        blocks = [hits[start : start + 800] for start in range(0, 4096, 800)]
        assert all(block.all() or not block.any() for block in blocks)
        counts.append(sum(bool(block.any()) for block in blocks))
    assert set(counts) == {0, 1}
    assert np.mean(counts) / 6 == pytest.approx(0.08, abs=0.01)


def test_single_bits_are_hit_each_by_itself():
    hits = SymbolChannel("flip", "bit").draw(100_000, 0.16, torch.Generator().manual_seed(1))
    assert float(hits.float().mean()) == pytest.approx(0.16, abs=0.005)
    both = (hits[1:] & hits[:-1]).float().mean()
    assert float(both) == pytest.approx(0.16**2, abs=0.003)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("drop",), "effect 'drop' is unknown; choose one of zero, flip, erase"),
     (("zero", "packet"), "unit 'packet' is unknown; choose one of block, bit"),
     (("zero", "block", 0), "block_size 0")],
)  # fmt: skip
def test_parameters_that_are_no_channel(arguments, words):
    with pytest.raises(UserError, match=words):
        SymbolChannel(*arguments)
