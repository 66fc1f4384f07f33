# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures a second of a flowgraph with both ends, beside the library's.

    flowgraph  Encoder Source, Interleaver, Packetizer, Block Erasure Channel 16 %, Depacketizer, Deinterleaver,
               Decoder Sink
    in turn    Codec.encode and Codec.decode of the same pictures with the same losses, one call after the other
    together   the same with several frames in flight: Codec.decode_many over what Codec.encode_many gives

All three read the same files, in turn in one process, so that other work on the machine hits all alike.

    python tests/benchmarks/ends_throughput.py [--size 768x512] [--pictures 8] [--repeat 5] [--threads 2]
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "gr-ds2c2"))
sys.path.insert(0, str(CHECKOUT / "tests"))

from checkout import use_checkout  # noqa: E402

use_checkout()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from chain_throughput import processor  # noqa: E402
from gnuradio import ds2c2, gr  # noqa: E402
from skimage import data  # noqa: E402

from ds2c2.codec.codec import Codec  # noqa: E402
from ds2c2.ends.session import PictureFeed  # noqa: E402
from ds2c2.pictures.pictures import fit_picture, write_picture  # noqa: E402
from ds2c2.stream.softbits import to_soft  # noqa: E402
from ds2c2.stream.streamformat import StreamFormat  # noqa: E402

LOSS = 0.16
SOURCES = (data.coffee, data.astronaut, data.chelsea, data.rocket)


def write_pictures(folder: Path, count: int, width: int, height: int) -> None:
    """As many pictures, no two alike."""
    for number in range(count):
        picture = np.roll(fit_picture(SOURCES[number % len(SOURCES)](), width, height, "scale"), 16 * number, axis=1)
        write_picture(folder / f"{number:03d}.png", picture)


def flowgraph(stream: StreamFormat, folder: str) -> tuple[float, int]:
    """Seconds on the clock of a run, and pictures that came out."""
    graph, sink = gr.top_block(), ds2c2.decoder_sink(stream)
    graph.connect(
        ds2c2.encoder_source(stream, folder),
        ds2c2.interleaver(stream),
        ds2c2.packetizer(stream),
        ds2c2.block_erasure_channel(stream, LOSS),
        ds2c2.depacketizer(stream, timeout=0.05),
        ds2c2.deinterleaver(stream),
        sink,
    )
    begun = time.perf_counter()
    graph.run()
    return time.perf_counter() - begun, len(sink.results)


def received(stream: StreamFormat, blocks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return to_soft(blocks, rng.random(stream.blocks) >= LOSS)


def in_turn(codec: Codec, folder: str) -> tuple[float, int]:
    stream, rng, count = codec.stream, np.random.default_rng(1), 0
    begun = time.perf_counter()
    for picture in PictureFeed([folder], stream.width, stream.height):
        codec.decode(received(stream, codec.encode(picture).blocks, rng))
        count += 1
    return time.perf_counter() - begun, count


def together(codec: Codec, folder: str) -> tuple[float, int]:
    stream, rng = codec.stream, np.random.default_rng(1)
    begun = time.perf_counter()
    sent = codec.encode_many(PictureFeed([folder], stream.width, stream.height))
    count = sum(1 for _ in codec.decode_many(received(stream, each.blocks, rng) for each in sent))
    return time.perf_counter() - begun, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="768x512")
    parser.add_argument("--pictures", type=int, default=8, help="a run")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    width, height = map(int, arguments.size.split("x"))
    stream = StreamFormat(width, height, bpp=0.26, survive=0.5)
    print("command:", "python", *sys.argv)
    print(
        f"machine: {processor()}, {len(os.sched_getaffinity(0))} cores, GNU Radio {gr.version()}, "
        f"torch {torch.__version__} with {arguments.threads} threads"
    )
    figures: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), arguments.pictures, width, height)
        codec = Codec(stream, "cpu")
        in_turn(codec, folder)  # what is built at the first call is built now
        kinds = {
            "flowgraph": lambda: flowgraph(stream, folder),
            "in turn": lambda: in_turn(codec, folder),
            "together": lambda: together(codec, folder),
        }
        for _ in range(arguments.repeat):
            for name, run in kinds.items():
                busy = time.process_time()
                seconds, pictures = run()
                if pictures != arguments.pictures:
                    raise SystemExit(f"{name}: {pictures} pictures came out of {arguments.pictures}")
                busy = time.process_time() - busy
                figures.setdefault(name, []).append((pictures / seconds, busy / pictures))
    for name, runs in figures.items():
        rates, busy = zip(*runs, strict=True)
        print(
            f"{name:9} {statistics.median(rates):.3f} pictures/s ({', '.join(f'{rate:.3f}' for rate in rates)}), "
            f"{statistics.median(busy):.2f} s of the processor each"
        )
    for name in ("in turn", "together"):
        ratios = [ours / library for (ours, _), (library, _) in zip(figures["flowgraph"], figures[name], strict=True)]
        print(f"flowgraph / {name}: median {statistics.median(ratios):.2f}, least {min(ratios):.2f}")


if __name__ == "__main__":
    main()
