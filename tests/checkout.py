# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes ``from gnuradio import ds2c2`` work straight from the checkout."""

import os
import sys
from contextlib import suppress
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
# Set it to test what is installed instead.
INSTALLED_VARIABLE = "DS2C2_TEST_INSTALLED"


def use_checkout() -> None:
    """Put the checkout's library and blocks first, for this process and those it starts."""
    if os.environ.get(INSTALLED_VARIABLE):
        return
    package = CHECKOUT / "build" / "pythonpath" / "gnuradio"
    # No __init__.py here: with one, this folder would hide GNU Radio itself.
    package.mkdir(parents=True, exist_ok=True)
    link = package / "ds2c2"
    with suppress(FileExistsError):  # CMake made it, or a test run beside this one
        link.symlink_to(CHECKOUT / "python_blocks", target_is_directory=True)
    folders = [str(package.parent), str(CHECKOUT / "gr-ds2c2")]
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    inherited = os.environ.get("PYTHONPATH", "")
    if folders[0] not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join([*folders, inherited]).rstrip(os.pathsep)
    if "gnuradio" in sys.modules:
        path = sys.modules["gnuradio"].__path__
        if str(package) not in path:
            path.insert(0, str(package))
