# SPDX-License-Identifier: GPL-3.0-or-later
"""Random crops with their small pictures, the same for the same seed and step."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from ds2c2.errors import PictureError
from ds2c2.networks.binary import REDUCTION
from ds2c2.pictures import read_picture
from ds2c2.smallpicture import decode_small, encode_small, reduce_picture

# Every so many pictures (in order of their paths) one is held out of training.
HOLD_OUT_EVERY = 40
# WebP qualities that 0.015 to 0.06 bpp of base layer come to on photographs.
QUALITIES = (40, 95)
# Pictures are kept decoded in memory up to this many bytes; the rest is read anew each time.
CACHE_BYTES = 6 << 30


class PictureStore:
    """Pictures of a training run, decoded on first use and kept while memory allows."""

    def __init__(self, paths: list[Path]):
        self.paths = paths
        self._kept: dict[int, np.ndarray] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        if index in self._kept:
            return self._kept[index]
        picture = read_picture(self.paths[index])
        if self._bytes + picture.nbytes <= CACHE_BYTES:
            self._kept[index] = picture
            self._bytes += picture.nbytes
        return picture


def split_hold_out(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Training pictures and the held-out ones by which a run is judged."""
    held = paths[HOLD_OUT_EVERY // 2 :: HOLD_OUT_EVERY] or paths[-1:]
    return [p for p in paths if p not in set(held)] or paths, held


def draw_batch(store: PictureStore, seed: int, step: int, batch: int, crop: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Crops ``float32[batch, 3, crop, crop]`` and their decoded small pictures
    ``float32[batch, 3, crop/8, crop/8]``, both in [-1, 1].

    Depends on seed and step only, so a resumed run sees what the first would have seen.
    """
    rng = np.random.default_rng([seed, step])
    pictures = np.empty((batch, crop, crop, 3), np.uint8)
    small = np.empty((batch, crop // REDUCTION, crop // REDUCTION, 3), np.uint8)
    for i in range(batch):
        pictures[i] = _one_crop(store, rng, crop)
        quality = int(rng.integers(*QUALITIES, endpoint=True))
        small[i] = decode_small(encode_small(reduce_picture(pictures[i], REDUCTION), quality))
    return _normalise(pictures), _normalise(small)


def _one_crop(store: PictureStore, rng: np.random.Generator, crop: int) -> np.ndarray:
    index = int(rng.integers(len(store)))
    picture = store[index]
    height, width = picture.shape[:2]
    if min(height, width) < crop:
        raise PictureError(
            f"{store.paths[index]}: {width}x{height} is smaller than the crop of {crop}; "
            "take it out or use a smaller --crop"
        )
    top, left = int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
    piece = picture[top : top + crop, left : left + crop]
    return piece[:, ::-1] if rng.random() < 0.5 else piece


def _normalise(pictures: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    return pixels.contiguous(memory_format=torch.channels_last)


class BatchAhead:
    """Draws the next batch in a thread while the networks work on this one."""

    def __init__(self, store: PictureStore, seed: int, batch: int, crop: int):
        self._arguments = (store, seed, batch, crop)
        self._pool = ThreadPoolExecutor(1)
        self._pending: dict[int, object] = {}

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        store, seed, batch, crop = self._arguments
        for wanted in (step, step + 1):
            if wanted not in self._pending:
                self._pending[wanted] = self._pool.submit(draw_batch, store, seed, wanted, batch, crop)
        return self._pending.pop(step).result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
