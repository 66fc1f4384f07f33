# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture codec is to the benchmark: files from coarse to fine, and the best one that fits."""

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ds2c2.errors import ExitCode, UserError
from ds2c2.pictures.metrics import psnr

# An encoding: what was set, in words, and the file's bytes.
Encodings = Iterator[tuple[str, bytes]]


class RivalError(UserError):
    """A rival that is unknown, or that fails on a picture."""

    exit_code = ExitCode.MEASUREMENT


@dataclass(frozen=True)
class Encoding:
    """A file of ``len(data)`` bytes, what was set to get it, and its PSNR in dB."""

    setting: str
    data: bytes
    psnr: float


@dataclass(frozen=True)
class Sent:
    """A picture in blocks of which each that arrives gives its share.

    ``setting`` says what was set, ``bytes`` what the blocks hold in all; ``receive`` makes of which blocks are lost,
    ``bool[blocks]``, the picture, ``uint8[H, W, 3]``, or None where nothing came that shows any.
    """

    setting: str
    bytes: int
    receive: Callable[[np.ndarray], np.ndarray | None]


@dataclass(frozen=True)
class Rival:
    """A codec.

    Args:
        label: its name for people
        encodings: ``encodings(picture, budgets)`` yields files for ``uint8[H, W, 3]``, coarse to fine
        decode: gives the picture back
        missing: says what is not installed, and nothing where all is
        optional: measured only when it is asked for by name
        rank: place among the others in tables and plots
        colour, marker: in plots
        packages: Python packages whose versions decide its figures, beside those that all have
        send: of a codec that stands losses by itself, ``send(picture, blocks, block size in bytes)``: it is sent so,
            without an erasure code; None where nothing fits
    """

    label: str
    encodings: Callable[[np.ndarray, list[int]], Encodings]
    decode: Callable[[bytes], np.ndarray]
    missing: Callable[[], str]
    optional: bool = False
    rank: int = 100
    colour: str = "#000000"
    marker: str = "o"
    packages: tuple[str, ...] = ()
    send: Callable[[np.ndarray, int, int], Sent | None] | None = None


def best_within(rival: Rival, picture: np.ndarray, budgets: Iterable[int]) -> dict[int, Encoding | None]:
    """For each budget in bytes the encoding of highest PSNR that fits, None where none does.

    The encodings are made once for all budgets.
    """
    budgets = sorted(set(budgets))
    found = [
        Encoding(setting, data, psnr(picture, rival.decode(data)))
        for setting, data in rival.encodings(picture, budgets)
        if len(data) <= budgets[-1]
    ]
    return {
        budget: max((e for e in found if len(e.data) <= budget), key=lambda e: e.psnr, default=None)
        for budget in budgets
    }


def ladder(steps: Iterable[tuple[str, Callable[[], bytes]]], most: int) -> Encodings:
    """Files from coarse to fine, until two in a row are larger than any budget."""
    too_large = 0
    for setting, make in steps:
        data = make()
        if len(data) <= most:
            yield setting, data
        too_large = too_large + 1 if len(data) > most else 0
        if too_large == 2:
            return


def missing_module(name: str, package: str) -> Callable[[], str]:
    """``missing`` of a rival that needs the Python module ``name``, of a package."""

    def missing() -> str:
        try:
            importlib.import_module(name)
        except ImportError:
            return f"the package {package} is not installed"
        return ""

    return missing
