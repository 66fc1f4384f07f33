# SPDX-License-Identifier: GPL-3.0-or-later
"""Films for tests, made by PyAV: flat ones, picture n of which is grey of level ``LEVEL`` * n, and one that moves."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

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


def write_pan(path: Path, picture: np.ndarray, seconds: float, width: int, height: int, rate: int) -> Path:
    """A film as of a camera that moves slowly over ``uint8[H, W, 3]``, which is enlarged for it: MPEG-4, .mp4."""
    room = 1.25  # of the picture's sides, to move in
    enlarged = max(room * width / picture.shape[1], room * height / picture.shape[0])
    size = tuple(round(enlarged * side) for side in picture.shape[1::-1])
    large = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    ways = (large.shape[0] - height, large.shape[1] - width)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 8_000_000
        pictures = round(seconds * rate)
        for number in range(pictures):
            y, x = (int(way * (1 - np.cos(2 * np.pi * number / pictures)) / 2) for way in ways)
            shown = np.ascontiguousarray(large[y : y + height, x : x + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())
    return path


def numbers(pictures) -> list[int]:
    """Which pictures of a film these are."""
    return [round(picture.mean() / LEVEL) for picture in pictures]
