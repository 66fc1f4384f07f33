# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures that the paper's tables and figures are made of, with their label maps."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ds2c2.codec.labels import names_segmenter
from ds2c2.codec.segmentation import default_segnet, open_segmenter
from ds2c2.errors import PictureError
from ds2c2.networks.weights import choose_device
from ds2c2.paper.archive import PaperModel
from ds2c2.paper.card import MOST_JUDGED
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.pictures.pictures import read_picture
from ds2c2.training.datasets import (
    FOLDER,
    SPLITS,
    DataError,
    Sample,
    check_layout,
    check_samples,
    find_samples,
    has_split,
    pair_labels,
    read_label_map,
    values_table,
)
from ds2c2.training.labelmaps import make_label_maps
from ds2c2.training.processes import Processes
from ds2c2.training.samples import centre

# What is evaluated where nobody says: the publishers of Cityscapes and ADE20K keep the label maps
# of their test parts.
DEFAULT_PARTS = {"camvid": ("test", "val"), "cityscapes": ("val",), "ade20k": ("val",)}
FITS = ("crop", "scale")
NO_LABELS = "none"  # a label set


@dataclass(frozen=True)
class PaperSamples:
    """Pictures of one data set at a size that all the models take.

    Args:
        name: of the data set, for tables
        part: of it, empty where it has none
        layout: whose numbers the label maps' files have
        label_set: of the models; ``none``: the label maps are void everywhere
        samples: files of pictures and label maps
        size: (W, H) to bring them to; None: whole pictures
        fit: ``crop``: their middle; ``scale``: to that size
        cell: both sides are cut to multiples of it, the middle stays
        labelled_by: whose label maps these are, in words; empty: there are none
    """

    name: str
    part: str
    layout: str
    label_set: str
    samples: tuple[Sample, ...]
    size: tuple[int, int] | None
    fit: str
    cell: int
    labelled_by: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture ``uint8[H, W, 3]`` and label map ``uint8[H, W]``.

        Raises ``DataError`` and ``PictureError``.
        """
        sample, labels_of = self.samples[index], label_set_of(self.label_set)
        picture = read_picture(sample.picture)
        if sample.labels is None:
            labels = np.full(picture.shape[:2], labels_of.void, np.uint8)
        else:
            labels = read_label_map(sample.labels, values_table(self.layout, labels_of), picture.shape[:2])
        height, width = picture.shape[:2]
        if self.size and self.fit == "scale":
            picture = np.asarray(Image.fromarray(picture).resize(self.size, Image.Resampling.BICUBIC))
            labels = np.asarray(Image.fromarray(labels).resize(self.size, Image.Resampling.NEAREST))
            width, height = self.size
        elif self.size:
            if width < self.size[0] or height < self.size[1]:
                raise DataError(
                    f"{sample.picture}: {width}x{height} is smaller than --size {self.size[0]}x{self.size[1]}; "
                    "ask for less, or take --fit scale"
                )
            width, height = self.size
        width, height = width - width % self.cell, height - height % self.cell
        return centre(picture, width, height), centre(labels, width, height)

    def sha256(self, index: int) -> str:
        """Of the pixels and labels as they are loaded, hexadecimal."""
        return fingerprint(*self.load(index))

    def names(self) -> list[str]:
        """What the pictures are called: the file's stem, or its path where stems repeat."""
        stems = [sample.picture.stem for sample in self.samples]
        return [s if stems.count(s) == 1 else str(x.picture) for s, x in zip(stems, self.samples, strict=True)]


def fingerprint(picture: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 of a picture's size, its pixels and its label map, hexadecimal."""
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes() + labels.tobytes()).hexdigest()


def evenly(samples: list, most: int) -> list:
    """``most`` of them at most, evenly spread over all."""
    if len(samples) <= most:
        return samples
    return [samples[(2 * place + 1) * len(samples) // (2 * most)] for place in range(most)]


def _named(samples: list[Sample], names: Sequence[str]) -> list[Sample]:
    """The samples whose files are called so, without suffix. Raises ``PictureError``."""
    by_name: dict[str, Sample] = {}
    for sample in samples:
        by_name.setdefault(sample.picture.stem, sample)
    for name in names:
        if name not in by_name:
            known = ", ".join(list(by_name)[:5])
            raise PictureError(f"--picture {name}: none is called so; there are {len(by_name)}, such as {known}")
    return [by_name[name] for name in dict.fromkeys(names)]


def common_label_set(models: list[PaperModel]) -> str:
    """The label set of the models, ``none`` where none has any. Raises ``DataError`` for two."""
    sets = {model.recipe.networks.label_set: model.name for model in models}
    sets.pop(NO_LABELS, None)
    if len(sets) > 1:
        (one, first), (other, second) = list(sets.items())[:2]
        raise DataError(
            f"{first} wants label maps of {one}, {second} of {other}: one data set cannot serve both; "
            "evaluate them apart"
        )
    return next(iter(sets), NO_LABELS)


def open_samples(
    pictures: list[str],
    models: list[PaperModel],
    layout: str = FOLDER,
    part: str = "",
    labels: str = "",
    most: int = MOST_JUDGED,
    only: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    fit: str = FITS[0],
    name: str = "",
    device: str = "auto",
    folder: Path = Path("runs/evaluate"),
    done: Callable[[int, int], None] = lambda number, count: None,
) -> PaperSamples:
    """Pictures with label maps for these models: a data set's part, or plain pictures.

    ``labels`` is a folder of label maps or names a SegNet, whose maps are kept in ``folder``; empty:
    the data set's own, or for plain pictures those of our SegNet. ``only``: the pictures of these
    names, in their order, instead of ``most`` of all. ``done`` is told how many maps of
    how many are made. Raises ``UserError``.
    """
    label_set = common_label_set(models)
    check_layout(layout, label_set_of(label_set))
    own = label_set != NO_LABELS and not labels and layout != FOLDER
    if layout == FOLDER:
        if part:
            raise DataError(f"--part {part}: plain pictures have no parts; name the data set's --layout")
    elif part and part not in SPLITS:
        raise DataError(f"part {part!r} is unknown; choose one of {', '.join(SPLITS)}")
    else:
        parts = (part,) if part else DEFAULT_PARTS.get(layout, ("test", "val"))
        part = next((p for p in parts if layout in DEFAULT_PARTS and has_split(layout, pictures, p)), parts[0])
    samples = find_samples(layout, pictures, part, own)
    samples = _named(samples, only) if only else evenly(samples, most)
    labelled_by = "" if label_set == NO_LABELS else "the data set's own"
    if label_set == NO_LABELS:
        samples = [Sample(sample.picture, None) for sample in samples]
    elif not own:
        labelled_by = text = labels or default_segnet(label_set)
        if names_segmenter(text):
            kept = folder / f"labels-{text.replace('/', '_').replace(':', '-')}"
            kind = label_set_of(label_set)
            place = Processes(device=choose_device(device))
            samples = make_label_maps(samples, lambda: open_segmenter(text, kind, device), kept, place, done)
        else:
            samples = pair_labels(samples, Path(text))
    if not samples:
        raise PictureError("no pictures to evaluate; --pictures 1 is the least")
    written_by = layout if own else FOLDER
    check_samples(samples, values_table(written_by, label_set_of(label_set)))
    samples = [Sample(s.picture.absolute(), s.labels and s.labels.absolute()) for s in samples]
    cell = max(model.recipe.networks.cell for model in models)
    title = name or Path(pictures[0]).expanduser().resolve().stem
    found = PaperSamples(title, part, written_by, label_set, tuple(samples), size, fit, cell, labelled_by)
    if size and (size[0] < cell or size[1] < cell):
        raise DataError(f"--size {size[0]}x{size[1]}: the networks take multiples of {cell}")
    found.load(0)
    return found
