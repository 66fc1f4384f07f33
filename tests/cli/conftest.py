# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as a user has it: a process, its output, its exit code."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DEADLINE_SECONDS = 180


@pytest.fixture
def ds2c2(models, tmp_path):
    """Run ``ds2c2`` in an empty folder with tiny weights; gives the finished process."""

    def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "ds2c2", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )

    return run


@pytest.fixture
def photographs(tmp_path):
    """A folder with three pieces of scikit-image's photographs, 160x128."""
    import skimage.data

    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("astronaut", "chelsea", "coffee"):
        Image.fromarray(np.ascontiguousarray(getattr(skimage.data, name)()[60:188, 100:260])).save(
            folder / f"{name}.png"
        )
    return folder
