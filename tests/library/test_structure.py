# SPDX-License-Identifier: GPL-3.0-or-later
"""How the library hangs together: rooms in the order that data flows, and no GNU Radio in any of them."""

import ast
import importlib
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

# The rooms, in the order that data flows: a module imports from its own room and from those before it.
ROOMS = [
    "pictures",
    "stream",
    "networks",
    "codec",
    "transport",
    "links",
    "traces",
    "channels",
    "ends",
    "watch",
    "serve",
    "training",
    "evaluation",
    "paper",
    "cli",
]
# What stands in no room: what all use, the front door, and names that scripts of version 0.1 import.
COMMON = {"errors", "files"}
DOORS = {"__init__", "__main__", "streamformat", "packetsource", "losstrace", "lossmodels"}


def imported_by(path: Path) -> set[str]:
    """Rooms and common modules that a file imports, at its top or anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: the library imports by whole names"
            names = [node.module] if node.module != "ds2c2" else [f"ds2c2.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("ds2c2.")}
    return found - {"__version__"}


def test_every_module_is_in_a_room():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} - {
        "models",
        "recipes",
    } == set(ROOMS)
    assert {path.stem for path in PACKAGE.glob("*.py")} == COMMON | DOORS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_it(room):
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    allowed = {*COMMON, *ROOMS[: ROOMS.index(room) + 1]}
    for path in files:
        assert imported_by(path) <= allowed, path.relative_to(PACKAGE)


def test_what_all_use_imports_no_room():
    for name in COMMON:
        assert imported_by(PACKAGE / f"{name}.py") <= COMMON, name


def test_every_name_that_is_imported_is_there():
    """Inside functions, too, where nothing else looks before they run."""
    absent = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ds2c2":
                module = importlib.import_module(node.module)
                absent += [
                    f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.module} has no {alias.name}"
                    for alias in node.names
                    if alias.name != "*"
                    and not hasattr(module, alias.name)
                    and f"{node.module}.{alias.name}" not in MODULES
                ]
    assert absent == []


def circles(edges: dict[str, set[str]]) -> set[str]:
    """Modules that import each other, by any way round."""
    found = set()
    for start in edges:
        reached, waiting = set(), list(edges[start])
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting.extend(edges.get(name, ()))
        if start in reached:
            found.add(start)
    return found


def test_no_two_modules_import_each_other():
    """Not even from within a function."""
    known = set(MODULES)
    edges = {}
    for name in MODULES:
        path = PACKAGE.parent / Path(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        targets = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= {one if one in known else node.module for one in whole}
        edges[name] = {target for target in targets if target in known and target != name}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == {"b", "c"}
    assert circles(edges) == set()


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
    """Flowgraphs must open quickly: all about packets knows no networks. Nor does a radio host's relay."""
    rooms = ("ds2c2.pictures", "ds2c2.stream", "ds2c2.transport", "ds2c2.links", "ds2c2.traces")
    light = [name for name in MODULES if name.startswith(rooms)]
    light += ["ds2c2.channels.packetchannel", "ds2c2.networks.modelfiles", "ds2c2.serve.relay"]
    light += [name for name in MODULES if name.startswith("ds2c2.watch")]
    script = f"import sys, importlib; [importlib.import_module(name) for name in {light}]; "
    script += "import ds2c2; ds2c2.StreamFormat; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr


def test_the_front_door_has_what_it_names():
    for name in ds2c2.__all__:
        assert getattr(ds2c2, name) is not None
        assert name in dir(ds2c2)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = ds2c2.nothing_like_it


def test_names_of_version_0_1_are_the_same_things():
    """Flowgraphs and scripts that were made with it go on working."""
    from ds2c2.codec import Codec
    from ds2c2.lossmodels import best, fit, statistics
    from ds2c2.losstrace import LossTrace, read_trace_file
    from ds2c2.packetsource import PacketSource
    from ds2c2.streamformat import StreamFormat
    from ds2c2.traces import lossmodels
    from ds2c2.transport import packetsource

    assert Codec is ds2c2.Codec
    assert StreamFormat is ds2c2.StreamFormat
    assert (LossTrace, read_trace_file) == (ds2c2.LossTrace, ds2c2.read_trace)
    assert fit is ds2c2.fit_losses
    assert (best, statistics) == (lossmodels.best, lossmodels.statistics)
    assert PacketSource is packetsource.PacketSource
