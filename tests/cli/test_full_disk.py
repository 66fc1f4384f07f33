# SPDX-License-Identifier: GPL-3.0-or-later
"""No room for a file: one line, exit code 7, nothing left, and the same command works once there is room."""

import json
import os

import numpy as np
import pytest
from commands import TROUBLE
from skimage.data import astronaut

from ds2c2.pictures.pictures import write_picture
from ds2c2.traces.losstrace import LossTrace, write_trace

SEND = ("send", "in/a.png", "--size", "96x64", "--bpp", "0.9", "--block-size", "32", "--model", "binary")
# Command, and so many bytes as a file may have: less than what the command writes last.
COMMANDS = {
    "a recording": ((*SEND, "--to", "out/a.rec"), 300),
    "pictures": (("receive", "--from", "given.rec", "--out", "out/got"), 1000),
    "a film": (("receive", "--from", "given.rec", "--out", "out/got.mp4"), 1000),
    "the trace of a reception": (("trace", "record", "--from", "given.rec", "--out", "out/a.csv"), 200),
    "figures": (("evaluate", "in", "--loss", "0.5", "--bpp", "0.9", "--block-size", "32",
                 "--model", "binary", "--out", "out/a.json"), 300),
    "weights": (("pack", "binary", "--out", "out/a.safetensors"), 300),
    "a fit": (("trace", "fit", "given.csv", "--json", "out/a.json"), 100),
    "a drawn trace": (("trace", "fit", "given.csv", "--emulate", "out/b.csv", "--packets", "2000"), 2000),
}  # fmt: skip


DEADLINE_SECONDS = 110


@pytest.fixture(scope="module")
def run(commands, tiny_models):
    """``ds2c2`` in a folder; ``most`` bytes a file stand in for a disk with so much room."""

    def run(folder, *words, most: int | None = None):
        env = {**os.environ, "DS2C2_MODELS": str(tiny_models), "PYTHONDONTWRITEBYTECODE": "1"}
        if most is not None:
            env[TROUBLE] = f"room:{most}"
        return commands.run(list(words), folder, env, DEADLINE_SECONDS)

    return run


@pytest.fixture(scope="module")
def given(tmp_path_factory, run):
    """A folder with a picture, a recording and a trace."""
    folder = tmp_path_factory.mktemp("given")
    write_picture(folder / "in" / "a.png", astronaut()[:64, :96])
    lost = np.random.default_rng(1).random(3000) < 0.2
    write_trace(folder / "given.csv", LossTrace.from_losses(lost))
    done = run(folder, *SEND, "--to", "given.rec")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("what", COMMANDS)
def test_no_room(given, run, tmp_path, what):
    words, most = COMMANDS[what]
    for name in ("in", "given.rec", "given.csv"):
        (tmp_path / name).symlink_to(given / name)
    (tmp_path / "out").mkdir()
    refused = run(tmp_path, *words, most=most)
    assert refused.returncode == 7, refused.stderr
    assert "no space is left" in refused.stderr and "Traceback" not in refused.stderr
    assert "wrote" not in refused.stdout  # before the disk has said so too
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    again = run(tmp_path, *words)
    assert again.returncode == 0, again.stderr
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written and not [path for path in written if path.name.endswith(".part")]
    for path in written:
        if path.suffix == ".json":
            json.loads(path.read_text())
