# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``trace fit`` says on the screen and in its JSON of one link and of many."""

import io
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from ds2c2.cli import tracefit
from ds2c2.cli.program import app
from ds2c2.cli.terminal import Terminal


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs ``ds2c2 trace fit`` on losses by file name; gives what it printed, of one space each, and its JSON."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracefit, "console", Terminal(width=200))

    def fit(links: dict[str, np.ndarray], *arguments: str) -> tuple[str, dict]:
        (tmp_path / "links").mkdir()
        for name, lost in links.items():
            (tmp_path / "links" / name).write_text("".join(f"{int(one)}\n" for one in lost))
        (given,) = [f"links/{name}" for name in links] if len(links) == 1 else ["links"]
        done = CliRunner().invoke(app, ["trace", "fit", given, "--json", "fit.json", *arguments])
        assert done.exit_code == 0, done.output
        return " ".join(done.stdout.split()), json.loads((tmp_path / "fit.json").read_text())

    return fit


ALTERNATE = np.arange(400) % 2 == 1


def test_the_models_that_one_link_refutes_are_named(run):
    said, found = run({"a.txt": ALTERNATE}, "--seed", "3")
    assert "Refuted: i.i.d. (by bursts, gaps)." in said and "None of them" not in said
    assert list(found["p-values"]) == [model["name"] for model in found["models"]]
    assert found["p-values"]["iid"]["bursts"] < 0.0125 < found["p-values"]["iid"]["loss"]
    assert found["seed"] == 3


def test_that_none_is_refuted_is_said(run):
    said, found = run({"a.txt": np.random.default_rng(1).random(500) < 0.2})
    assert "None of them is refuted." in said
    assert all(p > 0.0125 for tested in found["p-values"].values() for p in tested.values())


def test_links_on_which_a_model_was_not_tested_are_no_refusals(run):
    """Bursts can be fitted to one link of three."""
    still = np.zeros(60, bool)
    said, found = run({"a.txt": still, "b.txt": still, "c.txt": np.random.default_rng(1).random(500) < 0.2})
    chain = next(row for row in found["shares"] if row["name"] == "gilbert-elliott")
    assert (chain["own"], chain["tested"]) == (1, 1)
    assert "│ Gilbert–Elliott, loss 0 and 1 │ 0 of 3 │ 1 of 1 │" in said and "│ 0% │ 100% │" in said


def test_a_terminal_sees_what_takes_long(run, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(tracefit, "console", Terminal(force_terminal=True, file=screen, width=200))
    run({"a.txt": ALTERNATE})
    assert "fitting models to 400 packets" in screen.getvalue() and "testing models" in screen.getvalue()
