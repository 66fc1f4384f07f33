# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as a user has it: a process, its output, its exit code."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import Commands
from PIL import Image

DEADLINE_SECONDS = 180


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    """Where commands come from, ready in a moment."""
    commands = Commands(tmp_path_factory.mktemp("printed"))
    yield commands
    commands.close()


@pytest.fixture
def ds2c2(models, tmp_path, commands):
    """Run ``ds2c2`` in an empty folder with tiny weights; gives the finished process. ``stdin``: a file that it reads.

    ``fresh=True``: an interpreter of its own, 1.5 s later. So with a ``PYTHONPATH`` of its own.
    """

    def run(
        *arguments: str | Path, fresh: bool = False, stdin: str | Path = os.devnull, **environment: str
    ) -> subprocess.CompletedProcess:
        words = list(map(str, arguments))
        env = {**os.environ, "COLUMNS": "200", **environment}
        if not fresh and "PYTHONPATH" not in environment:
            return commands.run(words, tmp_path, env, DEADLINE_SECONDS, str(stdin))
        return subprocess.run(
            [sys.executable, "-m", "ds2c2", *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )

    return run


@pytest.fixture
def here(models, tmp_path, monkeypatch, capsys):
    """The same in this process, which has everything imported: for commands that start no other."""
    from ds2c2.cli.program import main

    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["ds2c2", *map(str, arguments)])
        capsys.readouterr()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        with pytest.raises(SystemExit) as ended:
            main()
        for number, handler in before.items():
            signal.signal(number, handler)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), said.out, said.err)

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
