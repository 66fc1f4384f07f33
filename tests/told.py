# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests tell a reception: frames, pictures and packets of a small stream, and the time."""

import numpy as np

from ds2c2.ends.session import FrameResult
from ds2c2.stream.assembler import LinkCounts
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import Arrivals

STREAM = StreamFormat(160, 128, bpp=0.6, block_size=48)


class Clock:
    """Seconds that only a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def frame(number: int, lost: int = 0, nothing: bool = False, **quality: float) -> FrameResult:
    known = dict.fromkeys(("psnr", "ms_ssim", "base_psnr", "base_ms_ssim")) | quality
    lost = STREAM.blocks if nothing else lost
    return FrameResult(number, nothing, 0, 0, 0, lost, 0, path=None, nothing=nothing, **known)


def picture(level: int) -> np.ndarray:
    return np.full((STREAM.height, STREAM.width, 3), level, np.uint8)


def came(used: int, **more: int) -> tuple[Arrivals, LinkCounts]:
    nothing = np.zeros((0, STREAM.packet_bytes), np.uint8)
    return Arrivals(nothing), LinkCounts(received=used, used=used, **more)
