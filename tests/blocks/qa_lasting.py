# SPDX-License-Identifier: GPL-3.0-or-later
"""A block that nobody holds lasts as long as its flowgraph and no longer, and importing blocks changes nothing."""

import gc
import json
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
from gnuradio import blocks, ds2c2, gr

from ds2c2.stream.packets import Packetizer
from ds2c2.stream.streamformat import StreamFormat

DEADLINE = 90  # seconds, far above what any of these scripts takes
STREAM = StreamFormat(96, 64, bpp=0.9, block_size=40, model="binary", interleave="bit")

# Every block in one flowgraph as a temporary, and some work for the collector before it runs.
TEMPORARIES = """
import gc, sys
import numpy as np
from gnuradio import blocks, ds2c2, gr
from ds2c2.stream.streamformat import StreamFormat
stream = StreamFormat.parse(sys.argv[1])
graph = gr.top_block()
graph.connect(
    ds2c2.encoder_source(stream, sys.argv[2]), ds2c2.interleaver(stream), ds2c2.packetizer(stream),
    ds2c2.block_erasure_channel(stream, 0.0), ds2c2.{link}(stream, snr=40), ds2c2.depacketizer(stream, timeout=30.0),
    ds2c2.deinterleaver(stream), ds2c2.decoder_sink(stream, sys.argv[3]),
)
gc.collect()
junk = [bytearray(1000) for _ in range(10000)]
graph.run()
assert ds2c2.errors() == []
"""
RADIO = """
import gc, sys
import numpy as np
from gnuradio import blocks, ds2c2, gr
samples = np.ones(5000, np.complex64)
graph, sink = gr.top_block(), blocks.vector_sink_c()
graph.connect(blocks.vector_source_c(samples.tolist()), ds2c2.radio_sink("sim", "wire"))
graph.connect(ds2c2.radio_source("sim", "wire"), ds2c2.radio_air(), sink)
gc.collect()
graph.run()
assert len(sink.data()) == 5000, len(sink.data())
"""
# All that a library could change in a process that only imports it.
LEFT_ALONE = """
import atexit, json, logging, os, signal, sys, threading, warnings
import PIL.Image, gnuradio, gnuradio.gr, numpy, pmt
def state():
    return {
        "hook": repr(sys.excepthook), "thread hook": repr(threading.excepthook), "leaving": atexit._ncallbacks(),
        "signals": [repr(signal.getsignal(n)) for n in range(1, 32)], "warnings": len(warnings.filters),
        "logging": [logging.root.level, len(logging.root.handlers)], "threads": threading.active_count(),
        "environment": dict(os.environ), "flags": sys.getswitchinterval(), "numpy": repr(numpy.geterr()),
    }
before = state()
from gnuradio import ds2c2
after = state()
print(json.dumps([key for key in before if before[key] != after[key]]))
"""


def outcome(script: str, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("link", ["ofdm_link", "gmsk_link"])
def test_blocks_that_nobody_holds(models, picture_folder, tmp_path, link):
    done = outcome(TEMPORARIES.replace("{link}", link), STREAM.text, picture_folder, tmp_path / "got")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "got").glob("*.png"))) == len(list(picture_folder.iterdir()))


def test_radios_that_nobody_holds():
    done = outcome(RADIO)
    assert done.returncode == 0, done.stderr


def test_a_flowgraph_lets_its_blocks_go():
    """A process that makes many flowgraphs does not grow."""
    rows = np.zeros((STREAM.blocks, STREAM.block_size), np.uint8)
    seen = []
    for _ in range(3):
        graph = gr.top_block()
        source = blocks.vector_source_b(rows.ravel().tolist(), False, STREAM.block_size)
        held = [ds2c2.interleaver(STREAM), ds2c2.packetizer(STREAM), ds2c2.depacketizer(STREAM, timeout=0.1)]
        graph.connect(source, *held, blocks.null_sink(8 * STREAM.block_size))
        graph.run()
        seen += [weakref.ref(block) for block in held]
        del graph, source, held
    gc.collect()
    assert [ref() for ref in seen] == [None] * 9


def test_a_block_that_is_never_connected_goes():
    ref = weakref.ref(ds2c2.packetizer(STREAM))
    gc.collect()
    assert ref() is None


def test_a_stopped_flowgraph_starts_again(capfd):
    """With blocks that nobody holds: they wait with it."""
    packets = Packetizer(STREAM).pack(np.zeros((STREAM.blocks, STREAM.block_size), np.uint8))
    graph, sink = gr.top_block(), blocks.vector_sink_b(STREAM.packet_bytes)
    source = blocks.vector_source_b(packets.ravel().tolist(), False, STREAM.packet_bytes)
    graph.connect(source, ds2c2.block_erasure_channel(STREAM, 0.0), sink)
    for _ in range(2):
        gc.collect()
        graph.run()
        source.rewind()
    assert len(sink.data()) == 2 * packets.size


def test_importing_the_blocks_changes_nothing():
    done = outcome(LEFT_ALONE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
