# SPDX-License-Identifier: GPL-3.0-or-later
"""A file is whole or not there, whatever goes wrong while it is written."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ds2c2.errors
from ds2c2.errors import ExitCode, FileError, UserError
from ds2c2.files import make_folder, part_of, whole, write_bytes, write_text


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "a.txt"
    with whole(path) as part:
        part.write_text("half")
        assert not path.exists() and part.parent == tmp_path
        part.write_text("all of it")
    assert path.read_text() == "all of it"
    assert write_text(path, "größer") == path and path.read_bytes() == "größer".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_any_error_leaves_what_was_there(tmp_path, error):
    path = write_text(tmp_path / "a.txt", "before")
    with pytest.raises(error), whole(path) as part:
        part.write_text("half")
        raise error
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space is left"), (errno.EDQUOT, "no space is left"), (errno.EACCES, "choose another place")],
)
def test_what_the_system_refuses_is_one_line(tmp_path, number, words):
    path = tmp_path / "a.txt"
    with pytest.raises(FileError, match=words) as error, whole(path) as part:
        part.write_text("half")
        raise OSError(number, os.strerror(number))
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert error.value.exit_code == ExitCode.PLACE == 7
    assert not list(tmp_path.iterdir())


def test_places_that_are_no_places(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "nowhere" / "a", tmp_path / "file" / "a", tmp_path / "folder"):
        with pytest.raises(FileError):
            write_bytes(path, b"1")
    with pytest.raises(FileError):
        make_folder(tmp_path / "file" / "folder")
    assert {p.name for p in tmp_path.rglob("*")} == {"file", "folder"}


def test_files_of_one_name_and_other_suffixes_do_not_meet():
    assert len({part_of(f"a.{suffix}") for suffix in ("pt", "json", "md", "safetensors")}) == 4


def test_what_a_killed_process_leaves_the_next_try_replaces(tmp_path):
    path = tmp_path / "a.txt"
    script = (
        "import sys, time; from ds2c2.files import whole\n"
        "with whole(sys.argv[1]) as part:\n"
        "    part.write_text('half'); print('now', flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
    assert not path.exists()
    write_text(path, "whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_write_beyond_the_limit_of_the_process(tmp_path):
    """The limit stands in for a full disk where a stranger may not mount one."""
    script = (
        "import resource, sys; from ds2c2.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes(sys.argv[1], bytes(500)); write_bytes(sys.argv[1], bytes(5000))"
    )
    path = tmp_path / "a.bin"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=60)
    assert "FileError" in done.stderr and "no space is left" in done.stderr
    assert path.read_bytes() == bytes(500)
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def every_error() -> list[type[UserError]]:
    import importlib
    import pkgutil

    for module in pkgutil.walk_packages(ds2c2.__path__, "ds2c2."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = [], [UserError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return [kind for kind in found if kind.__module__.startswith("ds2c2.")]


def test_every_error_has_a_code_of_the_table():
    kinds = every_error()
    assert len(kinds) > 12
    for kind in kinds:
        assert isinstance(kind.exit_code, ExitCode), kind


def test_the_page_has_the_table():
    page = (Path(__file__).parents[2] / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row.isdecimal()] == [str(int(code)) for code in ExitCode]


def test_the_library_writes_files_through_one_door():
    """What writes by itself would leave halves behind."""
    import re

    package = Path(ds2c2.__file__).parent
    bare = re.compile(r"\.part\"|os\.replace|\.write_text\(|\.write_bytes\(|torch\.save\(|save_file\(")
    allowed = {
        "files.py": None,
        "evaluation/rivals/bpg.py": "a folder of its own that goes away",
        "serve/keys.py": "whole keys of a hidden folder to their names",
    }
    found = {}
    for path in sorted(package.rglob("*.py")):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if bare.search(line)]
        lines = [line for line in lines if "part" not in line.split("(")[0] and "torch.save(state, data)" not in line]
        if lines and str(path.relative_to(package)) not in allowed:
            found[str(path.relative_to(package))] = lines
    assert found == {}
