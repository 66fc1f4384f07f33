# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor against installations that are really broken, each in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ds2c2.cli import installation as doctor
from ds2c2.cli.check import Check, exit_code
from ds2c2.cli.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = doctor.SYSTEM_PYTHON
SECONDS = 240


def diagnose(group: str, *first: Path, python: str | Path = sys.executable, flags=(), **variables: str) -> list[Check]:
    """Run one group of checks with the folders ``first`` at the head of Python's path."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GRC_", "DS2C2_", "GR_CONF_"))}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, [*first, ROOT / "gr-ds2c2"])), **variables}
    code = f"import dataclasses, json; from ds2c2.cli import installation as doctor; found = doctor.{group}()"
    code += "; print(json.dumps([dataclasses.asdict(check) for check in found]))"
    done = subprocess.run(
        [python, *flags, "-c", code], env=environment, cwd="/", capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return [Check(**check) for check in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    """A folder for Python's path with gnuradio/ds2c2 in it and no gnuradio/__init__.py."""
    (tmp_path / "blocks" / "gnuradio").mkdir(parents=True)
    (tmp_path / "blocks" / "gnuradio" / "ds2c2").symlink_to(ROOT / "python_blocks")
    return tmp_path / "blocks"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Variables of a user without settings for GNU Radio."""
    (tmp_path / "home").mkdir()
    home = str(tmp_path / "home")
    # Else Companion also finds a module that is installed for all users.
    standard = {f"GR_CONF_GRC_{kind}_BLOCKS_PATH": home for kind in ("GLOBAL", "LOCAL")}
    return {"HOME": home, "XDG_CONFIG_HOME": home, **standard}


def make_venv(folder: Path, *options: str) -> Path:
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", *options, folder], check=True, timeout=SECONDS)
    return folder / "bin" / "python"


def named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_a_sound_installation_has_nothing_required_to_mend(blocks: Path, home: dict[str, str]) -> None:
    checks = diagnose("run_checks", blocks, GRC_BLOCKS_PATH=str(ROOT / "gr-ds2c2" / "grc"), **home)
    assert [check.name for check in checks if check.required and not check.ok] == []
    assert exit_code(checks) == 0
    assert named(checks, "GNU Radio Companion").ok


def test_a_host_without_gnuradio_is_asked_for_the_library_only() -> None:
    names = [check.name for check in doctor.run_checks(library_only=True)]
    assert {"Python", "torch", "constriction", "weights, coded", "weights, binary", "weights, segnet-camvid"} <= set(
        names
    )
    assert not any("GNU Radio" in name for name in names)


def test_gnuradio_hidden_by_an_init_file(tmp_path: Path) -> None:
    """A folder gnuradio/ with an __init__.py of its own stands in the way of GNU Radio."""
    init = tmp_path / "gnuradio" / "__init__.py"
    (tmp_path / "gnuradio" / "ds2c2").mkdir(parents=True)
    init.touch()
    gnuradio, blocks, companion = diagnose("check_gnuradio_and_ours", tmp_path)
    assert not gnuradio.ok and gnuradio.required
    assert str(init) in gnuradio.found and str(init) in gnuradio.remedy
    assert not blocks.ok and "GNU Radio first" in blocks.remedy
    assert not companion.ok and not companion.required


def test_numpy_2_ahead_of_numpy_1(tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("__version__ = '2.1.0'\n")
    (numpy,) = diagnose("check_numpy", tmp_path)
    assert not numpy.ok
    assert "2.1.0" in numpy.found and str(tmp_path) in numpy.found
    assert "<2" in numpy.remedy
    gnuradio = diagnose("check_gnuradio_and_ours", tmp_path)[0]
    assert not gnuradio.ok and "numpy" in gnuradio.found


def test_a_relative_folder_of_models_is_the_users(tmp_path: Path) -> None:
    """Probes run elsewhere; a pointer of git-lfs in place of weights is found all the same."""
    (tmp_path / "mine").mkdir()
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n"
    (tmp_path / "mine" / "coded.safetensors").write_text(pointer)
    code = "from ds2c2.cli import installation as doctor; print(*doctor.check_weights(), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS,
        env=os.environ | {"PYTHONPATH": str(ROOT / "gr-ds2c2"), "DS2C2_MODELS": "mine"},
    )  # fmt: skip
    (line,) = (line for line in done.stdout.splitlines() if "'weights, coded'" in line)
    assert "ok=False" in line and str(tmp_path / "mine") in line


def test_checks_as_json_and_extras_that_are_missing_are_notes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ds2c2", "doctor", "--library-only", "--json"], capture_output=True, text=True,
        timeout=SECONDS, env=os.environ | {"PYTHONPATH": str(ROOT / "gr-ds2c2")},
    )  # fmt: skip
    checks = [Check(**check) for check in json.loads(done.stdout)]
    assert exit_code(checks) == done.returncode == 0
    extras = [named(checks, module) for module, _, _ in EXTRAS]
    assert not any(check.required for check in extras)
    assert all(check.ok or "pip install" in check.remedy for check in extras)
    assert named(checks, "sigmf").ok


def test_venv_that_does_not_see_the_system(tmp_path: Path) -> None:
    python = make_venv(tmp_path / "venv")
    gnuradio = diagnose("check_gnuradio_and_ours", python=python)[0]
    assert not gnuradio.ok
    assert str(tmp_path / "venv") in gnuradio.found
    assert "--system-site-packages" in gnuradio.remedy


def test_another_interpreter_than_that_of_gnuradio(tmp_path: Path) -> None:
    """Another program file, and -S: it does not search Debian's packages, as pyenv's does not."""
    other = tmp_path / "python3"
    shutil.copy(os.path.realpath(SYSTEM_PYTHON), other)
    gnuradio = diagnose("check_gnuradio_and_ours", python=other, flags=["-S"], PYTHONHOME="/usr")[0]
    assert not gnuradio.ok
    assert str(other) in gnuradio.found and SYSTEM_PYTHON in gnuradio.found


def test_torch_and_blocks_missing(tmp_path: Path) -> None:
    python = make_venv(tmp_path / "venv", "--system-site-packages")
    gnuradio, blocks, _ = diagnose("check_gnuradio_and_ours", python=python)
    assert gnuradio.ok
    assert not blocks.ok and "none of the folders" in blocks.found and "cmake" in blocks.remedy
    (torch,) = diagnose("check_torch", python=python)
    assert not torch.ok and "No module named 'torch'" in torch.found
    weights = diagnose("check_weights", python=python)
    assert all(not check.ok and "torch" in check.found for check in weights)
    coders = diagnose("check_coders", python=python)
    assert [check.name for check in coders] == ["raptorq", "constriction"]
    assert all(not check.ok and check.name in check.remedy for check in coders)


def test_blocks_that_do_not_import(tmp_path: Path) -> None:
    package = tmp_path / "gnuradio" / "ds2c2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import a_module_that_is_not_there\n")
    blocks = diagnose("check_gnuradio_and_ours", tmp_path)[1]
    assert not blocks.ok
    assert "a_module_that_is_not_there" in blocks.found and str(package) in blocks.found


def test_a_crash_at_import_is_reported(tmp_path: Path) -> None:
    """A binary mismatch may kill the process; the doctor survives it."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    (numpy,) = diagnose("check_numpy", tmp_path)
    assert not numpy.ok and "signal 11" in numpy.found


def test_torch_too_old(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(
        "__version__ = '2.1.0'\nclass version: cuda = None\n"
        "class cuda:\n    is_available = device_count = staticmethod(lambda: 0)\n"
    )
    (torch,) = diagnose("check_torch", tmp_path)
    assert not torch.ok and "2.1.0" in torch.found and "2.11" in torch.remedy


def test_companion_is_told_where_the_blocks_lie(blocks: Path, home: dict[str, str]) -> None:
    companion = diagnose("check_gnuradio_and_ours", blocks, **home)[2]
    assert not companion.ok and "GRC_BLOCKS_PATH=" in companion.remedy
    assert Path(companion.remedy.rpartition("=")[2]).is_dir()
    found = diagnose("check_gnuradio_and_ours", blocks, GRC_BLOCKS_PATH=str(ROOT / "gr-ds2c2" / "grc"), **home)[2]
    assert found.ok and str(ROOT / "gr-ds2c2" / "grc") in found.found


def test_companion_finds_blocks_in_the_users_folder(blocks: Path, home: dict[str, str]) -> None:
    shutil.copytree(ROOT / "gr-ds2c2" / "grc", Path(home["HOME"]) / ".grc_gnuradio")
    assert diagnose("check_gnuradio_and_ours", blocks, **home)[2].ok


def test_companion_with_two_versions_of_the_blocks(tmp_path: Path, blocks: Path, home: dict[str, str]) -> None:
    old = shutil.copytree(ROOT / "gr-ds2c2" / "grc", tmp_path / "old")
    changed = next(old.rglob("ds2c2_*.block.yml"))
    changed.write_text(changed.read_text() + "# of an older version\n")
    paths = os.pathsep.join([str(ROOT / "gr-ds2c2" / "grc"), str(old)])
    companion = diagnose("check_gnuradio_and_ours", blocks, GRC_BLOCKS_PATH=paths, **home)[2]
    assert not companion.ok and changed.name in companion.found and str(old) in companion.found


@pytest.mark.parametrize("model", doctor.MODELS)
def test_truncated_weights(tmp_path: Path, model: str) -> None:
    whole = (ROOT / "models" / f"{model}.safetensors").read_bytes()
    (tmp_path / f"{model}.safetensors").write_bytes(whole[: len(whole) // 2])
    weights = named(diagnose("check_weights", DS2C2_MODELS=str(tmp_path)), f"weights, {model}")
    assert not weights.ok and weights.required
    assert "truncated" in weights.found and str(tmp_path) in weights.found


def test_weights_of_another_profile(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "binary.safetensors", metadata={"profile": "other", "version": "1"})
    weights = named(diagnose("check_weights", DS2C2_MODELS=str(tmp_path)), "weights, binary")
    assert not weights.ok and "'other'" in weights.found


def test_models_folder_without_weights(tmp_path: Path) -> None:
    variable, *weights = diagnose("check_weights", DS2C2_MODELS=str(tmp_path))
    assert not variable.ok and str(tmp_path) in variable.found and "DS2C2_MODELS" in variable.remedy
    assert [check.ok for check in weights] == [True] * len(doctor.MODELS)
    variable, *_ = diagnose("check_weights", DS2C2_MODELS=str(tmp_path / "not-there"))
    assert not variable.ok and "no folder" in variable.found


def test_no_weights_at_all(tmp_path: Path) -> None:
    """The library alone, without the folder models/."""
    shutil.copytree(ROOT / "gr-ds2c2" / "ds2c2", tmp_path / "ds2c2", ignore=shutil.ignore_patterns("__pycache__"))
    weights = diagnose("check_weights", tmp_path)
    models = ("coded", "coded-perceptual", "binary", "paper-camvid", "segnet-camvid")
    assert [(check.name, check.ok) for check in weights] == [(f"weights, {model}", False) for model in models]
    assert all("unknown" in check.found for check in weights)


@pytest.mark.parametrize(
    ("torch", "card", "ok", "words"),
    [
        ({"cuda": "13.0", "available": True, "devices": ["A GPU"], "driver": 13000}, True, True, "A GPU"),
        ({"cuda": "13.0", "available": False, "devices": [], "driver": 12040}, True, False, "serves CUDA 12.4"),
        ({"cuda": "13.0", "available": False, "devices": [], "driver": 13000}, True, False, "sees no GPU"),
        ({"cuda": "13.0", "available": False, "devices": [], "driver": 0}, True, False, "without its driver"),
        ({"cuda": "13.0", "available": False, "devices": [], "driver": 0}, False, True, "the CPU is used"),
        ({"cuda": None, "available": False, "devices": [], "driver": 13000}, True, False, "built for the CPU"),
        ({"cuda": None, "available": False, "devices": [], "driver": 0}, False, True, "built for the CPU"),
    ],
)
def test_cuda_is_explained_and_never_required(torch: dict, card: bool, ok: bool, words: str) -> None:
    check = doctor.check_cuda(torch, card)
    assert check.ok == ok and words in check.found and not check.required
    assert bool(check.remedy) != ok


def test_exit_code_counts_only_what_is_required() -> None:
    sound, note, fault = Check("a", True, ""), Check("b", False, "", required=False), Check("c", False, "")
    assert exit_code([sound, note]) == 0
    assert exit_code([sound, note, fault]) == 1
