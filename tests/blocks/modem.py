# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets through modems on finite flowgraphs."""

import numpy as np
from flowgraph import run
from gnuradio import blocks, gr

from ds2c2.stream.packets import HEADER_BYTES, Packetizer
from ds2c2.stream.streamformat import StreamFormat


def format_of(packet_bytes: int) -> StreamFormat:
    """A stream format with packets of this size."""
    return StreamFormat(512, 512, bpp=0.6, block_size=packet_bytes - HEADER_BYTES, model="binary", base_redundancy=1)


def packets_of(stream_format: StreamFormat, count: int, seed: int = 1) -> np.ndarray:
    """Packets ``uint8[count, packet_bytes]`` of a stream, random code blocks in them."""
    shape = (count, stream_format.block_size)
    return Packetizer(stream_format).pack(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def through_parts(packets: np.ndarray, *parts, max_items: int = 100_000_000) -> np.ndarray:
    """Packets ``uint8[n, packet]`` through blocks from packets to packets, as they come out."""
    size = packets.shape[1]
    sink = blocks.vector_sink_b(size)
    graph = gr.top_block()
    graph.connect(blocks.vector_source_b(packets.reshape(-1).tolist(), False, size), *parts, sink)
    run(graph, max_items)
    return np.array(sink.data(), np.uint8).reshape(-1, size)


def samples_of(packets: np.ndarray, modulator) -> np.ndarray:
    """What a modulator sends, ``complex64[n]``."""
    size = packets.shape[1]
    sink = blocks.vector_sink_c()
    graph = gr.top_block()
    graph.connect(blocks.vector_source_b(packets.reshape(-1).tolist(), False, size), modulator, sink)
    run(graph)
    return np.array(sink.data(), np.complex64)


def received(samples: np.ndarray, demodulator, packet_bytes: int, max_items: int = 100_000_000) -> np.ndarray:
    """What a demodulator makes of samples, ``uint8[n, packet]``."""
    sink = blocks.vector_sink_b(packet_bytes)
    graph = gr.top_block()
    graph.connect(blocks.vector_source_c(samples.tolist()), demodulator, sink)
    run(graph, max_items)
    return np.array(sink.data(), np.uint8).reshape(-1, packet_bytes)


def noise(count: int, snr: float, seed: int = 1) -> np.ndarray:
    """Complex noise ``complex64[count]`` that much (dB) below power 1."""
    values = np.random.default_rng(seed).standard_normal((count, 2), np.float32)
    return values.view(np.complex64)[:, 0] * np.float32(np.sqrt(0.5) * 10 ** (-snr / 20))
