# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 report``: benchmarks to a page of tables."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ds2c2.cli.terminal import Terminal
from ds2c2.errors import FileError
from ds2c2.files import check_place, distinct, make_folder, write_text

console = Terminal()


def report(
    benchmarks: Annotated[list[str], typer.Argument(help="Folders that `ds2c2 benchmark` wrote, or benchmark.json.")],
    into: Annotated[str, typer.Option(metavar="FILE", help="The Markdown page to write.")],
) -> None:
    """Write tables and plots of one or more benchmarks as one Markdown page."""
    from ds2c2.evaluation.report import copy_plots, read_results, render

    path = Path(into)
    for source in benchmarks:
        if os.path.realpath(path) in (os.path.realpath(source), os.path.realpath(Path(source) / "benchmark.json")):
            raise FileError(f"--into {into}: results that are read; choose another name")
    check_place(path)
    results = [read_results(source) for source in benchmarks]
    make_folder(path.parent)
    names = distinct(one["name"] for one in results)
    plots = [copy_plots(source, one, path, name) for source, one, name in zip(benchmarks, results, names, strict=True)]
    write_text(path, render(results, plots))
    console.print(f"wrote {', '.join(map(str, [path, *(plot for copies in plots for plot in copies)]))}", markup=False)
