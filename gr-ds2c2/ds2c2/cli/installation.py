# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with an installation, looked for one by one: cause and remedy.

Imports of others are tried in processes of their own: a binary mismatch may end the process,
and this library never imports GNU Radio. Those processes search the very folders this one does.
"""

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ds2c2.cli.check import Check
from ds2c2.cli.extras import check_extras
from ds2c2.cli.probe import Probe, absolute_path, probe
from ds2c2.files import MODELS_VARIABLE, PACKAGE, shipped_folders

MIN_PYTHON = (3, 11)
MIN_TORCH = (2, 11)
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that Debian's GNU Radio is for
NVIDIA_VENDOR = "0x10de"  # PCI
BLOCK_FILES = "ds2c2_*.block.yml"
WITHOUT_GNURADIO = "library, UDP, recordings and serve work without it: `ds2c2 doctor --library-only`"
MODELS = ("coded", "coded-perceptual", "binary", "paper-camvid", "segnet-camvid")  # what is shipped, the default first


def run_checks(library_only: bool = False) -> list[Check]:
    """All checks, in the order in which to mend. ``library_only``: for hosts without GNU Radio."""
    groups: list[Callable[[], list[Check]]] = [check_python, check_torch, check_coders, check_weights, check_extras]
    if not library_only:
        groups[1:1] = [check_numpy, check_gnuradio_and_ours]
    with ThreadPoolExecutor(max_workers=len(groups)) as pool:
        return [check for checks in pool.map(lambda group: group(), groups) for check in checks]


# Python and numpy.


def check_python() -> list[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, MIN_PYTHON))
    ok = sys.version_info >= MIN_PYTHON
    return [Check("Python", ok, f"{version}, {sys.executable}", "" if ok else f"use Python {wanted} or later")]


def check_numpy() -> list[Check]:
    """GNU Radio's bindings are built for numpy 1 (Debian 12, Ubuntu 24.04) or for 2, which also takes late 1."""
    result = probe("import numpy\nfound = {'version': numpy.__version__, 'file': numpy.__file__}", path=absolute_path())
    if result.value is None:
        return [Check("numpy", False, f"does not import: {result.error}", "pip install 'numpy>=1.24,<3'")]
    version, file = result.value["version"], result.value["file"]
    if int(version.split(".")[0]) < 2:
        return [Check("numpy", True, version)]
    gnuradio = probe(_GNURADIO, path=absolute_path())
    if gnuradio.value is not None or "numpy" not in gnuradio.said.lower():
        return [Check("numpy", True, version)]
    return [
        Check(
            "numpy",
            False,
            f"{version} at {file}; GNU Radio does not import with it, its bindings here are built for another one",
            "pip install 'numpy>=1.24,<2' into this environment, or take that folder off PYTHONPATH",
        )
    ]


# GNU Radio.

_GNURADIO = """
from gnuradio import gr
import gnuradio
prefs = gr.prefs()
found = {
    'version': gr.version(),
    'file': gnuradio.__file__,
    'block_paths': [prefs.get_string('grc', key, '') for key in ('local_blocks_path', 'global_blocks_path')],
}
"""
_HAS_GNURADIO = "import importlib.util\nfound = {'there': importlib.util.find_spec('gnuradio') is not None}"


def find_shadow(path: Iterable[str]) -> Path | None:
    """The ``gnuradio/__init__.py`` that comes first in ``path``, if it is not GNU Radio's own."""
    for folder in path:
        package = Path(folder) / "gnuradio"
        if (package / "__init__.py").is_file():
            return None if (package / "gr").is_dir() else package / "__init__.py"
    return None


def has_gnuradio(path: Iterable[str]) -> bool:
    """Whether one of these folders holds GNU Radio, whether or not it imports."""
    return any((Path(folder) / "gnuradio" / "gr").is_dir() for folder in path)


def _venv_without_system() -> bool:
    settings = Path(sys.prefix) / "pyvenv.cfg"
    if not settings.is_file():
        return False
    words = [line.partition("=") for line in settings.read_text().splitlines()]
    return any(
        key.strip() == "include-system-site-packages" and value.strip().lower() == "false" for key, _, value in words
    )


def _missing_gnuradio() -> Check:
    """Why there is no GNU Radio for this interpreter."""
    name = "GNU Radio"
    elsewhere = probe(_HAS_GNURADIO, SYSTEM_PYTHON, path=[]).value
    if not (elsewhere and elsewhere["there"]):
        return Check(
            name,
            False,
            "not installed",
            f"apt-get install gnuradio (Debian, Ubuntu), or `make setup`; {WITHOUT_GNURADIO}",
        )
    same = os.path.realpath(sys._base_executable) == os.path.realpath(SYSTEM_PYTHON)
    if same and _venv_without_system():
        return Check(
            name,
            False,
            f"the virtual environment {sys.prefix} does not see the system's packages, and GNU Radio is one of them",
            f"{SYSTEM_PYTHON} -m venv --system-site-packages {sys.prefix}, or `make setup`",
        )
    return Check(
        name,
        False,
        f"not for this interpreter, {sys.executable}; {SYSTEM_PYTHON} has it",
        f"use an environment made with {SYSTEM_PYTHON} -m venv --system-site-packages, as `make setup` does",
    )


def check_gnuradio_and_ours() -> list[Check]:
    """GNU Radio, our blocks in it, and our blocks in its editor."""
    gnuradio = probe(_GNURADIO, path=absolute_path())
    return [check_gnuradio(gnuradio), check_blocks(gnuradio), check_companion(gnuradio)]


def check_gnuradio(gnuradio: Probe) -> Check:
    """``gnuradio``: the probe that imported it."""
    name = "GNU Radio"
    if gnuradio.value is not None:
        return Check(name, True, f"{gnuradio.value['version']}, {Path(gnuradio.value['file']).parent}")
    shadow = find_shadow(absolute_path())
    if shadow is not None:
        return Check(name, False, f"hidden by {shadow}, which is not GNU Radio's", f"delete {shadow}")
    if not has_gnuradio(absolute_path()):
        return _missing_gnuradio()
    if "numpy" in gnuradio.said.lower():
        return Check(
            name, False, f"does not import with this numpy: {gnuradio.error}", "it needs another numpy: mend that first"
        )
    return Check(name, False, f"does not import: {gnuradio.error}", "apt-get install --reinstall gnuradio")


def check_blocks(gnuradio: Probe) -> Check:
    """``from gnuradio import ds2c2``."""
    name = "blocks gnuradio.ds2c2"
    if gnuradio.value is None:
        return Check(name, False, "not tried: GNU Radio does not import", "mend GNU Radio first")
    code = "from gnuradio import ds2c2\nfound = {'file': ds2c2.__file__}"
    result = probe(code, path=absolute_path())
    if result.value is not None:
        return Check(name, True, str(Path(result.value["file"]).parent))
    places = [folder for folder in absolute_path() if (Path(folder) / "gnuradio" / "ds2c2").is_dir()]
    if not places:
        return Check(
            name,
            False,
            "in none of the folders that Python searches",
            "`make setup`, or `cmake -B build && cmake --install build --prefix ...`; "
            "set PYTHONPATH if it says that Python does not look there",
        )
    return Check(name, False, f"{places[0]}/gnuradio/ds2c2 does not import: {result.error}", "install the module again")


# GNU Radio Companion.


def companion_folders(configured: Iterable[str]) -> list[Path]:
    """Folders that GNU Radio Companion searches, in its order; ``configured`` comes from GNU Radio's preferences."""
    lists = [os.environ.get("GRC_HIER_PATH", "~/.grc_gnuradio"), os.environ.get("GRC_BLOCKS_PATH", ""), *configured]
    words = [word for text in lists for word in text.split(os.pathsep) if word]
    folders = [Path(os.path.normpath(os.path.expanduser(os.path.expandvars(word)))) for word in words]
    return [folder for folder in dict.fromkeys(folders) if folder.exists()]


def own_block_folders() -> list[Path]:
    """Where this module's block descriptions may lie: its prefix, the environment, the checkout."""
    below = Path("share/gnuradio/grc/blocks")
    folders = [*(parent / below for parent in PACKAGE.parents), Path(sys.prefix) / below, *shipped_folders("grc")]
    return [folder for folder in dict.fromkeys(folders) if _block_files(folder)]


def _block_files(folder: Path) -> dict[str, Path]:
    return {file.name: file for file in sorted(folder.rglob(BLOCK_FILES))} if folder.is_dir() else {}


def check_companion(gnuradio: Probe) -> Check:
    """Whether GNU Radio Companion, started from this environment, lists the blocks. Not required."""
    name = "GNU Radio Companion"
    if gnuradio.value is None:
        return Check(name, False, "not tried: GNU Radio does not import", "mend GNU Radio first", required=False)
    folders = companion_folders(gnuradio.value["block_paths"])
    holding = [(folder, files) for folder in folders if (files := _block_files(folder))]
    if not holding:
        own = own_block_folders()
        where = own[0] if own else "PREFIX/share/gnuradio/grc/blocks"
        return Check(
            name,
            False,
            f"no {BLOCK_FILES} in the folders it searches: {', '.join(map(str, folders)) or 'none'}",
            f"`make companion`, or export GRC_BLOCKS_PATH={where}",
            required=False,
        )
    first, files = holding[0]
    for folder, others in holding[1:]:
        changed = [n for n in files.keys() & others.keys() if files[n].read_bytes() != others[n].read_bytes()]
        if changed:
            return Check(
                name,
                False,
                f"two versions of the blocks: {first} and {folder} differ in {', '.join(sorted(changed))}",
                "remove the older installation",
                required=False,
            )
    return Check(name, True, f"{len(files)} blocks in {first}", required=False)


# torch and CUDA.

_TORCH = """
import ctypes, torch
driver = ctypes.c_int(0)
try:
    ctypes.CDLL('libcuda.so.1').cuDriverGetVersion(ctypes.byref(driver))
except OSError:
    pass
found = {
    'version': torch.__version__,
    'cuda': torch.version.cuda,
    'available': torch.cuda.is_available(),
    'devices': [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    'driver': driver.value,
}
"""


def check_torch() -> list[Check]:
    """torch, and what it can compute on."""
    result = probe(_TORCH, path=absolute_path())
    wanted = ".".join(map(str, MIN_TORCH))
    if result.value is None:
        return [
            Check("torch", False, f"does not import: {result.error}", f"pip install 'torch>={wanted}', or `make setup`")
        ]
    version = result.value["version"]
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_TORCH:
        return [Check("torch", False, f"{version} is older than {wanted}", f"pip install 'torch>={wanted}'")]
    return [Check("torch", True, version), check_cuda(result.value, has_nvidia_card())]


def has_nvidia_card() -> bool:
    """Whether an NVIDIA display or compute device is on the PCI bus, driver or not."""
    for device in Path("/sys/bus/pci/devices").glob("*"):
        try:
            vendor, kind = (device / "vendor").read_text().strip(), (device / "class").read_text()
        except OSError:
            continue
        if vendor == NVIDIA_VENDOR and kind.startswith("0x03"):
            return True
    return False


def check_cuda(torch: dict, card: bool) -> Check:
    """Never required: without CUDA the networks run on the CPU. ``torch``: what its probe found."""
    name, built = "CUDA", torch["cuda"]
    if torch["available"]:
        return Check(name, True, f"{built}, {', '.join(torch['devices'])}", required=False)
    if built is None:
        if not card:
            return Check(name, True, "none: torch is built for the CPU", required=False)
        return Check(
            name,
            False,
            "torch is built for the CPU, yet here is an NVIDIA GPU",
            "install torch's CUDA build",
            required=False,
        )
    driver = torch["driver"]  # 12040 means that the driver serves CUDA 12.4; 0 that there is none
    serves = f"{driver // 1000}.{driver % 1000 // 10}"
    if driver and driver // 1000 < int(built.split(".")[0]):
        return Check(
            name,
            False,
            f"the driver is too old: it serves CUDA {serves}, torch is built for CUDA {built}; the CPU is used",
            f"update the NVIDIA driver, or install a torch built for CUDA {serves.split('.')[0]}",
            required=False,
        )
    if driver:
        return Check(
            name,
            False,
            f"a driver for CUDA {serves} is there, but torch sees no GPU; the CPU is used",
            "look at nvidia-smi and at CUDA_VISIBLE_DEVICES",
            required=False,
        )
    if card:
        return Check(
            name,
            False,
            "an NVIDIA GPU without its driver; the CPU is used",
            "install the NVIDIA driver",
            required=False,
        )
    return Check(name, True, "no NVIDIA GPU; the CPU is used", required=False)


# Coders.


def check_coders() -> list[Check]:
    """The compiled packages behind the layers: an erasure code and a range coder."""
    checks = []
    for module, purpose in (("raptorq", "the base layer's erasure code"), ("constriction", "the range coder")):
        result = probe(f"import {module}\nfound = {{'file': {module}.__file__}}", path=absolute_path())
        if result.value is None:
            remedy = f"pip install {module}, or `make setup`"
            checks.append(Check(module, False, f"{purpose}, does not import: {result.error}", remedy))
        else:
            checks.append(Check(module, True, purpose))
    return checks


# Weights.

_WEIGHTS = f"""
import torch
from ds2c2.errors import WeightsError
from ds2c2.networks.modelfiles import find_weights
from ds2c2.networks.weights import load_networks
found = {{}}
for model in {MODELS!r}:
    try:
        found[model] = {{'error': '', 'file': str(find_weights(model))}}
        load_networks(model)
    except WeightsError as error:
        found[model] = {{'error': str(error)}}
"""


def check_weights() -> list[Check]:
    """The shipped weights load, and $DS2C2_MODELS holds some if it is set."""
    variable = MODELS_VARIABLE
    checks = []
    named = os.environ.get(variable)
    if named and not list(Path(named).glob("*.safetensors")):
        state = "holds no *.safetensors" if Path(named).is_dir() else "is no folder"
        found = f"{named} {state}; what comes with this installation is used"
        checks.append(Check(variable, False, found, f"correct or unset {variable}"))
    result = probe(_WEIGHTS, path=absolute_path())
    for model in MODELS:
        name = f"weights, {model}"
        if result.value is None:
            checks.append(Check(name, False, f"not tried: {result.error}", "install what is missing first"))
        elif result.value[model]["error"]:
            remedy = f"install again, or correct or unset {variable}"
            checks.append(Check(name, False, result.value[model]["error"], remedy))
        else:
            file = Path(result.value[model]["file"])
            checks.append(Check(name, True, f"{file}, {file.stat().st_size / 1e6:.1f} MB"))
    return checks
