# SPDX-License-Identifier: GPL-3.0-or-later
"""JPEG 2000 as a rival: OpenJPEG by way of Pillow, one layer."""

import numpy as np

from ds2c2.evaluation.rivals.pillowcodecs import missing_feature, opened
from ds2c2.evaluation.rivals.rivalcodec import Encodings, Rival

# OpenJPEG aims at a rate and may miss it by its headers: so many smaller aims are tried.
JPEG2000_AIMS = 8


def _encodings(picture: np.ndarray, budgets: list[int]) -> Encodings:
    from ds2c2.evaluation.layers import encode_layers

    for budget in budgets:
        aim = budget
        for _ in range(JPEG2000_AIMS):
            data = encode_layers(picture, [aim]).upto(1)
            if len(data) <= budget:
                yield f"aim {aim} bytes", data
                break
            aim -= len(data) - budget + 1
            if aim <= 0:
                break


RIVALS = {
    "jpeg2000": Rival(
        "JPEG 2000 (OpenJPEG)",
        _encodings,
        opened,
        missing_feature("jpg_2000"),
        rank=5,
        colour="#E69F00",
        marker="P",
    )
}
