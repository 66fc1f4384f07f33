# SPDX-License-Identifier: GPL-3.0-or-later
"""Label maps of a SegNet for a run's pictures, made once and kept as files."""

import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ds2c2.codec.segmentation import Segmenter
from ds2c2.files import make_folder, whole
from ds2c2.pictures.pictures import read_picture
from ds2c2.training.datasets import Sample
from ds2c2.training.processes import Processes


def map_path(folder: Path, picture: Path) -> Path:
    """Where a picture's map is kept: by its name and, since names repeat, its whole path."""
    return folder / f"{picture.stem}-{zlib.crc32(str(picture.resolve()).encode()):08x}.png"


def make_label_maps(
    samples: list[Sample],
    segmenter: Callable[[], Segmenter],
    folder: Path,
    processes: Processes,
    done: Callable[[int, int], None] = lambda number, count: None,
) -> list[Sample]:
    """The samples with maps in ``folder``; those that are there already are left as they are.

    Every process makes its share. ``segmenter`` is opened only when maps are missing. Raises
    ``PictureError`` for a picture, and whatever opening the SegNet raises.
    """
    make_folder(folder)
    wanted = [(sample.picture, map_path(folder, sample.picture)) for sample in samples]
    missing = [(picture, path) for picture, path in wanted if not path.exists()][processes.rank :: processes.count]
    network = segmenter() if missing else None
    for number, (picture, path) in enumerate(missing, 1):
        with whole(path) as part:
            Image.fromarray(network.labels(read_picture(picture))).save(part, format="PNG")
        done(number, len(missing))
    processes.wait()
    return [Sample(picture, path) for picture, path in wanted]
