# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 benchmark`` and ``ds2c2 report`` as a user has them."""

import json
import os
import re

import pytest
from PIL import Image

from ds2c2.evaluation.rivals.rivals import missing

SMALL = ("--limit", "1", "--rates", "0.7", "--losses", "0,16", "--seeds", "2", "--block-size", "48", "--jobs", "1")
RIVALS = ("--rivals", "webp,layered")


def test_results_plots_and_report_and_a_second_run_that_adds_nothing(ds2c2, photographs, tmp_path):
    command = ("benchmark", photographs, *SMALL, *RIVALS, "--out", "judged")
    done = ds2c2(*command)
    assert done.returncode == 0, done.stderr
    judged = tmp_path / "judged"
    assert "wrote judged/benchmark.json" in done.stdout
    assert re.search(r"our codec's units will take about \d+:\d\d:\d\d; the rivals' come on top", done.stdout)
    first = (judged / "benchmark.json").read_bytes()
    results = json.loads(first)
    assert results["name"] == "photographs"
    assert [p["name"] for p in results["settings"]["pictures"]] == ["astronaut"]
    assert {c["codec"] for c in results["curves"]} == {"ds2c2", "webp", "layered"}
    for plot in ("psnr-over-loss-air.png", "psnr-over-loss-paper.png", "psnr-over-rate-16.png"):
        assert Image.open(judged / plot).width > 800
    assert not list(judged.glob("*.part")) and not list(judged.glob(".*"))

    again = ds2c2(*command)
    assert "4 of 4 were finished before" in again.stdout and "will take" not in again.stdout
    assert (judged / "benchmark.json").read_bytes() == first

    refused = ds2c2(*command, "--survive", "0.3")
    assert refused.returncode == 11
    assert refused.stderr.splitlines() == [
        "ds2c2: judged was begun with survive 0.5, now 0.3; use the same settings or another --out"
    ]

    page = ds2c2("report", "judged", "--into", "pages/results.md")
    assert page.returncode == 0 and "wrote pages/results.md" in page.stdout
    assert "## photographs: 1 picture, 2 seeds, blocks of 48 bytes" in (tmp_path / "pages" / "results.md").read_text()


@pytest.mark.parametrize(
    ("code", "options", "words"),
    [
        (11, ("--rates", "a lot"), "--rates 'a lot': numbers are wanted, separated by commas"),
        (11, ("--rivals", "gif"), "rival 'gif' is unknown; choose from hevc"),
        (11, ("--channels", "radio"), "channel 'radio' is none of the benchmark's"),
        (8, ("--losses", "0,120"), "loss 1.2 is out of range"),
        (4, ("--rates", "0.1"), "too low for the base layer"),
        (5, ("--model", "nosuch"), "'nosuch' is unknown"),
        (11, ("--rivals-from", "nowhere"), "nowhere: no benchmark there"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(ds2c2, photographs, tmp_path, code, options, words):
    alone = () if "--rivals" in options else ("--no-rivals",)
    process = ds2c2("benchmark", photographs, *SMALL, *alone, "--out", "judged", *options)
    assert process.returncode == code, process.stderr
    assert process.stderr.count("\n") == 1 and words in process.stderr
    assert not (tmp_path / "judged").exists()


def test_a_file_where_the_folder_should_be(ds2c2, photographs, tmp_path):
    (tmp_path / "judged").write_text("mine")
    process = ds2c2("benchmark", photographs, *SMALL, "--no-rivals", "--out", "judged")
    assert process.returncode == 7 and process.stderr.count("\n") == 1
    assert "judged: cannot be written (it is no folder)" in process.stderr


def test_report_of_nothing(ds2c2):
    process = ds2c2("report", "nowhere", "--into", "results.md")
    assert process.returncode == 11 and "no benchmark's results" in process.stderr


@pytest.mark.skipif(bool(missing("jxl")), reason="pillow-jxl-plugin is not installed")
def test_a_rival_that_is_not_installed_is_named(ds2c2, photographs, tmp_path):
    """An absent package is simulated by one of its name that cannot be imported."""
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "pillow_jxl.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join([str(tmp_path / "shadow"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = ds2c2("benchmark", photographs, *SMALL, "--rivals", "webp,jxl", "--out", "judged", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "not measured: jxl, the package pillow-jxl-plugin is not installed" in done.stdout
    results = json.loads((tmp_path / "judged" / "benchmark.json").read_text())
    assert results["not-measured"] == {"jxl": "the package pillow-jxl-plugin is not installed"}
