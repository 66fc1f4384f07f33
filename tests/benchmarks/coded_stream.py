# SPDX-License-Identifier: GPL-3.0-or-later
"""What coding the block stream costs beside the networks, both in one run.

    .venv/bin/python tests/benchmarks/coded_stream.py [PICTURE] [--bpp 0.26] [--threads N]

Prints milliseconds of the sender's networks, of everything else in Codec.encode (small picture,
maps, search of the step, quantizing, range coding, erasure code), and their ratio; the same for
the receiver. Medians over the runs.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
import torch
from skimage.data import coffee

from ds2c2.codec.codec import Codec
from ds2c2.pictures.pictures import fit_picture, read_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

RUNS = 7


class Clock:
    """Adds up the time inside the networks' calls."""

    def __init__(self, networks: torch.nn.Module):
        self.seconds = 0.0
        networks.base_picture = self._timed(networks.base_picture)
        networks.encoder.forward = self._timed(networks.encoder.forward)
        networks.decoder.forward = self._timed(networks.decoder.forward)

    def _timed(self, function):
        def call(*arguments):
            start = time.perf_counter()
            result = function(*arguments)
            self.seconds += time.perf_counter() - start
            return result

        return call


def measure(clock: Clock, work) -> tuple[float, float]:
    """Milliseconds in the networks and elsewhere, medians of RUNS after one to warm up."""
    inside, outside = [], []
    for run in range(RUNS + 1):
        clock.seconds = 0.0
        start = time.perf_counter()
        work()
        whole = time.perf_counter() - start
        if run:
            inside.append(1e3 * clock.seconds)
            outside.append(1e3 * (whole - clock.seconds))
    return statistics.median(inside), statistics.median(outside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?")
    parser.add_argument("--bpp", type=float, default=0.26)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    picture = read_picture(arguments.picture) if arguments.picture else fit_picture(coffee(), 768, 512, "scale")
    height, width = picture.shape[:2]
    stream = StreamFormat(width, height, bpp=arguments.bpp, interleave="none", model="coded")
    codec = Codec(stream, "cpu")
    clock = Clock(codec.profile.networks)
    blocks = codec.encode(picture).blocks
    soft = to_soft(blocks, np.ones(len(blocks), bool))
    print(
        f"{width}x{height}, {arguments.bpp:g} bpp, {len(blocks)} blocks, {arguments.threads} threads, medians of {RUNS}"
    )
    for name, work in (("encode", lambda: codec.encode(picture)), ("decode", lambda: codec.decode(soft))):
        networks, stream_coding = measure(clock, work)
        ratio = stream_coding / networks
        print(f"{name}: networks {networks:.0f} ms, all else {stream_coding:.0f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
