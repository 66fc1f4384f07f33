# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's words and figures from a small benchmark, and what a wrong file is told."""

import json

import pytest
from typer.testing import CliRunner

from ds2c2.cli.program import app
from ds2c2.evaluation import report
from ds2c2.files import distinct

LOSSES = [0.0, 0.5, 1.0]


def curve(name, codec, design, rules, figures):
    results = {
        "rate": [0.26] * 3,
        "channel": ["iid"] * 3,
        "loss": LOSSES,
        "psnr-rgb": figures,
        "psnr-rgb-low": [figure - 0.25 for figure in figures],
        "psnr-rgb-high": [figure + 0.25 for figure in figures],
        "psnr-rgb-worst-5": [figure - 2 for figure in figures],
        "ms-ssim-rgb": [0.95, 0.9, None],
    }
    return {"name": name, "codec": codec, "design": design, "rules": rules, "results": results}


@pytest.fixture
def results():
    return {
        "name": "kodak",
        "description": "2 pictures, 3 seeds, blocks of 100 bytes",
        "settings": {
            "model": "coded", "weights": "0123456789", "rates": [0.26], "losses": LOSSES, "channels": ["iid"],
            "rules": ["paper", "air"], "seeds": 3, "block_size": 100, "base_bpp": 0.026, "paper_base_bpp": 0.044,
            "redundancy": 2.0, "rivals": ["hevc", "avif", "webp", "jpeg2000", "jpeg", "layered"],
            "missing": {"jxl": "the package pillow-jxl-plugin is not installed"},
        },
        "machine": {"processor": "abacus", "cores": 2},
        "curves": [
            curve("ours", "ds2c2", "", "paper", [27.0, 26.0, 23.0]),
            curve("ours", "ds2c2", "", "air", [26.5, 25.5, 14.0]),
            curve("HEVC, unprotected", "hevc", "none", "both", [30.0, 14.0, 14.0]),
            curve("HEVC, code for 50 % loss", "hevc", "50 %", "both", [25.0, 25.0, 14.0]),
        ],
        "best-fixed": {"hevc": {"0.26": "50 %"}},
        "not-measured": {"jxl": "the package pillow-jxl-plugin is not installed"},
    }  # fmt: skip


def section(page, title):
    """The text below a heading, without the next one."""
    return page.split(f"### {title}\n\n")[1].split("\n\n#")[0]


def test_headline_table(results):
    assert section(report.render([results]), "0.26 bpp, independent losses, air rules") == (
        "Air rules: base blocks are lost like the others, their redundancy is counted. "
        "95 % interval of our means at most ±0.250 dB.\n\n"
        "| blocks lost | 0 % | 50 % | 100 % | mean 0–50 % |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| **ours** | 26.50 | 25.50 | 14.00 | 26.00 |\n"
        "| HEVC, code for 50 % loss | 25.00 | 25.00 | 14.00 | 25.00 |"
    )


def test_what_is_not_beaten_is_computed(results):
    assert section(report.render([results]), "Not beaten, air rules") == (
        "Where some rival's curve, unprotected ones too, is better:\n\n"
        "* 0.26 bpp, independent losses: at 0 % 1 curve, most HEVC, unprotected by 3.50 dB. "
        "Nothing measured is better at 50 %, 100 %."
    )


def test_nothing_better_is_said_too(results):
    del results["curves"][2]
    text = section(report.render([results]), "Not beaten, paper rules")
    assert text.endswith("* 0.26 bpp, independent losses: nothing measured is better.")


def test_the_paper_stands_apart_with_its_channel(results):
    assert section(report.render([results]), "Beside the paper").splitlines()[2:] == [
        "|  | bpp | channel | 0 % | 16 % |",
        "| --- | --- | --- | --- | --- |",
        "| the paper, trained with 8 % errors | 0.14 | 1s become 0s, places unknown | 24.67 | 24.50 |",
        "| the paper, trained with 0 % errors | 0.14 | 1s become 0s, places unknown | 25.30 | 23.67 |",
        "| the paper, trained with 8 % errors | 0.26 | 1s become 0s, places unknown | 27.95 | 27.32 |",
        "| the paper, trained with 0 % errors | 0.26 | 1s become 0s, places unknown | 28.25 | 25.03 |",
        "| **ours** | 0.14 | blocks missing, places known | – | – |",
        "| **ours** | 0.26 | blocks missing, places known | 27.00 | – |",
    ]


def test_what_was_not_measured_is_said(results):
    assert "Not measured: JPEG XL (libjxl): the package pillow-jxl-plugin is not installed." in report.render([results])


def test_other_pictures_have_no_paper_beside_them(results):
    results["name"] = "smooth"
    assert "the paper" not in report.render([results]).split("## smooth")[1].replace("paper rules", "")


def test_missing_ms_ssim_is_a_dash(results):
    assert "| **ours** | 0.9500 | 0.9000 | – |" in report.render([results])


@pytest.mark.parametrize("content", [None, "[]", '{"name": 1}', "no json"])
def test_a_file_that_is_no_benchmark(tmp_path, content):
    if content is not None:
        (tmp_path / "benchmark.json").write_text(content)
    with pytest.raises(report.ReportError, match="no benchmark's results"):
        report.read_results(tmp_path)


def test_a_folder_is_read(tmp_path, results):
    (tmp_path / "benchmark.json").write_text(json.dumps(results))
    assert report.read_results(tmp_path) == results


def test_the_command_measures_the_same_again(results):
    assert (
        "ds2c2 benchmark kodak --out judged/kodak --model coded --rates 0.26 --losses 0,50,100 --channels iid "
        "--rules paper,air --seeds 3 --block-size 100 --base-bpp 0.026 --paper-base-bpp 0.044 --redundancy 2.0\n"
    ) in report.render([results])


@pytest.mark.parametrize(
    ("rivals", "words"),
    [(["hevc", "ssdv"], "--redundancy 2.0 --rivals hevc,ssdv\n"), ([], "--redundancy 2.0 --no-rivals\n")],
)
def test_the_command_names_rivals_that_are_not_the_usual(results, rivals, words):
    results["settings"] |= {"rivals": rivals, "missing": {}}
    assert words in report.render([results])


def test_a_single_draw_has_no_interval(results):
    results["settings"]["seeds"] = 1
    assert "95 % interval of our means not known of a single draw.\n" in report.render([results])


def test_two_benchmarks_of_one_name_keep_their_plots(tmp_path, results):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "benchmark.json").write_text(json.dumps(results))
        (tmp_path / folder / "psnr-over-loss-air.png").write_bytes(folder.encode())
    page = tmp_path / "page.md"
    found = CliRunner().invoke(app, ["report", str(tmp_path / "one"), str(tmp_path / "two"), "--into", str(page)])
    assert found.exit_code == 0, found.output
    for name, folder in (("kodak", "one"), ("kodak-2", "two")):
        assert (tmp_path / "images" / f"{name}-psnr-over-loss-air.png").read_bytes() == folder.encode()
        assert f"](images/{name}-psnr-over-loss-air.png)" in page.read_text()


def test_names_stay_apart():
    assert distinct(["a", "a", "a-2", "b", "a"]) == ["a", "a-2", "a-2-2", "b", "a-3"]


def test_plots_are_copied_beside_the_page(tmp_path, results):
    folder, page = tmp_path / "judged", tmp_path / "docs" / "results.md"
    folder.mkdir()
    for name in ("psnr-over-loss-air.png", "psnr-over-rate-0.png"):  # one rate is no curve
        (folder / name).write_bytes(b"plot")
    copies = report.copy_plots(folder, results, page)
    assert [copy.relative_to(page.parent).as_posix() for copy in copies] == ["images/kodak-psnr-over-loss-air.png"]
    assert copies[0].read_bytes() == b"plot"
    assert "](images/kodak-psnr-over-loss-air.png)" in report.render([results], [copies])


def test_several_rates_begin_with_their_means(results):
    assert "at every rate" not in report.render([results])
    results["settings"]["rates"] = [0.26, 0.5]
    for one in results["curves"]:
        figures = one["results"]
        for key, values in figures.items():
            figures[key] = values + ([0.5] * 3 if key == "rate" else values)
    results["curves"][3]["results"]["psnr-rgb"][3:] = [27.0, 27.0, 14.0]
    results["best-fixed"]["hevc"]["0.5"] = "50 %"
    assert section(report.render([results]), "Mean PSNR over 0–50 % loss at every rate") == (
        "| rules | channel | bpp | ours | best fixed design | ours ahead by | which |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| paper | independent losses | 0.26 | 26.50 | 25.00 | +1.50 | HEVC, code for 50 % loss |\n"
        "| paper | independent losses | 0.5 | 26.50 | 27.00 | -0.50 | HEVC, code for 50 % loss |\n"
        "| air | independent losses | 0.26 | 26.00 | 25.00 | +1.00 | HEVC, code for 50 % loss |\n"
        "| air | independent losses | 0.5 | 26.00 | 27.00 | -1.00 | HEVC, code for 50 % loss |"
    )
