# SPDX-License-Identifier: GPL-3.0-or-later
"""Which regions of a picture shall come finer: rectangles, classes of a label map, and masks.

A wish is a line of text: ``120,80,64x48=2`` for a rectangle (left, top, size, in pixels of the
stream), ``sign=2`` for a class, ``mask.png=2`` for what is white in a picture. The gain 2 halves the
quantizer's step there; all the other regions pay for it, since a picture is always the same number
of blocks.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ds2c2.codec.favour import LEAST_GAIN, MOST_GAIN
from ds2c2.errors import FormatError, PictureError
from ds2c2.pictures.labelsets import CAMVID_NAMES
from ds2c2.pictures.pictures import SUFFIXES, check_file, fit_picture, read_picture

# The classes that a wish can name: CamVid's, and 11 for what belongs to none.
CLASSES = (*CAMVID_NAMES, "void")
VOID = CLASSES.index("void")
OTHER_NAMES = {"person": "pedestrian"}
FORM = "write X,Y,WxH=GAIN for a rectangle, CLASS=GAIN for a class or MASK.png=GAIN for a picture's white parts"
OURS, SMP = "segnet:", "smp:"  # what names of SegNets begin with (``ds2c2.codec.segmentation``)
WHITE = 128  # grey levels of a mask from which on a pixel is favoured


def names_segmenter(text: str) -> bool:
    """Whether the text names a SegNet, and not a folder of label maps."""
    return text.startswith((OURS, SMP))


@dataclass(frozen=True)
class Wish:
    """A gain for a rectangle (left, top, width, height), for what is white in the picture ``mask`` or, where both are
    None, for a class."""

    gain: float
    rectangle: tuple[int, int, int, int] | None
    label: int
    mask: Path | None = None

    @property
    def of_class(self) -> bool:
        return self.rectangle is None and self.mask is None


def parse_wish(text: str) -> Wish:
    """A wish's text to what it says. Raises ``FormatError``."""
    place, sign, number = text.rpartition("=")
    try:
        gain = float(number)
    except ValueError:
        gain = None
    if not sign or gain is None:
        raise FormatError(f"favour {text!r} is not understood; {FORM}")
    if not LEAST_GAIN <= gain <= MOST_GAIN:
        raise FormatError(f"favour {text!r}: a gain is {LEAST_GAIN:g} to {MOST_GAIN:g}; 2 halves the quantizer's step")
    if "," in place and Path(place).suffix.lower() not in SUFFIXES:
        numbers = re.fullmatch(r"([0-9]+),([0-9]+),([0-9]+)x([0-9]+)", place)
        if not numbers:
            raise FormatError(f"favour {text!r} is not understood; {FORM}")
        return Wish(gain, tuple(map(int, numbers.groups())), -1)
    if Path(place).suffix.lower() in SUFFIXES:
        return Wish(gain, None, -1, Path(place).expanduser())
    name = OTHER_NAMES.get(place.lower(), place.lower())
    if name in CLASSES:
        return Wish(gain, None, CLASSES.index(name))
    if re.fullmatch(r"[0-9]{1,3}", place) and int(place) < len(CLASSES):
        return Wish(gain, None, int(place))
    known = ", ".join(f"{number} {name}" for number, name in enumerate(CLASSES))
    raise FormatError(f"favour {text!r}: class {place!r} is unknown; known are {known}")


class FavourMaps:
    """The gains of every picture of a feed, all label maps read and checked at once.

    Args:
        wishes: texts; where several hold for a pixel, the last one counts. A mask is one picture for all, fitted as
            they are
        labels: folder with a label map for each picture, its stem and ``.png``: 8-bit grey or
            palette, a class's number in every pixel, as large as the picture as it is shown
        paths: the pictures
        width, height, fit: how they are fitted to the stream's size; label maps are likewise

    Raises ``FormatError`` for wishes that cannot be, ``PictureError`` for label maps.
    """

    def __init__(
        self, wishes: Sequence[str], labels: str, paths: Sequence[Path], width: int, height: int, fit: str = "pad"
    ):
        self.wishes = [parse_wish(text) for text in wishes]
        self.folder = Path(labels)
        self.paths, self.width, self.height, self.fit = paths, width, height, fit
        self.by_class = any(wish.of_class for wish in self.wishes)
        self.masks = {wish.mask: self._mask(wish.mask) for wish in self.wishes if wish.mask is not None}
        for text, wish in zip(wishes, self.wishes, strict=True):
            if wish.of_class and not labels:
                raise FormatError(f"favour {text!r} is a class's: name the folder of the label maps too (labels)")
            if wish.rectangle is not None:
                left, top, wide, high = wish.rectangle
                if not (wide and high and left + wide <= width and top + high <= height):
                    raise FormatError(f"favour {text!r}: the rectangle is not within the stream's {width}x{height}")
        if labels and not self.by_class:
            raise FormatError(f"labels {labels}: no class is favoured; add one, such as sign=2")
        for place in range(len(paths) if self.by_class else 0):
            self._labels(place)

    def of(self, place: int) -> np.ndarray | None:
        """Gains ``float32[height, width]`` of the picture at this place, None without wishes."""
        if not self.wishes:
            return None
        gains = np.ones((self.height, self.width), np.float32)
        labels = self._labels(place) if self.by_class else None
        for wish in self.wishes:
            if wish.mask is not None:
                gains[self.masks[wish.mask]] = wish.gain
            elif wish.rectangle is None:
                gains[labels == wish.label] = wish.gain
            else:
                left, top, wide, high = wish.rectangle
                gains[top : top + high, left : left + wide] = wish.gain
        return gains

    def _mask(self, path: Path) -> np.ndarray:
        """``bool[height, width]``, where a picture is white once it is fitted as those that are sent."""
        mask = fit_picture(read_picture(path), self.width, self.height, self.fit).mean(2) >= WHITE
        if not mask.any():
            raise PictureError(f"{path}: nothing in this mask is white; what is white is favoured")
        return mask

    def _labels(self, place: int) -> np.ndarray:
        """Class numbers ``uint8[height, width]``, void where padding is."""
        return fitted_labels(self.folder, self.paths[place], self.width, self.height, self.fit, VOID)


def fitted_labels(folder: Path, picture: Path, width: int, height: int, fit: str, void: int) -> np.ndarray:
    """The label map in ``folder`` of a picture file, its stem and ``.png``, fitted to a stream's size
    as the picture is: ``uint8[height, width]``, ``void`` where padding is. Raises ``PictureError``."""
    path = folder / f"{picture.stem}.png"
    labels = read_labels(path)
    high, wide = read_picture(picture).shape[:2]
    if labels.shape != (high, wide):
        raise PictureError(
            f"{path}: {labels.shape[1]}x{labels.shape[0]}, its picture {picture.name} is {wide}x{high}; "
            "a label map is as large as its picture"
        )
    if not (labels <= void).any():
        raise PictureError(
            f"{path}: no pixel has a class's number, which are 0 to {void}; they have {labels.min()} to {labels.max()}"
        )
    return fit_picture(labels, width, height, fit, Image.Resampling.NEAREST, void)


def read_labels(path: Path) -> np.ndarray:
    """A label map ``uint8[h, w]`` of class numbers. Raises ``PictureError``."""
    if not path.exists():
        raise PictureError(f"{path}: no such label map; each picture needs one of its own name")
    check_file(path)
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P"):
                raise PictureError(
                    f"{path}: not a map of class numbers but {image.mode} colours; save the numbers as 8-bit grey"
                )
            return np.array(image)
    except UnidentifiedImageError:
        raise PictureError(f"{path}: not a picture that Pillow can read; give a PNG of class numbers") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(f"{path}: damaged or unreadable label map ({error}); save it anew") from None
