# SPDX-License-Identifier: GPL-3.0-or-later
"""Perceptual distances of two pictures, seen by networks that the user brings: L_VGG, LPIPS and DISTS."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ds2c2.evaluation.distances import DISTANCES
from ds2c2.evaluation.dists import Dists
from ds2c2.evaluation.lpips import Lpips
from ds2c2.networks.weights import choose_device
from ds2c2.pictures.pictures import to_tensor
from ds2c2.training.losses import LossWeights, distance
from ds2c2.training.vgg import VggFeatures

# The VGG distance: the weighted L1 between what VGG's relu1_1 ... relu5_1 see, the paper's L_VGG.
VGG_ONLY = LossWeights(l1=0, ssim=0, vgg=1)
DIGITS = 6
PERCEPTION = "--perception"  # the option that all three of ``perceived`` belong to


@lru_cache(maxsize=1)
def _vgg(path: str, device: str) -> VggFeatures:
    return VggFeatures(Path(path)).to(choose_device(device))


@lru_cache(maxsize=1)
def _lpips(path: str, device: str) -> Lpips:
    return Lpips(Path(path), choose_device(device))


@lru_cache(maxsize=1)
def load_perception(path: str, device: str) -> tuple[Lpips, Lpips, Dists]:
    """What ``DISTANCES`` names, in its order. Raises ``UserError`` for the packages and for the file of trunks."""
    place = choose_device(device)
    learned = (Lpips(Path(path), place, trunk, PERCEPTION) for trunk in ("alexnet", "vgg16"))
    return *learned, Dists(Path(path), place, PERCEPTION)


def perceived(original: np.ndarray, received: np.ndarray, path: str, device: str) -> list[float]:
    """The distances that ``DISTANCES`` names of two ``uint8[H, W, 3]``, by a file of ``ds2c2 trunks``.
    Raises ``UserError``."""
    pair = [to_tensor(picture).to(choose_device(device)) for picture in (original, received)]
    # Rounding may leave equal pictures some 1e-7 below 0.
    return [max(0.0, round(metric(*pair), DIGITS)) for metric in load_perception(path, device)]


def distances_by(
    vgg: str, lpips: str, perception: str, device: str
) -> tuple[dict[str, str], Callable[[np.ndarray, np.ndarray], dict[str, float]]]:
    """The distances that the files measure that are given (empty: not), each with its title, and a function of an
    original and a received picture to their values. Raises ``UserError``."""
    titles = ({"vgg": "vgg"} if vgg else {}) | ({"lpips": "lpips"} if lpips else {}) | (DISTANCES if perception else {})
    if perception:
        load_perception(perception, device)

    def seen(original: np.ndarray, received: np.ndarray) -> dict[str, float]:
        pair = original, received
        found = {"vgg": vgg_distance(*pair, vgg, device)} if vgg else {}
        found |= {"lpips": lpips_distance(*pair, lpips, device)} if lpips else {}
        return found | (dict(zip(DISTANCES, perceived(*pair, perception, device), strict=True)) if perception else {})

    return titles, seen


def lpips_distance(original: np.ndarray, received: np.ndarray, path: str, device: str) -> float:
    """LPIPS of two ``uint8[H, W, 3]``. Raises ``UserError`` for its package and its checkpoint."""
    pair = (to_tensor(picture).to(choose_device(device)) for picture in (original, received))
    return round(_lpips(path, device)(*pair), DIGITS)


@torch.inference_mode()
def vgg_distance(original: np.ndarray, received: np.ndarray, path: str, device: str) -> float:
    """The VGG distance of two ``uint8[H, W, 3]``; 0 for equal ones, larger is worse. Raises
    ``WeightsError`` for the checkpoint."""
    place = choose_device(device)
    pair = (to_tensor(picture).to(place) for picture in (original, received))
    return round(float(distance(*pair, VGG_ONLY, _vgg(path, device))[1]["vgg"]), DIGITS)
