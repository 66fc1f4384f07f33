# SPDX-License-Identifier: GPL-3.0-or-later
"""How the library hangs together: no GNU Radio in it, and nothing early imports anything late."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ds2c2

PACKAGE = Path(ds2c2.__file__).parent
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(ds2c2.__path__, "ds2c2.") if not module.name.endswith("__main__")
)

# The order in which data flows (ARCHITECTURE: rooms). A module may import those before it.
FLOW = [
    "errors",
    "labelsets",
    "pictures",
    "streamformat",
    "streamtags",
    "permutation",
    "networks",
    "smallpicture",
    "baselayer",
    "weightstorage",
    "weights",
    "softbits",
    "symboltables",
    "codeblocks",
    "mapcoder",
    "scalemodel",
    "favour",
    "labels",
    "labelcoder",
    "segmentation",
    "profiles",
    "codec",
    "interleaver",
    "symbolchannel",
    "packets",
    "linkframes",
    "ofdm",
    "recording",
    "udp",
    "packetsource",
    "assembler",
    "losstrace",
    "tracerecorder",
    "channel",
    "packetchannel",
    "air",
    "burstfinder",
    "gmsk",
    "losschain",
    "lossmodels",
    "metrics",
    "session",
    "serve",
]


def imported_by(path: Path) -> set[str]:
    """Rooms of the library that a file imports, at its top or anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "ds2c2" else [f"ds2c2.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("ds2c2.")}
    return found


@pytest.mark.parametrize("room", FLOW)
def test_nothing_early_imports_anything_late(room):
    files = sorted((PACKAGE / room).rglob("*.py")) if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]
    assert files
    allowed = {*FLOW[: FLOW.index(room)], room}
    for path in files:
        assert imported_by(path) <= allowed, path.name


def test_the_library_never_imports_gnu_radio():
    """Not even under a try: a host that only computes must need torch alone."""
    script = f"""
import importlib, sys
asked = []
class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("gnuradio", "pmt"):
            asked.append(name)
sys.meta_path.insert(0, Watch)
for name in {MODULES!r}:
    importlib.import_module(name)
assert not asked, asked
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr


def test_what_thin_blocks_need_does_not_load_torch():
    """Flowgraphs must open quickly: format, packets and channel know no networks. Nor does a radio host's relay."""
    script = (
        "import sys, ds2c2.packets, ds2c2.channel, ds2c2.assembler, ds2c2.interleaver, ds2c2.serve.relay; "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
