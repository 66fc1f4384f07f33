# SPDX-License-Identifier: GPL-3.0-or-later
"""Films for tests, made by PyAV: picture n is grey of level ``LEVEL`` * n."""

from pathlib import Path

import av
import numpy as np

LEVEL = 8


def shot(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """Picture ``number`` of a film before it was coded, ``uint8[height, width, 3]``."""
    return np.full((height, width, 3), LEVEL * number % 256, np.uint8)


def write_film(path: Path, pictures: int = 20, width: int = 96, height: int = 64, rate: int = 10) -> Path:
    """A film by its suffix: MPEG-4 in .mp4, raw in .y4m."""
    raw = path.suffix == ".y4m"
    with av.open(str(path), "w", format="yuv4mpegpipe" if raw else None) as container:
        stream = container.add_stream("rawvideo" if raw else "mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 8_000_000
        for number in range(pictures):
            frame = av.VideoFrame.from_ndarray(shot(number, width, height), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbers(pictures) -> list[int]:
    """Which pictures of a film these are."""
    return [round(picture.mean() / LEVEL) for picture in pictures]
