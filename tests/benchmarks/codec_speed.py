# SPDX-License-Identifier: GPL-3.0-or-later
"""Time and memory of the codec, beside CompressAI's bmshj2018-hyperprior where that is installed.

    python tests/benchmarks/codec_speed.py [PICTURE] [--size 768x512] [--bpp 0.26] [--threads 2] [--runs 7]
    python tests/benchmarks/codec_speed.py --memory --size 768x512 --size 1920x1080 --size 3840x2160
    python tests/benchmarks/codec_speed.py --frames 4 --size 768x512 --size 1920x1080 [--at-once 2]

Ours and theirs take turns in one process with as many threads, so that other work on the machine hits both
alike; the fastest of the runs counts. Beside the time on the clock stands that of the processor, all threads
together. Peak memory is that of processes of their own, each of which encodes or decodes one picture; what
Python, torch and the weights take before the first picture is shown beside it. --memory: memory alone.

Quality 3 has 128 and 192 channels. Its published weights are used where they lie
(docs/benchmark.md, "The rivals"), else random ones: networks take the same time with any, its entropy
coder less with random ones, whose strings are short; their lengths are printed.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
import torch
from skimage.data import coffee

from ds2c2.codec.codec import Codec
from ds2c2.evaluation.rivals import compressaicodecs
from ds2c2.pictures.pictures import fit_picture, read_picture, to_tensor
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

RIVAL, QUALITY, CHANNELS = "bmshj2018-hyperprior", 3, (128, 192)
ENCODE, DECODE = "encode", "decode"
KIBIBYTE = 1024


def ours(picture: np.ndarray, bpp: float) -> tuple[dict[str, Callable[[], object]], str]:
    """Encoding and decoding of ours, and what is to be said of them."""
    height, width = picture.shape[:2]
    codec = Codec(StreamFormat(width, height, bpp=bpp, survive=0.5), "cpu")
    blocks = codec.encode(picture).blocks
    soft = to_soft(blocks, np.ones(len(blocks), bool))
    kind = str(codec.profile.precision or torch.float32).removeprefix("torch.")
    note = f"{codec.stream.model}, networks in {kind}, {blocks.size} bytes of code blocks"
    return {ENCODE: lambda: codec.encode(picture), DECODE: lambda: codec.decode(soft)}, note


def theirs(picture: np.ndarray) -> tuple[dict[str, Callable[[], object]], str] | None:
    """The same of CompressAI's; None where it is not installed."""
    try:
        from compressai.zoo.image import model_architectures
    except ImportError:
        return None
    path = compressaicodecs._weights(RIVAL, QUALITY)
    if path is None:
        torch.manual_seed(1)
        network, weights = model_architectures[RIVAL](*CHANNELS).eval(), "random weights"
        network.update()
    else:
        network, weights = compressaicodecs._network(RIVAL, path)[0], f"weights {path.name}"
    pixels = (to_tensor(picture) + 1) / 2

    def compress() -> dict:
        with torch.inference_mode():
            return network.compress(pixels)

    def decompress() -> dict:
        with torch.inference_mode():
            return network.decompress(coded["strings"], coded["shape"])

    coded = compress()
    sizes = " and ".join(str(len(strings[0])) for strings in coded["strings"])
    return {ENCODE: compress, DECODE: decompress}, f"{RIVAL} {QUALITY}, {weights}, {sizes} bytes of strings"


def fastest(works: dict[str, Callable[[], object]], runs: int) -> dict[str, tuple[float, float]]:
    """Milliseconds on the clock and of the processor, each the least of the runs, after one to warm up."""
    best = {name: (float("inf"), float("inf")) for name in works}
    for run in range(runs + 1):
        for name, work in works.items():
            clock, busy = time.perf_counter(), time.process_time()
            work()
            took = 1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - busy)
            if run:
                best[name] = min(best[name][0], took[0]), min(best[name][1], took[1])
    return best


def show_times(picture: np.ndarray, bpp: float, runs: int) -> None:
    ours_, note = ours(picture, bpp)
    print(f"ours:   {note}")
    works = {("ours", what): work for what, work in ours_.items()}
    rival = theirs(picture)
    print(f"theirs: {rival[1] if rival else 'not measured, compressai is not installed'}")
    if rival:
        works |= {("theirs", what): work for what, work in rival[0].items()}
    best = fastest(works, runs)
    for what in (ENCODE, DECODE):
        clock, busy = best["ours", what]
        line = f"{what}: ours {clock:.0f} ms ({busy:.0f} ms of the processor)"
        if rival:
            other, other_busy = best["theirs", what]
            line += (
                f", theirs {other:.0f} ms ({other_busy:.0f} ms), ratio {clock / other:.2f} ({busy / other_busy:.2f})"
            )
        print(line)


def show_together(picture: np.ndarray, bpp: float, frames: int, at_once: int, runs: int) -> None:
    """``frames`` pictures, no two alike, one after the other and ``at_once`` of them together."""
    height, width = picture.shape[:2]
    codec = Codec(StreamFormat(width, height, bpp=bpp, survive=0.5), "cpu")
    pictures = [np.roll(picture, 16 * number, axis=1) for number in range(frames)]
    bits = [to_soft(codec.encode(each).blocks, np.ones(codec.stream.blocks, bool)) for each in pictures]
    for what, many, given in ((ENCODE, codec.encode_many, pictures), (DECODE, codec.decode_many, bits)):
        took: dict[int, list[tuple[float, float]]] = {1: [], at_once: []}
        for _ in range(runs):
            for count, times in took.items():
                clock, busy = time.perf_counter(), time.process_time()
                for _ in many(given, count):
                    pass
                times.append((time.perf_counter() - clock, time.process_time() - busy))
        for count, times in took.items():
            wall, busy = (1e3 * float(np.median(each)) / frames for each in zip(*times, strict=True))
            print(f"{what}, {count} at once: {wall:.0f} ms a picture, {busy:.0f} ms of the processor")
        pairs = list(zip(*took.values(), strict=True))
        ratio, busy_ratio = (float(np.median([one[k] / other[k] for one, other in pairs])) for k in (0, 1))
        print(f"{what}: {ratio:.2f} times as many pictures a second; of the processor {1 / busy_ratio:.2f} of the time")


def peak() -> int:
    """MiB. Not getrusage's ru_maxrss where there is another: that one begins with the starting process's."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return (found[0] if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) // KIBIBYTE


def measure_memory(what: str, picture: np.ndarray, bpp: float, path: str) -> None:
    """One picture in this process; blocks go by ``path``."""
    height, width = picture.shape[:2]
    codec = Codec(StreamFormat(width, height, bpp=bpp, survive=0.5), "cpu")
    before, start = peak(), time.process_time()
    if what == ENCODE:
        np.save(path, codec.encode(picture).blocks)
    else:
        blocks = np.load(path)
        codec.decode(to_soft(blocks, np.ones(len(blocks), bool)))
    seconds, pixels = time.process_time() - start, 1e-6 * height * width
    rest = f"{peak() - before} more than before the picture, {(peak() - before) / pixels:.0f} a megapixel"
    print(f"{width}x{height} {what}: peak {peak()} MiB, {rest}; {seconds:.1f} s of the processor, the first picture")


def show_memory(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.size:
            for what in (ENCODE, DECODE):
                own = [sys.executable, __file__, "--one", what, "--blocks", f"{folder}/blocks.npy", "--size", size]
                own += ["--bpp", str(arguments.bpp), "--threads", str(arguments.threads)]
                subprocess.run(own + ([arguments.picture] if arguments.picture else []), check=True)


def sized(arguments: argparse.Namespace, size: str) -> np.ndarray:
    width, height = map(int, size.split("x"))
    picture = read_picture(arguments.picture) if arguments.picture else coffee()
    return fit_picture(picture, width, height, "scale")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", help="stretched to the size; by default scikit-image's coffee")
    parser.add_argument("--size", action="append", help="may be given several times")
    parser.add_argument("--bpp", type=float, default=0.26)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--frames", type=int, default=0, help="several at once, beside one after the other, alone")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--memory", action="store_true", help="memory alone")
    parser.add_argument("--one", choices=(ENCODE, DECODE), help=argparse.SUPPRESS)
    parser.add_argument("--blocks", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.size = arguments.size or ["768x512"]
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")  # old calls of torch in CompressAI warn at every use
    if arguments.one:
        measure_memory(arguments.one, sized(arguments, arguments.size[0]), arguments.bpp, arguments.blocks)
        return
    print(f"torch {torch.__version__}, numpy {np.__version__}, {arguments.threads} threads, {arguments.bpp:g} bpp")
    if arguments.frames:
        for size in arguments.size:
            print(f"{size}, medians of {arguments.runs} runs in turn, {arguments.frames} frames each")
            pixels = sized(arguments, size)
            show_together(pixels, arguments.bpp, arguments.frames, arguments.at_once, arguments.runs)
        return
    if not arguments.memory:
        for size in arguments.size:
            print(f"{size}, the fastest of {arguments.runs} runs in turn")
            show_times(sized(arguments, size), arguments.bpp, arguments.runs)
    show_memory(arguments)


if __name__ == "__main__":
    main()
