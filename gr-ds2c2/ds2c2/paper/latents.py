# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary latents as pictures and in figures: how many ones, how alike neighbours are."""

import math

import numpy as np

from ds2c2.pictures.labelsets import LabelSet

BETWEEN = (120, 150, 200)  # colour between the channels of a tiled picture
BETWEEN_PIXELS = 2
RESIDUAL_GAIN = 2  # levels of grey for a level of a residual
GREY = 128
# Of the classes that Cityscapes evaluates (cityscapesScripts, labels.py).
COLOURS = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70), "wall": (102, 102, 156),
    "fence": (190, 153, 153), "pole": (153, 153, 153), "traffic light": (250, 170, 30), "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35), "terrain": (152, 251, 152), "sky": (70, 130, 180), "person": (220, 20, 60),
    "rider": (255, 0, 0), "car": (0, 0, 142), "truck": (0, 0, 70), "bus": (0, 60, 100), "train": (0, 80, 100),
    "motorcycle": (0, 0, 230), "bicycle": (119, 11, 32),
}  # fmt: skip
# CamVid's names for them.
SYNONYMS = {
    "pavement": "sidewalk", "tree": "vegetation", "sign": "traffic sign", "pedestrian": "person", "cyclist": "rider",
}  # fmt: skip


def tile(ones: np.ndarray, width: int) -> np.ndarray:
    """All channels ``bool[C, h, w]`` beside and below each other, row by row: white where true, black
    elsewhere, each symbol a square of whole pixels, about ``width`` pixels in all. ``uint8[H, W, 3]``."""
    count, height, across = ones.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    side = max(1, width // (columns * across))
    step = (height * side + BETWEEN_PIXELS, across * side + BETWEEN_PIXELS)
    sheet = np.full((rows * step[0] - BETWEEN_PIXELS, columns * step[1] - BETWEEN_PIXELS, 3), BETWEEN, np.uint8)
    for channel, plane in enumerate(ones):
        top, left = channel // columns * step[0], channel % columns * step[1]
        large = plane.repeat(side, 0).repeat(side, 1)
        sheet[top : top + large.shape[0], left : left + large.shape[1]] = large[..., None] * np.uint8(255)
    return sheet


def neighbour_correlation(ones: np.ndarray) -> float:
    """Correlation of symbols that lie side by side or one above the other in a channel of
    ``bool[C, h, w]``, about each channel's own mean; not a number where every channel is constant."""
    planes = ones.astype(np.float64)
    planes -= planes.mean(axis=(1, 2), keepdims=True)
    variance = (planes**2).mean()
    products = [(planes[:, 1:] * planes[:, :-1]).ravel(), (planes[:, :, 1:] * planes[:, :, :-1]).ravel()]
    return float(np.concatenate(products).mean() / variance) if variance else math.nan


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Of two arrays of ``bool`` of one shape; not a number where one is constant."""
    pair = [values.ravel().astype(np.float64) - values.mean() for values in (first, second)]
    size = math.sqrt(float((pair[0] ** 2).sum() * (pair[1] ** 2).sum()))
    return float(pair[0] @ pair[1] / size) if size else math.nan


def describe(ones: np.ndarray) -> str:
    """Share of ones and neighbour correlation, in words."""
    return f"ones {ones.mean():.1%}, neighbours' correlation {neighbour_correlation(ones):+.3f}"


def residual_picture(residual: np.ndarray) -> np.ndarray:
    """``float[H, W, 3]`` in units of 8-bit levels to ``uint8``: grey 128 is 0, ``RESIDUAL_GAIN`` levels
    for each."""
    return np.clip(np.rint(GREY + RESIDUAL_GAIN * residual), 0, 255).astype(np.uint8)


def palette(label_set: LabelSet) -> np.ndarray:
    """Colours ``uint8[K + 1, 3]`` of a set's classes and, last, of void, which is black: Cityscapes' for
    classes it knows, else those of PASCAL VOC's label maps, which are all different."""
    colours = np.zeros((label_set.count + 1, 3), np.uint8)
    for number in range(label_set.count):
        for bit in range(8):
            for channel in range(3):
                colours[number, channel] |= ((number + 1) >> (3 * bit + channel) & 1) << (7 - bit)
    for number, name in enumerate(label_set.names):
        colours[number] = COLOURS.get(SYNONYMS.get(name, name), colours[number])
    return colours


def label_picture(labels: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """A label map ``uint8[H, W]`` in colours, ``uint8[H, W, 3]``."""
    return palette(label_set)[np.minimum(labels, label_set.void)]
