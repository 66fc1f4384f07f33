# SPDX-License-Identifier: GPL-3.0-or-later
"""Random crops with their small pictures, the same for the same seed and step."""

import os
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ds2c2.codec.smallpicture import decode_small, encode_small, reduce_picture
from ds2c2.errors import PictureError
from ds2c2.pictures.pictures import read_picture
from ds2c2.stream.geometry import REDUCTION
from ds2c2.training.drawing import Ahead, Kept

# Every so many pictures (in order of their paths) one is held out of training.
HOLD_OUT_EVERY = 40
# An update has 16 to 176 pictures: two of the fewest judge it.
UPDATE_HOLD_OUT_EVERY = 8
# WebP qualities that 0.015 to 0.06 bpp of base layer come to on photographs.
QUALITIES = (40, 95)
# Pictures with a side of so many pixels are also drawn reduced, where a recipe wants that.
LARGE_SIDE = 900


class PictureStore:
    """Pictures of a training run, decoded on first use and kept while memory allows.

    ``copies``: factors below 1 by which large pictures are offered reduced as well.
    """

    def __init__(self, paths: list[Path], copies: tuple[float, ...] = ()):
        self.paths = paths
        self.copies = copies
        self._kept = Kept()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.picture(index)

    def picture(self, index: int, factor: float = 1.0) -> np.ndarray:
        """A picture ``uint8[H, W, 3]``, reduced to ``factor`` of its sides."""

        def read() -> np.ndarray:
            picture = read_picture(self.paths[index])
            if factor == 1.0:
                return picture
            size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
            return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))

        return self._kept.get((index, factor), read, attrgetter("nbytes"))

    def factors(self, index: int, crop: int) -> list[float]:
        """The picture itself (1) and the copies of it that a crop fits into."""
        height, width = self[index].shape[:2]
        if max(height, width) < LARGE_SIDE:
            return [1.0]
        return [1.0, *(f for f in self.copies if round(min(height, width) * f) >= crop)]


def split_hold_out(paths: list[Path], every: int = HOLD_OUT_EVERY) -> tuple[list[Path], list[Path]]:
    """Training pictures and the held-out ones by which a run is judged."""
    held = paths[every // 2 :: every] or paths[-1:]
    return without(paths, held) or paths, held


def without(paths: list[Path], held_out: list[Path]) -> list[Path]:
    """The paths whose files are not among the held-out ones, however either is spelled."""
    held = {os.path.realpath(path) for path in held_out}
    return [path for path in paths if os.path.realpath(path) not in held]


def check_sizes(paths: list[Path], crop: int) -> None:
    """Raise ``PictureError`` for the first picture that is smaller than a crop.

    Only headers are read, so that a run fails before its first step and not at any later one.
    """
    for path in paths:
        try:
            with Image.open(path) as image:
                width, height = image.size
        except (OSError, Image.DecompressionBombError):
            height, width = read_picture(path).shape[:2]  # names the file and what is wrong with it
        if min(height, width) < crop:
            raise PictureError(
                f"{path}: {width}x{height} is smaller than the crop of {crop}; take it out or use a smaller --crop"
            )


def draw_batch(
    store: PictureStore, seed: int, step: int, batch: int, crop: int, qualities: tuple[int, int] = QUALITIES
) -> tuple[torch.Tensor, torch.Tensor]:
    """Crops ``float32[batch, 3, crop, crop]`` and their decoded small pictures
    ``float32[batch, 3, crop/8, crop/8]``, both in [-1, 1].

    Depends on seed and step only, so a resumed run sees what the first would have seen.
    """
    rng = np.random.default_rng([seed, step])
    pictures = np.empty((batch, crop, crop, 3), np.uint8)
    small = np.empty((batch, crop // REDUCTION, crop // REDUCTION, 3), np.uint8)
    for i in range(batch):
        pictures[i] = _one_crop(store, rng, crop)
        quality = int(rng.integers(*qualities, endpoint=True))
        small[i] = decode_small(encode_small(reduce_picture(pictures[i], REDUCTION), quality))
    return _normalise(pictures), _normalise(small)


def _one_crop(store: PictureStore, rng: np.random.Generator, crop: int) -> np.ndarray:
    index = int(rng.integers(len(store)))
    factor = 1.0
    if store.copies:
        factors = store.factors(index, crop)
        factor = factors[int(rng.integers(len(factors)))]
    picture = store.picture(index, factor)
    height, width = picture.shape[:2]
    top, left = int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
    piece = picture[top : top + crop, left : left + crop]
    return piece[:, ::-1] if rng.random() < 0.5 else piece


def _normalise(pictures: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    return pixels.contiguous(memory_format=torch.channels_last)


def batches_ahead(
    store: PictureStore, seed: int, batch: int, crop: int, qualities: tuple[int, int] = QUALITIES
) -> Ahead:
    """The batches of ``draw_batch``, one ahead of its step."""
    return Ahead(lambda step: [partial(draw_batch, store, seed, step, batch, crop, qualities)], itemgetter(0))
