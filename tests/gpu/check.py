# SPDX-License-Identifier: GPL-3.0-or-later
"""What a card gives beside the processor: the same blocks read alike, and 1080p pictures a second.

    python3 tests/gpu/check.py PICTURE [--device cuda] [--size 1920x1088] [--pictures 8] [--precision float32 float16]

Blocks written on either device must be read by the other: their symbols depend on whole numbers alone, so
pictures may differ by the rounding of the networks' numbers only: float32, and half as many bits on the card. Prints
the largest difference and its PSNR, the speed of encoding and decoding with packets left out, and where the time goes.
Exit code 1 where a reader fails.
"""

import argparse
import cProfile
import os
import pstats
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
import torch
from PIL import Image

from ds2c2.codec.codec import Codec
from ds2c2.networks.precision import VARIABLE
from ds2c2.pictures.metrics import psnr
from ds2c2.pictures.pictures import read_picture
from ds2c2.stream.streamformat import StreamFormat

# dB between pictures of two devices: a few samples differ by one level; in 16 bits many do.
LEAST_PSNR = {"float32": 60.0, "float16": 48.0, "bfloat16": 40.0}


def soft_bits(blocks: np.ndarray) -> np.ndarray:
    """Blocks received whole."""
    return np.where(np.unpackbits(blocks, axis=1) > 0, 127, -127).astype(np.int8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="1920x1088")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--precision", nargs="+", choices=LEAST_PSNR, default=list(LEAST_PSNR))
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    image = Image.fromarray(read_picture(arguments.picture))
    fine = True
    for size in ((768, 512), (width, height)):
        picture = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        for precision in arguments.precision:
            fine &= check(picture, arguments.device, precision, arguments.pictures, size == (width, height))
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
    codec, bits = ends[1], soft_bits(sent[1])
    where = torch.cuda.get_device_name() if codec.device.type == "cuda" else "cpu"
    for what, work in (("encode", lambda: codec.encode(picture)), ("decode", lambda: codec.decode(bits))):
        work()
        begun = time.perf_counter()
        for _ in range(pictures):
            work()
        taken = (time.perf_counter() - begun) / pictures
        print(f"{name} {what} on {where}: {1000 * taken:.0f} ms, {1 / taken:.1f} pictures/s")
        if profiled:
            profile = cProfile.Profile()
            profile.runcall(work)
            pstats.Stats(profile).sort_stats("tottime").print_stats(10)
    return fine


if __name__ == "__main__":
    main()
