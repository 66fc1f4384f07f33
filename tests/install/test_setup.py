# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of `make setup` that choose PyTorch's build and look at the disk, in a folder of their own, offline."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240
(PIN,) = (
    line.removeprefix("torch==").strip()
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.startswith("torch==")
)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make setup` reads, and a folder of wheels with a torch that holds nothing."""
    folder = tmp_path_factory.mktemp("a checkout")
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "constraints.txt", folder)
    (folder / "empty").mkdir()
    (folder / "wheels").mkdir()
    with zipfile.ZipFile(folder / "wheels" / f"torch-{PIN}+cpu-py3-none-any.whl", "w") as wheel:
        about = f"torch-{PIN}+cpu.dist-info"
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {PIN}+cpu\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return folder


@pytest.fixture
def folder(shared_folder: Path) -> Path:
    """That folder, its ``.venv`` there already but for the packages."""
    for path in [*torch_of(shared_folder), *(shared_folder / ".venv").rglob("nvidia")]:
        shutil.rmtree(path)
    (shared_folder / ".venv" / ".torch-cpu").unlink(missing_ok=True)
    return shared_folder


def torch_of(folder: Path) -> list[Path]:
    return list((folder / ".venv").rglob("torch-*.dist-info"))


def make(folder: Path, *words: str, **variables: str) -> tuple[int, str]:
    """Exit code and all that `make` says; pip asks nobody and nothing of Debian's is installed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "MAKE", "TORCH"))}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", **variables}
    done = subprocess.run(
        ["make", "--no-print-directory", "PACKAGES=", *words], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("index", ["given", "pip's own"])
def test_pytorchs_cpu_build_goes_in_first_and_is_remembered(folder: Path, index: str) -> None:
    wheels = (folder / "wheels").as_uri()
    if index == "given":
        code, said = make(folder, ".venv/.torch-cpu", "TORCH=cpu", "TORCH_INDEX=wheels")
    else:
        code, said = make(folder, ".venv/.torch-cpu", "TORCH=cpu", PIP_FIND_LINKS=wheels)
    assert code == 0, said
    assert "WARNING" not in said
    assert [path.name for path in torch_of(folder)] == [f"torch-{PIN}+cpu.dist-info"]
    planned = make(folder, "--dry-run", ".venv/.packages-installed")[1]
    assert "PyTorch's CPU build" in planned and "CUDA" not in planned


def test_an_index_without_it_is_one_line_and_names_the_log(folder: Path) -> None:
    code, said = make(folder, ".venv/.torch-cpu", "TORCH=cpu", "TORCH_INDEX=empty")
    assert code != 0
    (line,) = (line for line in said.splitlines() if line.startswith("make: no CPU build"))
    assert f"PyTorch {PIN} from empty" in line and "TORCH_INDEX=URL" in line and ".venv/pip.log" in line
    assert "torch" in (folder / ".venv" / "pip.log").read_text()
    assert not (folder / ".venv" / ".torch-cpu").exists()


def test_cuda_libraries_that_are_there_already_are_not_left_behind(folder: Path) -> None:
    assert make(folder, ".venv/bin/python")[0] == 0
    (library,) = (folder / ".venv" / "lib").glob("python3*")
    (library / "site-packages" / "nvidia").mkdir()
    code, said = make(folder, ".venv/.torch-cpu", "TORCH=cpu", "TORCH_INDEX=wheels")
    assert code != 0 and "make: .venv has PyTorch with CUDA: make distclean, then again" in said
    assert torch_of(folder) == []


def test_too_little_space_is_one_line_before_anything_is_downloaded(folder: Path) -> None:
    code, said = make(folder, ".venv/.packages-installed", "FREE_GB=1000000")
    assert code != 0
    assert "make: .venv needs 1000000 GB while pip fills it, and " in said and "make setup TORCH=cpu" in said
    assert "Installing Python packages" not in said
