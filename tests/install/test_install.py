# SPDX-License-Identifier: GPL-3.0-or-later
"""What `cmake --install` lays under a prefix works from there, without the checkout."""

import os
import re
import site
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"
PYTHON_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
SECONDS = 240


def run(*command: str | Path, **variables: str) -> str:
    """A command's output, run outside the checkout with a clean Python path."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GRC_", "DS2C2_", "DESTDIR"))}
    done = subprocess.run(
        list(map(str, command)), env=environment | variables, cwd="/", capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def install(build: Path, prefix: Path, *options: str, python: str | Path = sys.executable, **variables: str) -> str:
    run("cmake", "-S", ROOT, "-B", build, f"-DPython3_EXECUTABLE={python}", *options)
    return run("cmake", "--install", build, "--prefix", prefix, **variables)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation under a prefix of its own, with a space in it."""
    folder = tmp_path_factory.mktemp("an installation")
    install(folder / "build", folder / "prefix")
    return folder / "prefix"


@pytest.fixture(scope="module")
def packages(prefix: Path) -> Path:
    return prefix / "lib" / PYTHON_VERSION / "site-packages"


def names(folder: Path, *patterns: str) -> set[str]:
    return {str(file.relative_to(folder)) for pattern in patterns for file in folder.rglob(pattern)}


def test_everything_is_laid_down(prefix: Path, packages: Path) -> None:
    code = ("*.py", "*.html", "*.css", "*.js", "*.svg")
    assert names(packages / "ds2c2", *code) == names(ROOT / "gr-ds2c2" / "ds2c2", *code)
    assert names(packages / "gnuradio" / "ds2c2", "*.py") == names(ROOT / "python_blocks", "*.py")
    assert names(prefix / "share/gnuradio/grc/blocks", "*.yml") == names(ROOT / "gr-ds2c2" / "grc", "*.yml") != set()
    assert names(prefix / "share/ds2c2/flowgraphs", "*.grc") == names(ROOT / "flowgraphs", "*.grc") != set()
    weights = names(packages / "ds2c2" / "models", "*.safetensors", "*.md")
    assert {
        "binary.safetensors",
        "coded.safetensors",
        "coded-perceptual.safetensors",
        "segnet-camvid.safetensors",
    } <= weights
    assert weights == names(ROOT / "models", "*.safetensors", "*.md")
    assert names(packages / "ds2c2" / "recipes", "*.toml") == names(ROOT / "gr-ds2c2" / "recipes", "*.toml") != set()
    assert names(prefix, "__pycache__") == set()


def test_the_gnuradio_folder_has_no_init_file(packages: Path) -> None:
    """With one it would hide GNU Radio."""
    assert [entry.name for entry in (packages / "gnuradio").iterdir()] == ["ds2c2"]


def test_blocks_import_beside_gnuradio(packages: Path) -> None:
    code = "from gnuradio import ds2c2, gr; import ds2c2 as library; print(ds2c2.__file__); print(library.__file__)"
    blocks, library = run(sys.executable, "-c", code, PYTHONPATH=str(packages)).splitlines()[-2:]
    assert Path(blocks).is_relative_to(packages / "gnuradio")
    assert Path(library).is_relative_to(packages)


def test_the_command_finds_its_library_and_its_weights(prefix: Path, packages: Path) -> None:
    """Without PYTHONPATH, though the prefix is none that the interpreter looks in."""
    said = run(prefix / "bin" / "ds2c2", "info", COLUMNS="400")
    assert str(packages / "ds2c2" / "models" / "coded.safetensors") in said


def test_the_command_works_in_several_processes(prefix: Path, tmp_path: Path) -> None:
    pictures, out = tmp_path / "pictures", tmp_path / "judged"
    pictures.mkdir()
    for number in range(2):
        Image.linear_gradient("L").resize((64, 64)).rotate(90 * number).convert("RGB").save(pictures / f"{number}.png")
    short = ("--no-rivals", "--rates", "0.9", "--losses", "0", "--seeds", "1", "--rules", "paper", "--channels", "iid")
    said = run(prefix / "bin" / "ds2c2", "benchmark", pictures, *short, "--jobs", "2", "--out", out, COLUMNS="400")
    assert f"wrote {out}/benchmark.json" in said


def test_companion_finds_the_blocks(prefix: Path, packages: Path, tmp_path: Path) -> None:
    code = "from ds2c2.cli import installation as doctor; print(doctor.check_gnuradio_and_ours()[2])"
    paths = {"PYTHONPATH": str(packages), "GRC_BLOCKS_PATH": str(prefix / "share/gnuradio/grc/blocks")}
    assert "ok=True" in run(sys.executable, "-c", code, HOME=str(tmp_path), **paths)


def test_an_unusual_prefix_comes_with_a_note(tmp_path: Path) -> None:
    said = install(tmp_path / "build", tmp_path / "prefix")
    assert f"set PYTHONPATH={tmp_path / 'prefix' / 'lib' / PYTHON_VERSION / 'site-packages'}" in said


def test_a_virtual_environment_as_prefix(tmp_path: Path) -> None:
    run(SYSTEM_PYTHON, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    said = install(tmp_path / "build", tmp_path / "venv", python=python)
    assert "PYTHONPATH" not in said
    file = run(python, "-c", "import ds2c2; print(ds2c2.__file__)").strip()
    assert Path(file).is_relative_to(tmp_path / "venv")
    assert (tmp_path / "venv" / "bin" / "ds2c2").read_text().startswith(f"#!{python}\n")


@pytest.mark.parametrize("prefix", ["/usr/local", "/usr"])
def test_the_systems_own_prefixes(tmp_path: Path, prefix: str) -> None:
    """Packages go where the system's interpreter looks: dist-packages on Debian."""
    install(tmp_path / "build", Path(prefix), python=SYSTEM_PYTHON, DESTDIR=str(tmp_path / "stage"))
    (init,) = (tmp_path / "stage").rglob("ds2c2/files.py")
    folder = "/" + str(init.parents[1].relative_to(tmp_path / "stage"))
    assert folder.startswith(f"{prefix}/lib/")
    assert folder in run(SYSTEM_PYTHON, "-c", "import site; print(*site.getsitepackages(), sep='\\n')").splitlines()


@pytest.mark.parametrize("folder", ["python", "absolute"])
def test_the_packages_folder_can_be_chosen(tmp_path: Path, folder: str) -> None:
    given = folder if folder == "python" else str(tmp_path / "elsewhere")
    install(tmp_path / "build", tmp_path / "prefix", f"-DDS2C2_PYTHON_DIR={given}")
    packages = tmp_path / "prefix" / given  # an absolute one stands for itself
    assert (packages / "ds2c2" / "__init__.py").is_file()
    assert run(tmp_path / "prefix" / "bin" / "ds2c2", "--help")


def test_an_interpreter_with_a_space_in_its_path(tmp_path: Path) -> None:
    venv = tmp_path / "my venv"
    run(SYSTEM_PYTHON, "-m", "venv", "--without-pip", "--system-site-packages", venv)
    install(tmp_path / "build", venv, python=venv / "bin" / "python")
    # What the command needs beside the library comes from the environment of the tests.
    dependencies = os.pathsep.join([sysconfig.get_path("purelib"), *site.getsitepackages()])
    said = run(venv / "bin" / "ds2c2", "--help", PYTHONPATH=dependencies)
    assert "receive" in said


def test_ctest_knows_every_room_of_tests(tmp_path: Path) -> None:
    run("cmake", "-S", ROOT, "-B", tmp_path, f"-DPython3_EXECUTABLE={sys.executable}")
    listed = set(re.findall(r"Test +#\d+: (\w+)", run("ctest", "--test-dir", tmp_path, "--show-only")))
    rooms = {
        file.parent.relative_to(ROOT / "tests").parts[0]
        for p in ("test_*.py", "qa_*.py")
        for file in (ROOT / "tests").rglob(p)
    }
    assert listed >= rooms


def test_exact_versions_are_within_the_ranges() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    for python in ("3.11", "3.12", "3.13", "3.14"):
        here = [
            pin for pin in map(Requirement, lines) if not pin.marker or pin.marker.evaluate({"python_version": python})
        ]
        pins = {pin.name: str(pin.specifier).removeprefix("==") for pin in here}
        assert len(pins) == len(here), python
        for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
            wanted = Requirement(text)
            assert pins[wanted.name] in wanted.specifier, text


def test_what_others_read_of_the_module_is_true(prefix: Path) -> None:
    """CGRAN and Companion's browser read the manifest, GitHub and Zenodo the citation."""
    from ds2c2 import __version__

    manifest, citation = (yaml.safe_load((ROOT / name).read_text()) for name in ("MANIFEST.yml", "CITATION.cff"))
    wanted = (
        "title version brief description tags author copyright_owner license repo website icon dependencies "
        "gr_supported_version file_format"
    )
    assert set(manifest) == set(wanted.split())
    assert manifest["version"] == citation["version"] == __version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert manifest["license"] == citation["license"] == project["license"]
    torch = next(text for text in project["dependencies"] if text.startswith("torch"))
    assert f"torch ({torch.removeprefix('torch').replace('>=', '>= ')})" in manifest["dependencies"]
    assert (prefix / "share/ds2c2/MANIFEST.yml").read_text() == (ROOT / "MANIFEST.yml").read_text()
