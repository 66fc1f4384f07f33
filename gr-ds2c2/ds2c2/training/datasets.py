# SPDX-License-Identifier: GPL-3.0-or-later
"""Data sets with label maps, as their publishers lay them out, and plain folders.

A layout says where pictures and label maps lie and what the files' numbers mean in a label set.
Whatever is not as it should be is named with what would be.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ds2c2.codec.labels import read_labels
from ds2c2.errors import PictureError
from ds2c2.pictures.labelsets import CITYSCAPES_EVALUATED, LabelSet
from ds2c2.pictures.pictures import SUFFIXES, list_pictures

FILE_VALUES = 256  # label maps are 8-bit
IGNORED = 255  # of many tools: not labelled
SPLITS = ("train", "val", "test")


class DataError(PictureError):
    """A data set that is not laid out as it should be, or label maps that do not fit."""


@dataclass(frozen=True)
class Sample:
    """A picture's file and its label map's, None where there is none."""

    picture: Path
    labels: Path | None


@dataclass(frozen=True)
class Layout:
    """A data set on disk.

    ``find(root, split)`` gives the samples, ``looks_like`` says how it must look, ``sets`` are
    the label sets that its files have, ``from_file`` makes the table from a file's values.
    """

    find: Callable[[Path, str], list[Sample]]
    looks_like: str
    sets: tuple[str, ...]
    from_file: Callable[[LabelSet], np.ndarray]


def _straight(labels: LabelSet) -> np.ndarray:
    """The file has the set's own numbers."""
    return np.minimum(np.arange(FILE_VALUES), labels.void).astype(np.uint8)


def _from_cityscapes_ids(labels: LabelSet) -> np.ndarray:
    if labels.name != "cityscapes19":
        return _straight(labels)
    table = np.full(FILE_VALUES, labels.void, np.uint8)
    table[list(CITYSCAPES_EVALUATED)] = np.arange(labels.count)
    return table


def _from_one(labels: LabelSet) -> np.ndarray:
    """ADE20K counts its classes from 1; 0 is what belongs to none."""
    table = np.full(FILE_VALUES, labels.void, np.uint8)
    table[1 : labels.count + 1] = np.arange(labels.count)
    return table


def _files(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(p for p in folder.glob(pattern) if p.suffix.lower() in SUFFIXES and p.is_file())


def _cityscapes(root: Path, split: str) -> list[Sample]:
    end = "_leftImg8bit.png"
    samples = []
    for picture in _files(root / "leftImg8bit" / split, f"*/*{end}"):
        name = picture.name.removesuffix(end) + "_gtFine_labelIds.png"
        samples.append(Sample(picture, root / "gtFine" / split / picture.parent.name / name))
    return samples


def _ade20k(root: Path, split: str) -> list[Sample]:
    folder = {"train": "training", "val": "validation"}.get(split, split)
    maps = root / "annotations" / folder
    return [Sample(p, maps / f"{p.stem}.png") for p in _files(root / "images" / folder)]


def _camvid(root: Path, split: str) -> list[Sample]:
    return [Sample(p, root / f"{split}annot" / f"{p.stem}.png") for p in _files(root / split)]


LAYOUTS = {
    "cityscapes": Layout(
        _cityscapes,
        "leftImg8bit/{split}/CITY/*_leftImg8bit.png and gtFine/{split}/CITY/*_gtFine_labelIds.png, as "
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip unpack",
        ("cityscapes19", "cityscapes35"),
        _from_cityscapes_ids,
    ),
    "ade20k": Layout(
        _ade20k,
        "images/{training,validation}/*.jpg and annotations/{training,validation}/*.png, as "
        "ADEChallengeData2016.zip unpacks",
        ("ade20k",),
        _from_one,
    ),
    "camvid": Layout(
        _camvid,
        "{split}/NAME.png and {split}annot/NAME.png with class numbers 0 to 11, as SegNet's tutorial has it",
        ("camvid",),
        _straight,
    ),
}
FOLDER = "folder"  # pictures anywhere below, label maps in a folder given beside it
LAYOUT_NAMES = (*LAYOUTS, FOLDER)


def check_layout(name: str, label_set: LabelSet) -> None:
    """Raises ``DataError`` for an unknown layout, and for a label set that its files do not have."""
    if name not in LAYOUT_NAMES:
        raise DataError(f"layout {name!r} is unknown; choose one of {', '.join(LAYOUT_NAMES)}")
    if name in LAYOUTS and label_set.name not in ("none", *LAYOUTS[name].sets):
        raise DataError(
            f"layout {name} has label maps of {' or '.join(LAYOUTS[name].sets)}, the networks are for "
            f"{label_set.name}; change networks.label_set, or make the maps with a SegNet (--labels)"
        )


def find_samples(layout: str, roots: list[str], split: str, with_labels: bool) -> list[Sample]:
    """Pictures of a split with their label maps, sorted by path; a plain folder has no splits
    and no maps here (``pair_labels`` finds them).

    Raises ``DataError`` when the data set is not laid out so, naming what is missing.
    """
    if layout == FOLDER:
        paths = list_pictures(roots)
        _refuse_label_maps(paths)
        return [Sample(path, None) for path in paths]
    if len(roots) != 1:
        raise DataError(f"layout {layout} has one root folder; {len(roots)} were given")
    root, kind = Path(roots[0]).expanduser(), LAYOUTS[layout]
    wanted = kind.looks_like.replace("{split}", split)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; layout {layout} wants {wanted} in it")
    samples = kind.find(root, split)
    if not samples:
        raise DataError(f"{root}: no pictures of layout {layout} there; it wants {wanted}")
    if not with_labels:
        return [Sample(sample.picture, None) for sample in samples]
    return _all_there(samples, f"layout {layout} wants {wanted}")


def _refuse_label_maps(paths: list[Path]) -> None:
    """Label maps are PNG like pictures; a data set's root taken for a plain folder would train on them."""
    folders = {path.parent for path in paths}
    for folder in sorted(folders):
        if folder.name.endswith("annot") and folder.with_name(folder.name.removesuffix("annot")) in folders:
            raise DataError(
                f"{folder}: label maps in the layout camvid, not pictures; say layout camvid "
                "(train: --set data.layout=camvid, evaluate: --layout camvid), or give the pictures' folder alone"
            )


def has_split(layout: str, roots: list[str], split: str) -> bool:
    """Whether pictures of this split are there."""
    return layout != FOLDER and any(LAYOUTS[layout].find(Path(root).expanduser(), split) for root in roots)


def pair_labels(samples: list[Sample], folder: Path) -> list[Sample]:
    """Label maps of a folder, each of its picture's name with ``.png``. Raises ``DataError``."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of label maps; it wants a PNG of class numbers for each picture")
    stems = [sample.picture.stem for sample in samples]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise DataError(f"two pictures are called {twice}: one label map cannot serve both; rename one")
    paired = [Sample(sample.picture, folder / f"{sample.picture.stem}.png") for sample in samples]
    return _all_there(paired, "each picture needs one of its own name")


def _all_there(samples: list[Sample], wish: str) -> list[Sample]:
    missing = [sample.labels for sample in samples if not sample.labels.is_file()]
    if missing:
        raise DataError(f"{missing[0]}: {len(missing)} of {len(samples)} label maps are missing; {wish}")
    return samples


def values_table(layout: str, label_set: LabelSet) -> np.ndarray:
    """What a file's values 0 to 255 are in the label set, ``uint8[256]``."""
    return LAYOUTS[layout].from_file(label_set) if layout in LAYOUTS else _straight(label_set)


def read_label_map(path: Path, table: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label map ``uint8[H, W]`` in the label set's numbers; ``size`` (H, W) is its picture's.

    Raises ``DataError`` and ``PictureError``.
    """
    labels = read_labels(path)
    if labels.shape != size:
        raise DataError(
            f"{path}: {labels.shape[1]}x{labels.shape[0]}, its picture is {size[1]}x{size[0]}; "
            "a label map is as large as its picture"
        )
    return table[labels]


def check_samples(samples: list[Sample], table: np.ndarray) -> None:
    """Look at the first sample's label map, whose numbers show whether it is one at all.

    Raises ``DataError`` where the file has hardly anything but void, and what ``read_label_map`` does.
    """
    path = samples[0].labels
    if path is None:
        return
    with Image.open(samples[0].picture) as image:
        size = (image.height, image.width)
    labels = read_label_map(path, table, size)
    if (labels == table[IGNORED]).all():
        raise DataError(f"{path}: no pixel has a class of the label set; are these maps of another data set?")
