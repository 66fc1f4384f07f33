# SPDX-License-Identifier: GPL-3.0-or-later
"""A forked command is what the same command is in an interpreter of its own."""

import os
import subprocess

import pytest


@pytest.mark.parametrize(
    "arguments",
    [("info", "160x128", "--bpp", "0.6"), ("info", "160x128", "--bpp", "3"), ("send", "--no-such-option"), ()],
)
def test_prints_the_same_and_ends_the_same(ds2c2, arguments):
    forked, fresh = ds2c2(*arguments), ds2c2(*arguments, fresh=True)
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)
    assert forked.stdout or forked.stderr


def test_the_version(ds2c2):
    from ds2c2 import __version__

    done = ds2c2("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ds2c2 {__version__}\n", "")


def test_completion_is_for_the_command(ds2c2, tmp_path):
    """However it was run: nobody types the name of the module."""
    detected = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # the shell is then an argument
    done = ds2c2("--install-completion", "bash", HOME=str(tmp_path), **detected)
    assert done.returncode == 0, done.stderr
    (script,) = (tmp_path / ".bash_completions").iterdir()
    assert script.name == "ds2c2.sh" and script.read_text().rstrip().endswith(" ds2c2")
    assert "Usage: ds2c2 info " in ds2c2("info", "--help").stdout


def test_one_that_does_not_end_is_stopped_and_the_next_is_run(ds2c2, commands, tmp_path):
    os.mkfifo(tmp_path / "silence")
    with pytest.raises(subprocess.TimeoutExpired):
        commands.run(["receive", "--from", "silence", "--out", "received"], tmp_path, dict(os.environ), 2)
    assert "no recording" in ds2c2("receive", "--from", "nowhere", "--out", "received").stderr
