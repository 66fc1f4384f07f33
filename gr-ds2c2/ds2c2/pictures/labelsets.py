# SPDX-License-Identifier: GPL-3.0-or-later
"""Label sets: what the numbers in a label map s mean.

Everywhere in the library a label map is ``uint8[H, W]``: 0 to K - 1 are a set's classes, K and
all above is void, what belongs to no class. How data sets write them to files is the affair of
``ds2c2.training.datasets``.
"""

from dataclasses import dataclass

from ds2c2.errors import UserError


@dataclass(frozen=True)
class LabelSet:
    """``count`` classes; ``names`` has one a class or is empty."""

    name: str
    count: int
    names: tuple[str, ...] = ()

    @property
    def void(self) -> int:
        return self.count


# CamVid's 11 classes in the order that SegNet gave them (Badrinarayanan et al., 2017).
CAMVID_NAMES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist",
)  # fmt: skip
# Cityscapes' labels by id (cityscapesScripts, labels.py); the last has the id -1 there and is in
# none of the published label maps.
CITYSCAPES_NAMES = (
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "road",
    "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole",
    "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck",
    "bus", "caravan", "trailer", "train", "motorcycle", "bicycle", "license plate",
)  # fmt: skip
# The ids of the 19 that Cityscapes evaluates, in the order of its train ids.
CITYSCAPES_EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# SceneParse150, the 150 classes of the ADE20K challenge of 2016.
ADE20K_CLASSES = 150

LABEL_SETS = {
    label_set.name: label_set
    for label_set in (
        LabelSet("none", 0),
        LabelSet("camvid", len(CAMVID_NAMES), CAMVID_NAMES),
        LabelSet("cityscapes19", len(CITYSCAPES_EVALUATED), tuple(CITYSCAPES_NAMES[i] for i in CITYSCAPES_EVALUATED)),
        LabelSet("cityscapes35", len(CITYSCAPES_NAMES), CITYSCAPES_NAMES),
        LabelSet("ade20k", ADE20K_CLASSES),
    )
}


def label_set_of(name: str) -> LabelSet:
    """Raises ``UserError`` with the known ones for another name."""
    if name not in LABEL_SETS:
        raise UserError(f"label set {name!r} is unknown; choose one of {', '.join(LABEL_SETS)}")
    return LABEL_SETS[name]
