# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark: units, resuming, means, worst cases, and the words of its errors."""

import json
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ds2c2.errors import FormatError
from ds2c2.evaluation import benchmark, outcomes
from ds2c2.evaluation.progress import PROGRESS
from ds2c2.evaluation.summary import best_fixed, interval, mean_over_losses, summarise, value, worst
from ds2c2.networks.modelfiles import weights_digest


@pytest.fixture
def settings(models, tmp_path):
    pictures = []
    for name in ("astronaut", "coffee"):
        path = tmp_path / f"{name}.png"
        Image.fromarray(np.ascontiguousarray(getattr(skimage.data, name)()[60:156, 160:288])).save(path)
        pictures.append(outcomes.describe(path, name))
    return outcomes.BenchmarkSettings(
        name="two", pictures=tuple(pictures), model="binary", weights=weights_digest("binary"), interleave="bit",
        rates=(0.7, 0.9), losses=(0.0, 0.16, 1.0), channels=("iid", "gilbert-elliott"), seeds=2,
        rules=("paper", "air"), block_size=32, base_bpp=0.05, redundancy=1.0, rivals=("webp", "jpeg2000"),
    )  # fmt: skip


def in_process(settings, left, jobs, device):
    """The workers' work without processes, which take longer to start than these pictures."""
    for task in left:
        yield benchmark._work(settings, *task, device)


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(benchmark, "_spread", in_process)
    return lambda settings, folder: json.dumps(summarise(settings, benchmark.run(settings, folder, 1, "cpu")), indent=1)


def test_every_unit_is_a_line(settings, run, tmp_path):
    results = json.loads(run(settings, tmp_path / "out"))
    first, *lines = [json.loads(line) for line in (tmp_path / "out" / PROGRESS).read_text().splitlines()]
    assert first["settings"] == settings.identity()
    assert sorted(tuple(line["unit"]) for line in lines) == sorted(settings.units())
    assert len(lines) == 2 * 2 * (2 + 2)
    points = 2 * 2 * 3  # rates, channels, losses
    for curve in results["curves"]:
        assert {"bpp", "psnr-rgb", "ms-ssim-rgb"} <= curve["results"].keys()
        assert {len(values) for values in curve["results"].values()} == {points}
    # Ours twice, each rival unprotected and with five codes.
    assert len(results["curves"]) == 2 + 2 * 6
    rates = {c["results"]["bpp"][-1] for c in results["curves"]}
    assert len(rates) == 1 and 0.85 < rates.pop() <= 0.9


def test_rules_and_ends(settings, run, tmp_path):
    """Under paper rules the base layer comes through the loss of all else; under air rules grey is left."""
    results = json.loads(run(replace(settings, rivals=()), tmp_path / "out"))
    paper, air = results["curves"]
    assert (paper["rules"], air["rules"]) == ("paper", "air")
    assert value(paper, 0.9, 1.0, key="nothing") == 0.0
    assert value(air, 0.9, 1.0, key="nothing") == 1.0
    greys = [
        outcomes.quality(pixels, np.full_like(pixels, 128))[0]
        for pixels in (np.asarray(Image.open(p.path)) for p in settings.pictures)
    ]
    assert value(air, 0.9, 1.0) == pytest.approx(np.mean(greys))
    assert value(paper, 0.9, 0.0, key="seeds") == 1 and value(paper, 0.9, 0.16, key="seeds") == 2
    assert value(paper, 0.9, 0.0) == value(paper, 0.9, 0.0, "gilbert-elliott")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.83, 0.999])
def test_a_killed_run_goes_on_to_the_same_bytes(settings, run, tmp_path, kept):
    whole = run(settings, tmp_path / "out")
    path = tmp_path / "out" / PROGRESS
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])  # most often in the middle of a line
    assert run(settings, tmp_path / "out") == whole
    assert sorted(path.read_bytes().splitlines()) == sorted(data.splitlines())


def test_finished_units_are_not_computed_again(settings, run, tmp_path, monkeypatch):
    whole = run(settings, tmp_path / "out")
    monkeypatch.setattr(benchmark, "_work", None)
    assert run(settings, tmp_path / "out") == whole


def test_a_folder_begun_otherwise_is_refused(settings, run, tmp_path):
    run(replace(settings, rivals=()), tmp_path / "out")
    with pytest.raises(benchmark.BenchmarkError, match="was begun with seeds 2, now 3; use the same settings"):
        run(replace(settings, rivals=(), seeds=3), tmp_path / "out")
    fewer = replace(settings, rivals=(), pictures=settings.pictures[:1])
    with pytest.raises(benchmark.BenchmarkError, match="was begun with 2 pictures, now 1"):
        run(fewer, tmp_path / "out")


def test_a_file_that_is_no_progress_is_left_alone(settings, run, tmp_path):
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out" / PROGRESS
    mine.write_text("my notes\n")
    with pytest.raises(benchmark.BenchmarkError, match="not a benchmark's progress"):
        run(settings, tmp_path / "out")
    assert mine.read_text() == "my notes\n"


def test_rivals_are_taken_from_another_benchmark(settings, run, tmp_path, monkeypatch):
    whole = run(settings, tmp_path / "first")
    monkeypatch.setattr(outcomes, "measure_rival", None)
    known = benchmark.rivals_of(tmp_path / "first", settings)
    units = benchmark.run(settings, tmp_path / "second", 1, "cpu", known)
    assert json.dumps(summarise(settings, units), indent=1) == whole
    with pytest.raises(benchmark.BenchmarkError, match="was begun with rates"):
        benchmark.rivals_of(tmp_path / "first", replace(settings, rates=(0.5,)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"losses": ()}, "losses: none given"),
        ({"channels": ("exact",)}, "channel 'exact' is none of the benchmark's"),
        ({"rules": ("mine",)}, "rules 'mine' are unknown"),
        ({"seeds": 0}, "seeds 0"),
    ],
)
def test_impossible_settings_are_found_at_once(settings, change, words):
    with pytest.raises(benchmark.BenchmarkError, match=words):
        benchmark.check(replace(settings, **change))


def test_a_rate_that_no_picture_can_have_is_found_at_once(settings):
    with pytest.raises(FormatError, match="too low for the base layer"):
        benchmark.check(replace(settings, rates=(0.1,)))


def test_a_worker_that_dies_is_one_error(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "_start_worker", _die)
    with pytest.raises(benchmark.BenchmarkError, match="a worker died"):
        benchmark.run(settings, tmp_path / "out", 1, "cpu")


def _die():
    import os

    os._exit(9)


def test_interval_by_hand():
    # Student's t for two values: 12.706 standard errors; their standard error is 1.
    low, high = interval(np.array([29.0, 31.0]))
    assert (low, high) == pytest.approx((30 - 12.7062, 30 + 12.7062), abs=1e-3)
    assert interval(np.array([30.0])) == (30.0, 30.0)


def test_worst_is_the_mean_of_the_lowest_twentieth():
    assert worst(np.arange(40.0).reshape(4, 10)) == 0.5
    assert worst(np.array([[3.0, 2.0]])) == 2.0


def curve(codec, design, figures):
    losses = [0.0, 0.5, 1.0]
    results = {"rate": [0.26] * 3, "channel": ["iid"] * 3, "loss": losses, "psnr-rgb": figures}
    return {"codec": codec, "design": design, "rules": "both", "results": results}


def test_best_fixed_design_is_best_on_the_mean_and_never_unprotected():
    curves = [
        curve("hevc", "none", [40.0, 40.0, 40.0]),
        curve("hevc", "4 %", [31.0, 14.0, 14.0]),
        curve("hevc", "50 %", [27.0, 27.0, 14.0]),
    ]
    assert best_fixed(curves, (0.26,)) == {"hevc": {"0.26": "50 %"}}
    assert mean_over_losses(curves[1], 0.26) == 22.5  # all lost is not among the losses of the mean
