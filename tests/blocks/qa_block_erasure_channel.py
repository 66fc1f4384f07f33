# SPDX-License-Identifier: GPL-3.0-or-later
"""Block Erasure Channel against the library's draws."""

import numpy as np
import pytest
from flowgraph import random_frames, through
from gnuradio import ds2c2

from ds2c2.channels.channel import BlockChannel, ChannelError
from ds2c2.stream.packets import Packetizer


def packets_of(stream_format, frames=6):
    packetizer = Packetizer(stream_format)
    return packetizer.pack(random_frames(stream_format, frames)), packetizer.end()


@pytest.mark.parametrize("model", ["iid", "exact", "gilbert-elliott"])
def test_erased_packets_do_not_arrive(stream_format, model):
    """Exactly those packets are missing that the library's channel hits; end packets pass."""
    packets, ends = packets_of(stream_format)
    block = ds2c2.block_erasure_channel(stream_format, 0.3, model, seed=5)
    out, _ = through(np.concatenate([packets, ends]), block)
    hits = BlockChannel(0.3, model, seed=5, frame_blocks=stream_format.blocks).draw(len(packets))
    assert 0 < hits.sum() < len(hits)
    np.testing.assert_array_equal(out, np.concatenate([packets[~hits], ends]))
    assert (block.hit, block.passed) == (hits.sum(), (~hits).sum())


@pytest.mark.parametrize("effect", ["zero", "flip"])
def test_damaged_payloads_keep_their_headers(stream_format, effect):
    """All packets arrive; the payloads of those hit are zero or flipped, no header is."""
    packets, ends = packets_of(stream_format)
    out, _ = through(np.concatenate([packets, ends]), ds2c2.block_erasure_channel(stream_format, 0.3, effect=effect))
    hits = BlockChannel(0.3, frame_blocks=stream_format.blocks).draw(len(packets))
    expected = packets.copy()
    expected[hits, stream_format.header_bytes :] = (
        0 if effect == "zero" else ~expected[hits, stream_format.header_bytes :]
    )
    np.testing.assert_array_equal(out, np.concatenate([expected, ends]))


@pytest.mark.parametrize("effect", ["zero", "flip"])
def test_single_bits_are_hit_where_the_library_draws_them(stream_format, effect):
    """All packets arrive with their headers; those bits of the payloads are hit that the seed draws."""
    packets, ends = packets_of(stream_format)
    block = ds2c2.block_erasure_channel(stream_format, 0.3, effect=effect, seed=5, protect_base=True, unit="bit")
    out, _ = through(np.concatenate([packets, ends]), block)
    channel = BlockChannel(
        0.3, effect=effect, seed=5, frame_blocks=stream_format.blocks, base_blocks=stream_format.base_blocks, unit="bit"
    )
    hits = channel.draw_bits(len(packets), stream_format.block_size)
    expected = packets.copy()
    expected[:, stream_format.header_bytes :] = (
        packets[:, stream_format.header_bytes :] & ~hits
        if effect == "zero"
        else packets[:, stream_format.header_bytes :] ^ hits
    )
    np.testing.assert_array_equal(out, np.concatenate([expected, ends]))
    assert (block.bits_hit, block.hit) == (np.unpackbits(hits).sum(), hits.any(axis=1).sum())


def test_base_blocks_are_protected(stream_format):
    """With everything lost, the base blocks of every frame are what arrives."""
    packets, _ = packets_of(stream_format)
    out, _ = through(packets, ds2c2.block_erasure_channel(stream_format, 1.0, protect_base=True))
    base = np.arange(len(packets)) % stream_format.blocks < stream_format.base_blocks
    np.testing.assert_array_equal(out, packets[base])


def test_trace_is_replayed(stream_format, tmp_path):
    """A recorded trace says which packets are lost, from its start again when it ends."""
    trace = np.random.default_rng(2).random(100) < 0.4
    (tmp_path / "trace.txt").write_text("\n".join("1" if lost else "0" for lost in trace))
    packets, _ = packets_of(stream_format)
    block = ds2c2.block_erasure_channel(stream_format, model="trace", trace=str(tmp_path / "trace.txt"))
    out, _ = through(packets, block)
    np.testing.assert_array_equal(out, packets[~np.resize(trace, len(packets))])


def test_a_model_that_is_fitted_to_a_trace_is_drawn_from(stream_format, tmp_path):
    """The block hits what the library's channel hits, of a trace in another tool's format."""
    trace = np.random.default_rng(2).random(300) < np.repeat([0.1, 0.7, 0.2], 100)
    rows = "\n".join(f"{n},{int(lost)}" for n, lost in enumerate(trace))
    (tmp_path / "trace.csv").write_text(f"seq,lost\n{rows}\n")
    packets, _ = packets_of(stream_format)
    model = "semi-markov"
    block = ds2c2.block_erasure_channel(stream_format, model=model, trace=str(tmp_path / "trace.csv"), seed=5)
    out, _ = through(packets, block)
    hits = BlockChannel(0, model, trace=trace, seed=5).draw(len(packets))
    np.testing.assert_array_equal(out, packets[~hits])
    assert 0 < block.hit < len(packets)


def test_loss_can_change(stream_format):
    """The rate set last counts; one that cannot be is refused and changes nothing."""
    packets, ends = packets_of(stream_format)
    block = ds2c2.block_erasure_channel(stream_format, 0.0)
    block.set_loss(1.0)
    block.set_loss(1.5)
    out, _ = through(np.concatenate([packets, ends]), block)
    np.testing.assert_array_equal(out, ends)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": 1.2}, "loss 1.2"),
        ({"model": "markov"}, "markov"),
        ({"effect": "eat"}, "eat"),
        ({"unit": "bit"}, "choose effect zero or flip"),
        ({"model": "trace"}, "trace"),
        ({"model": "trace", "trace": "/nowhere/trace.txt"}, "/nowhere/trace.txt"),
        ({"model": "gilbert-elliott", "burst": 0.5}, "burst 0.5"),
    ],
)
def test_parameters_that_are_no_channel(stream_format, arguments, message):
    with pytest.raises(ChannelError, match=message):
        ds2c2.block_erasure_channel(stream_format, **arguments)
