# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture codecs that the benchmark stands beside ours, each at its best for PSNR.

Every rival gives encodings of a picture from coarse to fine; the judge takes, for a budget in
bytes, the one of highest PSNR among those that fit. All bytes of the file count, its header too.

To add one takes one file: a module in this folder with ``RIVALS``, a ``Rival`` by its name.
"""

import importlib
import pkgutil

import ds2c2.evaluation.rivals as folder
from ds2c2.evaluation.rivals.rivalcodec import Encoding, Rival, RivalError, best_within

__all__ = ["NAMES", "OPTIONAL", "RIVALS", "Encoding", "Rival", "RivalError", "best_within", "label", "missing"]

NO_RIVALS = ("rivals", "rivalcodec", "ssdvpackets")  # modules of this folder that are none


def discover() -> dict[str, Rival]:
    """All rivals of this folder's modules by name, in the order in which they are shown."""
    found: dict[str, Rival] = {}
    for module in pkgutil.iter_modules(folder.__path__):
        if module.name not in NO_RIVALS:
            found |= importlib.import_module(f"{folder.__name__}.{module.name}").RIVALS
    return dict(sorted(found.items(), key=lambda item: item[1].rank))


RIVALS = discover()
# Measured only when asked for by name: what else is installed on a machine must not change a
# benchmark's figures, nor whether a folder can go on.
OPTIONAL = tuple(name for name, rival in RIVALS.items() if rival.optional)
# JPEG 2000 again, its quality layers protected one by one.
LAYERED = "layered"
LAYERED_LABEL = "JPEG 2000, layers protected unequally"
NAMES = (*(name for name in RIVALS if name not in OPTIONAL), LAYERED)


def label(name: str) -> str:
    """A rival's name for people. Raises ``RivalError``."""
    if name == LAYERED:
        return LAYERED_LABEL
    if name not in RIVALS:
        raise RivalError(f"rival {name!r} is unknown; choose from {', '.join((*NAMES, *OPTIONAL))}")
    return RIVALS[name].label


def missing(name: str) -> str:
    """Why a rival cannot be measured here; empty when it can. Raises ``RivalError``."""
    label(name)
    return RIVALS["jpeg2000" if name == LAYERED else name].missing()
