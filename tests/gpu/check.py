# SPDX-License-Identifier: GPL-3.0-or-later
"""What a card gives beside the processor: the same blocks read alike, and 1080p pictures a second.

    python3 tests/gpu/check.py PICTURE [--device cuda] [--size 768x512 1920x1088] [--pictures 8]
        [--precision float32 float16]

Blocks written on either device must be read by the other: their symbols depend on whole numbers alone, so
pictures may differ by the rounding of the networks' numbers only: float32, and half as many bits on the card. Prints
the largest difference and its PSNR, the speed of encoding and decoding with packets left out, one frame after the
other and several at a time, with captured graphs and without, and where the time goes. What several frames at a time
give is compared to the byte, what graphs give is within the same bounds as the other device's.
Exit code 1 where a reader fails or one of these differs.
"""

import argparse
import cProfile
import os
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
import torch
from PIL import Image

from ds2c2.codec.codec import Codec
from ds2c2.networks import captured
from ds2c2.networks.precision import VARIABLE
from ds2c2.pictures.metrics import psnr
from ds2c2.pictures.pictures import read_picture
from ds2c2.stream.streamformat import StreamFormat

# dB between pictures of two devices: a few samples differ by one level; in 16 bits many do.
LEAST_PSNR = {"float32": 60.0, "float16": 48.0, "bfloat16": 40.0}
AT_ONCE = (1, 2, 3)  # frames


def soft_bits(blocks: np.ndarray) -> np.ndarray:
    """Blocks received whole."""
    return np.where(np.unpackbits(blocks, axis=1) > 0, 127, -127).astype(np.int8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", nargs="+", default=["768x512", "1920x1088"], help="of the last one all is said")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--precision", nargs="+", choices=LEAST_PSNR, default=list(LEAST_PSNR))
    arguments = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in arguments.size]
    image = Image.fromarray(read_picture(arguments.picture))
    fine = True
    for size in sizes:
        picture = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        for precision in arguments.precision:
            fine &= check(picture, arguments.device, precision, arguments.pictures, size == sizes[-1])
    sys.exit(0 if fine else 1)


def check(picture: np.ndarray, device: str, precision: str, pictures: int, profiled: bool) -> bool:
    """Whether the processor in float32 and the device in ``precision`` read each other's blocks."""
    height, width = picture.shape[:2]
    stream = StreamFormat(width=width, height=height, bpp=0.26, model="coded")
    ends = []
    for place, numbers in (("cpu", "float32"), (device, precision)):
        os.environ[VARIABLE] = numbers
        ends.append(Codec(stream, place))
    sent = [codec.encode(picture).blocks for codec in ends]
    fine, name = True, f"{width}x{height} {precision}"
    for sender, blocks in zip(("cpu", device), sent, strict=True):
        one, other = (codec.decode(soft_bits(blocks)).picture for codec in ends)
        if one is None or other is None:
            print(f"{name} sent by {sender}: not read")
            fine = False
            continue
        apart = psnr(one, other)
        print(
            f"{name} sent by {sender}: cpu {psnr(picture, one):.3f} dB, {device} {psnr(picture, other):.3f} dB; "
            f"between them {apart:.1f} dB, at most {int(np.abs(one.astype(int) - other).max())} levels"
        )
        fine &= apart >= LEAST_PSNR[precision]
    codec = ends[1]
    # On the processor there are no graphs: one size shows that this goes through.
    wanted = os.environ.get(captured.VARIABLE) != "off"
    if wanted and (profiled or codec.profile.graphs.on):
        fine &= compare_graphs(codec, picture, LEAST_PSNR[precision], pictures, name)
    fine &= compare_speeds(codec, picture, pictures, name)
    if profiled:
        bits = soft_bits(sent[1])
        for work in (lambda: codec.encode(picture), lambda: codec.decode(bits)):
            profile = cProfile.Profile()
            profile.runcall(work)
            pstats.Stats(profile).sort_stats("tottime").print_stats(10)
    return fine


def compare_graphs(codec: Codec, picture: np.ndarray, least: float, pictures: int, name: str) -> bool:
    """Whether captured graphs and plain calls read each other's blocks, and show nearly the same pictures."""
    os.environ[captured.VARIABLE] = "off"
    plain = Codec(codec.stream, str(codec.device))
    del os.environ[captured.VARIABLE]
    fine = True
    for sender, encoded in (("graphs", codec.encode(picture)), ("plain calls", plain.encode(picture))):
        bits = soft_bits(encoded.blocks)
        one, other = codec.decode(bits).picture, plain.decode(bits).picture
        apart = psnr(one, other) if one is not None and other is not None else 0.0
        print(f"{name} sent by {sender}: {apart:.1f} dB between graphs and plain calls")
        fine &= apart >= least
    graphs = codec.profile.graphs
    print(f"{name}: {len(graphs)} graphs" + ("" if graphs.on else ", none can be captured or one failed"))
    for what, works in (
        ("encode", (lambda: codec.encode(picture), lambda: plain.encode(picture))),
        ("decode", (lambda: codec.decode(bits), lambda: plain.decode(bits))),
    ):
        with_graphs, without = (seconds(work, pictures) for work in works)
        print(f"{name} {what}: {1000 * with_graphs:.1f} ms with graphs, {1000 * without:.1f} ms without")
    return fine and (graphs.on or codec.device.type == "cpu")


def seconds(work: Callable[[], object], count: int) -> float:
    """Of one call, the mean of ``count``; all of them end in the processor's memory."""
    begun = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - begun) / count


def compare_speeds(codec: Codec, picture: np.ndarray, pictures: int, name: str) -> bool:
    """Pictures a second of several at a time; whether each is what one alone is."""
    where = torch.cuda.get_device_name() if codec.device.type == "cuda" else "cpu"
    alike = True
    alone = codec.encode(picture)
    bits = soft_bits(alone.blocks)
    shown = codec.decode(bits).picture
    for at_once in AT_ONCE if pictures > 1 else AT_ONCE[:1]:
        begun = time.perf_counter()
        encoded = list(codec.encode_many([picture] * pictures, at_once))
        between = time.perf_counter()
        decoded = list(codec.decode_many([bits] * pictures, at_once))
        ended = time.perf_counter()
        for what, taken in (("encode", between - begun), ("decode", ended - between)):
            each = taken / pictures
            print(f"{name} {what} on {where}, {at_once} at a time: {1000 * each:.0f} ms, {1 / each:.1f} pictures/s")
        same = all(np.array_equal(one.blocks, alone.blocks) for one in encoded)
        same &= all(np.array_equal(one.picture, shown) for one in decoded)
        if not same:
            print(f"{name}: {at_once} at a time give something else than one alone")
        alike &= same
    return alike


if __name__ == "__main__":
    main()
