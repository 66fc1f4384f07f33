# SPDX-License-Identifier: GPL-3.0-or-later
"""What a card gives beside the processor: the same blocks read alike, and 1080p pictures a second.

    python3 tests/gpu/check.py PICTURE [--device cuda] [--size 1920x1088] [--pictures 8]

Blocks written on either device must be read by the other: their symbols depend on whole numbers alone, so
pictures may differ by the rounding of float32 only. Prints the largest difference and its PSNR, the speed
of encoding and decoding with packets left out, and where the time goes. Exit code 1 where a reader fails.
"""

import argparse
import cProfile
import pstats
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
import torch
from PIL import Image

from ds2c2.codec.codec import Codec
from ds2c2.pictures.metrics import psnr
from ds2c2.pictures.pictures import read_picture
from ds2c2.stream.streamformat import StreamFormat

LEAST_PSNR = 60.0  # dB between pictures of two devices: a few samples differ by one level


def soft_bits(blocks: np.ndarray) -> np.ndarray:
    """Blocks received whole."""
    return np.where(np.unpackbits(blocks, axis=1) > 0, 127, -127).astype(np.int8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="1920x1088")
    parser.add_argument("--pictures", type=int, default=8)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    image = Image.fromarray(read_picture(arguments.picture))
    fine = True
    for size in ((768, 512), (width, height)):
        picture = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        stream = StreamFormat(width=size[0], height=size[1], bpp=0.26, model="coded")
        ends = {device: Codec(stream, device) for device in ("cpu", arguments.device)}
        sent = {device: codec.encode(picture) for device, codec in ends.items()}
        shown = {
            (a, b): ends[b].decode(soft_bits(sent[a].blocks)).picture for a in sent for b in ends
        }  # fmt: skip
        for sender in sent:
            one, other = shown[sender, "cpu"], shown[sender, arguments.device]
            if one is None or other is None:
                print(f"{size[0]}x{size[1]} sent by {sender}: not read")
                fine = False
                continue
            apart = psnr(one, other)
            print(
                f"{size[0]}x{size[1]} sent by {sender}: cpu {psnr(picture, one):.3f} dB, {arguments.device} "
                f"{psnr(picture, other):.3f} dB; between them {apart:.1f} dB, at most "
                f"{int(np.abs(one.astype(int) - other).max())} levels"
            )
            fine &= apart >= LEAST_PSNR
        codec, bits = ends[arguments.device], soft_bits(sent[arguments.device].blocks)
        for name, work in (("encode", lambda: codec.encode(picture)), ("decode", lambda: codec.decode(bits))):  # noqa: B023
            work()
            profile = cProfile.Profile()
            begun = time.perf_counter()
            for _ in range(arguments.pictures):
                work()
            taken = (time.perf_counter() - begun) / arguments.pictures
            profile.runcall(work)
            where = torch.cuda.get_device_name() if codec.device.type == "cuda" else "cpu"
            print(f"{size[0]}x{size[1]} {name} on {where}: {1000 * taken:.0f} ms, {1 / taken:.1f} pictures/s")
            if size == (width, height):
                pstats.Stats(profile).sort_stats("tottime").print_stats(10)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
