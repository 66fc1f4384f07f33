# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets a second through the chain without networks, beside two bare references.

    chain       source, Interleaver (bit), Packetizer, Block Erasure Channel 16 %, Depacketizer,
                Deinterleaver, null sink
    bare numpy  the same number of Python blocks, each copying its input with one numpy line
    stock       the same number of GNU Radio's own copy blocks

The source repeats encoded-like random blocks and tags its frames. Usage:

    python tests/benchmarks/chain_throughput.py [--seconds 5] [--repeat 3]
"""

import argparse
import os
import platform
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "gr-ds2c2"))
sys.path.insert(0, str(CHECKOUT / "tests"))

from checkout import use_checkout  # noqa: E402

use_checkout()

import numpy as np  # noqa: E402
import pmt  # noqa: E402
from gnuradio import blocks, ds2c2, gr  # noqa: E402
from gnuradio.ds2c2._stage import END_TAG, frame_tag  # noqa: E402

from ds2c2.stream.packets import HEADER_BYTES  # noqa: E402
from ds2c2.stream.streamformat import StreamFormat  # noqa: E402

STAGES = 5  # blocks between source and sink
DISTINCT_FRAMES = 16  # random frames that the source repeats
CHUNK = 2048  # items: buffers of the bare reference, as the chain's


class frame_source(gr.sync_block):
    """Random code blocks, whole frames, tagged as the Encoder Source does; ends after ``frames``."""

    def __init__(self, stream_format, frames):
        gr.sync_block.__init__(self, "frame_source", None, [(np.uint8, stream_format.block_size)])
        self.format, self.frames, self.frame = stream_format, frames, 0
        shape = (DISTINCT_FRAMES, stream_format.blocks, stream_format.block_size)
        self.pool = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        self.set_output_multiple(stream_format.blocks)
        self.set_min_output_buffer(0, 2 * CHUNK)

    def work(self, input_items, output_items):
        count = self.format.blocks
        room = min(len(output_items[0]) // count, self.frames - self.frame)
        if room == 0:
            return -1
        start = self.nitems_written(0)
        for place in range(room):
            output_items[0][place * count : (place + 1) * count] = self.pool[self.frame % DISTINCT_FRAMES]
            self.add_item_tag(0, start + place * count, *frame_tag(self.frame, self.format.base_blocks))
            self.frame += 1
        if self.frame == self.frames:
            self.add_item_tag(0, start + room * count - 1, END_TAG, pmt.PMT_T)
        return room * count


class numpy_copy(gr.sync_block):
    """The least a Python block can do."""

    def __init__(self, size):
        gr.sync_block.__init__(self, "numpy_copy", [(np.uint8, size)], [(np.uint8, size)])
        self.set_min_output_buffer(0, CHUNK)

    def work(self, input_items, output_items):
        output_items[0][:] = input_items[0]
        return len(output_items[0])


def run(parts):
    """Seconds that a flowgraph of these blocks takes."""
    graph = gr.top_block()
    graph.connect(*parts)
    begin = time.perf_counter()
    graph.run()
    return time.perf_counter() - begin


def chain(stream_format, frames):
    parts = [
        frame_source(stream_format, frames),
        ds2c2.interleaver(stream_format),
        ds2c2.packetizer(stream_format),
        ds2c2.block_erasure_channel(stream_format, 0.16),
        ds2c2.depacketizer(stream_format, timeout=0.05),
        ds2c2.deinterleaver(stream_format),
        blocks.null_sink(8 * stream_format.block_size),
    ]
    seconds = run(parts)
    if parts[-2].nitems_written(0) != frames * stream_format.blocks:
        raise SystemExit(f"the chain lost frames: {parts[-2].nitems_written(0)} blocks came out")
    return seconds


def bare(stream_format, frames):
    size = stream_format.block_size
    parts = [frame_source(stream_format, frames), *(numpy_copy(size) for _ in range(STAGES)), blocks.null_sink(size)]
    return run(parts)


def stock(stream_format, frames):
    size = stream_format.block_size
    parts = [frame_source(stream_format, frames), *(blocks.copy(size) for _ in range(STAGES)), blocks.null_sink(size)]
    return run(parts)


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=4000, help="frames a run")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, the best counts")
    arguments = parser.parse_args()
    stream_format = StreamFormat(768, 512, bpp=0.26, interleave="bit", model="binary")
    packets = arguments.frames * stream_format.blocks
    print("command:", "python", *sys.argv)
    print(
        f"machine: {processor()}, {len(os.sched_getaffinity(0))} cores, "
        f"GNU Radio {gr.version()}, numpy {np.__version__}, Python {platform.python_version()}"
    )
    print(
        f"format:  {stream_format.text}; {stream_format.blocks} blocks and {HEADER_BYTES} bytes of header each; "
        f"{packets} packets a run"
    )
    figures = {}
    kinds = {"chain": chain, "bare numpy": bare, "stock copy": stock}
    for _ in range(arguments.repeat):
        for name, build in kinds.items():
            rate = packets / build(stream_format, arguments.frames)
            figures.setdefault(name, []).append(rate)
    for name, rates in figures.items():
        print(f"{name:11} {max(rates):12,.0f} packets/s   ({', '.join(f'{rate:,.0f}' for rate in rates)})")
    ratio = max(figures["chain"]) / max(figures["bare numpy"])
    print(f"chain / bare numpy = {ratio:.3f}")


if __name__ == "__main__":
    main()
