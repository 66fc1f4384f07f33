# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures with their label maps, brought to the size of a training run, in seeded order."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image

from ds2c2.errors import UserError
from ds2c2.pictures.labelsets import LabelSet
from ds2c2.pictures.pictures import read_picture
from ds2c2.training.datasets import DataError, Sample, read_label_map
from ds2c2.training.drawing import Ahead, Kept

FITS = ("scale", "crop")
READERS = min(8, os.cpu_count() or 1)  # threads; Pillow works without the interpreter's lock
BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Fit:
    """How pictures become a batch: ``scale`` to width x height, or ``crop`` as large a piece from a
    random place; ``flips``: half of them mirrored. Raises ``UserError``."""

    width: int
    height: int
    how: str = "scale"
    flips: bool = True

    def __post_init__(self) -> None:
        if self.how not in FITS:
            raise UserError(f"fit {self.how!r} is unknown; choose one of {', '.join(FITS)}")


class SampleStore:
    """Samples read on first use, brought to size where that is always the same, and kept while
    memory allows. ``table``: ``values_table`` of the layout."""

    def __init__(self, samples: Sequence[Sample], fit: Fit, label_set: LabelSet, table: np.ndarray):
        self.samples, self.fit, self.label_set, self.table = samples, fit, label_set, table
        self._kept = Kept()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture ``uint8[H, W, 3]`` and label map ``uint8[H, W]``, void where there is none.

        Raises ``DataError`` and ``PictureError``.
        """
        return self._kept.get(index, lambda: self._read(index), lambda parts: sum(part.nbytes for part in parts))

    def _read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        sample, fit = self.samples[index], self.fit
        picture = read_picture(sample.picture)
        if sample.labels is None:
            labels = np.full(picture.shape[:2], self.label_set.void, np.uint8)
        else:
            labels = read_label_map(sample.labels, self.table, picture.shape[:2])
        size = (fit.width, fit.height)
        if fit.how == "scale" and picture.shape[:2] != size[::-1]:
            picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
            labels = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
        self._check_size(sample, *picture.shape[:2])
        return picture, labels

    def check(self) -> None:
        """Raise ``DataError`` or ``PictureError`` for what would break a run later: a picture smaller than
        a crop, and a first sample that cannot be read. Of the others only headers are read."""
        if self.fit.how == "crop":
            for sample in self.samples:
                try:
                    with Image.open(sample.picture) as image:
                        width, height = image.size
                except (OSError, Image.DecompressionBombError):
                    height, width = read_picture(sample.picture).shape[:2]  # names the file and what is wrong
                self._check_size(sample, height, width)
        self[0]

    def _check_size(self, sample: Sample, height: int, width: int) -> None:
        if self.fit.how == "crop" and (height < self.fit.height or width < self.fit.width):
            raise DataError(
                f"{sample.picture}: {width}x{height} is smaller than the crop of {self.fit.width}x{self.fit.height}; "
                "take it out, or use data.fit = scale"
            )

    def index_of(self, seed: int, number: int) -> int:
        """Which sample the run's ``number``-th draw is: every epoch a new seeded order."""
        epoch, place = divmod(number, len(self))
        return int(np.random.default_rng([seed, epoch]).permutation(len(self))[place])

    def draw(self, seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``number``-th picture and label map of a run, cropped and flipped; depends on seed and
        number only, so that it is the same after a resumption and in any number of processes."""
        picture, labels = self[self.index_of(seed, number)]
        fit = self.fit
        rng = np.random.default_rng([seed, number, 1])
        top = int(rng.integers(picture.shape[0] - fit.height + 1))
        left = int(rng.integers(picture.shape[1] - fit.width + 1))
        rows, columns = slice(top, top + fit.height), slice(left, left + fit.width)
        picture, labels = picture[rows, columns], labels[rows, columns]
        if fit.flips and rng.random() < 0.5:
            picture, labels = picture[:, ::-1], labels[:, ::-1]
        return picture, labels


def centre(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The middle of a picture or label map."""
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


def to_batch(drawn: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures ``float32[B, 3, H, W]`` in [-1, 1] and label maps ``uint8[B, H, W]``."""
    pictures, labels = (torch.from_numpy(np.stack(parts)) for parts in zip(*drawn, strict=True))
    return (pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0).contiguous(), labels


def samples_ahead(store: SampleStore, seed: int, numbers: Callable[[int], range]) -> Ahead:
    """Batches some steps ahead; ``numbers(step)`` says which draws of the run a step's batch is made of."""
    return Ahead(
        lambda step: [partial(store.draw, seed, number) for number in numbers(step)], to_batch, READERS, BATCHES_AHEAD
    )
