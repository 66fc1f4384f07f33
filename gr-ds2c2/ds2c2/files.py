# SPDX-License-Identifier: GPL-3.0-or-later
"""Where files lie that come with the program."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# In a checkout the library lies in gr-ds2c2/ds2c2/, with the module's other parts beside it.
_MODULE = PACKAGE.parent if PACKAGE.parent.name == "gr-ds2c2" else None


def shipped_folders(name: str) -> list[Path]:
    """Folders that may hold shipped ``models``, ``recipes`` or ``grc``: the checkout's (there
    beside the module or at its top), then the installation's. None need exist."""
    checkout = [_MODULE / name, _MODULE.parent / name] if _MODULE else []
    return [*checkout, PACKAGE / name]
