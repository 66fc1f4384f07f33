# SPDX-License-Identifier: GPL-3.0-or-later
"""The library as pip installs it, on a host without GNU Radio."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240
SIZE = ("64x64", "--bpp", "0.9")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a process that sees the wheel, unpacked under a prefix by conda's ``build.sh``, and no GNU Radio."""
    folder = tmp_path_factory.mktemp("host")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DS2C2_", "PIP_", "GRC_"))}
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_IGNORE_INSTALLED": "1"}
    subprocess.run(
        [ROOT / ".conda" / "recipe" / "build.sh"], cwd=ROOT, check=True, capture_output=True, timeout=SECONDS,
        env=clean | offline | {"PYTHON": sys.executable, "PIP_PREFIX": str(folder / "prefix")},
    )  # fmt: skip
    (package,) = folder.rglob("ds2c2/codec")  # below site-packages, or what Debian has instead
    (folder / "without").mkdir()
    (folder / "without" / "gnuradio.py").write_text("raise ImportError('this host has no GNU Radio')\n")
    (command,) = folder.rglob("bin/ds2c2")
    path = os.pathsep.join([str(folder / "without"), str(package.parents[1])])
    return clean | {"PYTHONPATH": path, "COLUMNS": "400", "COMMAND": str(command), "PACKAGES": str(package.parents[1])}


def names(folder: Path, *patterns: str) -> set[str]:
    return {str(file.relative_to(folder)) for pattern in patterns for file in folder.rglob(pattern)}


def run(environment: dict[str, str], *words: str | Path, cwd: str | Path = "/", code: int = 0) -> str:
    """What the installed command says."""
    done = subprocess.run(
        [sys.executable, environment["COMMAND"], *map(str, words)], env=environment, cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def test_pictures_go_through_a_recording_of_packets(environment: dict[str, str], tmp_path: Path) -> None:
    said = run(environment, "info", *SIZE)
    prefix = Path(environment["COMMAND"]).parents[1]
    assert f"{prefix}/" in said  # the weights that came along
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(tmp_path / "ramp.png")
    run(environment, "send", "ramp.png", "--to", "link.ds2c2", "--size", *SIZE, cwd=tmp_path)
    run(environment, "receive", "--from", "link.ds2c2", "--out", "received", cwd=tmp_path)
    (picture,) = (tmp_path / "received").glob("*.png")
    assert Image.open(picture).size == (64, 64)


def test_the_codec_can_serve_a_radio_elsewhere(environment: dict[str, str]) -> None:
    said = run(environment, "serve", "--help")
    assert "encode" in said and "decode" in said


def test_the_wheel_holds_all_that_cmake_installs(environment: dict[str, str]) -> None:
    package = Path(environment["PACKAGES"])
    assert names(package / "ds2c2", "*.py", "*.html") == names(ROOT / "gr-ds2c2" / "ds2c2", "*.py", "*.html") != set()
    assert names(package / "gnuradio" / "ds2c2", "*.py") == names(ROOT / "python_blocks", "*.py") != set()
    assert names(package / "ds2c2" / "models", "*.safetensors") == names(ROOT / "models", "*.safetensors") != set()
    assert names(package / "ds2c2" / "recipes", "*.toml") == names(ROOT / "gr-ds2c2" / "recipes", "*.toml") != set()
    assert [entry.name for entry in (package / "gnuradio").iterdir()] == ["ds2c2"]
    share = Path(environment["COMMAND"]).parents[1] / "share"
    assert names(share / "gnuradio/grc/blocks", "*.yml") == names(ROOT / "gr-ds2c2" / "grc", "*.yml") != set()
    assert names(share / "ds2c2/flowgraphs", "*.grc") == names(ROOT / "flowgraphs", "*.grc") != set()


def test_a_package_that_is_missing_is_named_in_a_line(environment: dict[str, str], tmp_path: Path) -> None:
    """conda's package leaves two to pip."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['raptorq'] = None\n")
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    said = run(environment | {"PYTHONPATH": path}, "info", *SIZE, code=1)
    assert said == "ds2c2: no Python package 'raptorq' here; `ds2c2 doctor` says how to get what is missing\n"
