# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes for conda and PyBOMBS say what pyproject.toml and MANIFEST.yml say."""

import re
import tomllib
from pathlib import Path

import jinja2
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import ds2c2

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / ".conda" / "recipe"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MANIFEST = yaml.safe_load((ROOT / "MANIFEST.yml").read_text())
CONDA_NAMES = {"torch": "pytorch"}  # others are called as on PyPI


def render(gnuradio_extra_pin: str) -> dict:
    """What conda-build makes of meta.yaml: Jinja first, then lines whose selector is false go."""
    variables = {"gnuradio_extra_pin": gnuradio_extra_pin}
    template = jinja2.Template((RECIPE / "meta.yaml").read_text(), undefined=jinja2.StrictUndefined)
    kept = []
    for line in template.render(variables).splitlines():
        selector = re.search(r"# \[(.+)\]$", line)
        if not selector or eval(selector[1], {}, variables):
            kept.append(line)
    return yaml.safe_load("\n".join(kept))


def versions(lines: list[str]) -> dict[str, SpecifierSet]:
    """``name specifiers`` as conda writes them, by name."""
    parts = [line.partition(" ") for line in lines]
    return {name: SpecifierSet(specifiers) for name, _, specifiers in parts}


def test_the_conda_recipe_asks_for_what_the_project_asks_for() -> None:
    recipe = render("")
    assert recipe["package"] == {"name": "gnuradio-ds2c2", "version": ds2c2.__version__}
    wanted = {Requirement(text).name: Requirement(text).specifier for text in PROJECT["project"]["dependencies"]}
    wanted = {CONDA_NAMES.get(name, name): specifier for name, specifier in wanted.items()}
    (pip,) = (line for line in recipe["test"]["commands"] if "pip install" in line)
    from_pypi = {Requirement(text).name: Requirement(text).specifier for text in re.findall(r'"(.+?)"', pip)}
    run = versions(recipe["requirements"]["run"])
    assert run.pop("python") == SpecifierSet(PROJECT["project"]["requires-python"])
    assert f"gnuradio ({str(run.pop('gnuradio')).replace('>=', '>= ')})" in MANIFEST["dependencies"]
    assert run | from_pypi == wanted
    assert not run.keys() & from_pypi.keys()
    assert pip.removeprefix("python -m ") in (ROOT / ".conda" / "README.md").read_text()


def test_the_conda_package_is_built_and_named_as_the_projects_own() -> None:
    recipe = render("")
    (backend,) = map(Requirement, PROJECT["build-system"]["requires"])
    assert versions(recipe["requirements"]["host"])[backend.name] == backend.specifier
    (script,) = PROJECT["project"]["scripts"].items()
    assert recipe["build"] == {"number": 0, "noarch": "python", "entry_points": [" = ".join(script)]}
    assert recipe["about"]["license"] == PROJECT["project"]["license"]
    assert (ROOT / recipe["about"]["license_file"]).is_file()
    assert recipe["source"] == {"git_url": "../.."} and (RECIPE / "../.." / "pyproject.toml").is_file()
    for path in re.findall(r"\$PREFIX/share/(\S+)", "\n".join(recipe["test"]["commands"])):
        folder = "gr-ds2c2/grc" if path.endswith(".block.yml") else "flowgraphs"
        assert (ROOT / folder / Path(path).name).is_file()


@pytest.mark.parametrize("pin", yaml.safe_load((RECIPE / "conda_build_config.yaml").read_text())["gnuradio_extra_pin"])
def test_the_conda_recipe_is_one_for_each_version_of_gnuradio_it_lists(pin: str) -> None:
    (gnuradio,) = (line for line in render(pin)["requirements"]["run"] if line.split()[0] == "gnuradio")
    assert gnuradio == (f"gnuradio {pin}.*" if pin else "gnuradio >=3.10.1")


def test_a_version_of_gnuradio_can_be_pinned() -> None:
    assert "gnuradio 3.10.9.*" in render("3.10.9")["requirements"]["run"]


def test_the_recipe_for_pybombs_says_what_the_manifest_says() -> None:
    recipe = yaml.safe_load((ROOT / "docs" / "gr-ds2c2.lwr").read_text())
    assert (ROOT / "docs" / f"{MANIFEST['title']}.lwr").is_file()
    assert recipe["description"] == MANIFEST["brief"]
    assert [name.split()[0] for name in MANIFEST["dependencies"]][:1] == recipe["depends"] == ["gnuradio"]
    assert recipe["inherit"] == "cmake" and (ROOT / "CMakeLists.txt").is_file()
    # No address of the repository is public; until MANIFEST.yml has one, the user's own clone stands there.
    assert recipe["source"] == (f"git+{MANIFEST['repo']}" if MANIFEST["repo"] else "git+file:///PATH/TO/gr-ds2c2")
    assert recipe["install"].endswith("-r ../constraints.txt") and (ROOT / "constraints.txt").is_file()
