# SPDX-License-Identifier: GPL-3.0-or-later
"""README's own command on two photographs gives README's figures: defaults are what the page speaks of."""

import json
import re
from pathlib import Path

import pytest
import skimage.data

from checkout import CHECKOUT

CLOSE = 0.1  # dB; processors round differently


def test_two_photographs_give_what_the_page_says(ds2c2, tmp_path):
    page = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    options = re.search(r"ds2c2 evaluate \S*/skimage/data/\{chelsea,coffee\}\.png (.*)", page).group(1).split()
    losses, said = re.search(
        r"^\| of two photographs, blocks lost \|(.*)\|\n\|[-|]+\n\| .*? \|(.*)\|$", page, re.M
    ).groups()
    losses = [float(word) / 100 for word in re.findall(r"([\d.]+) %", losses)]
    said = [float(word) for word in said.split("|")]
    folder = Path(skimage.data.__file__).parent
    pictures = [folder / name for name in ("chelsea.png", "coffee.png")]
    done = ds2c2("evaluate", *pictures, *options, "--out", "two.json", DS2C2_MODELS=str(CHECKOUT / "models"))
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "two.json").read_text())["measurements"]
    for loss, wanted in zip(losses, said, strict=True):
        found = [one["psnr"] for one in measured if one["loss"] == pytest.approx(loss)]
        assert len(found) == len(pictures)
        assert sum(found) / len(found) == pytest.approx(wanted, abs=CLOSE)
