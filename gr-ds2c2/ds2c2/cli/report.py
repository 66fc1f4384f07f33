# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 report``: benchmarks to a page of tables."""

from pathlib import Path
from typing import Annotated

import typer

from ds2c2.cli.terminal import Terminal
from ds2c2.files import make_folder, write_text

console = Terminal()


def report(
    benchmarks: Annotated[list[str], typer.Argument(help="Folders that `ds2c2 benchmark` wrote, or benchmark.json.")],
    into: Annotated[str, typer.Option(metavar="FILE", help="The Markdown page to write.")],
) -> None:
    """Write tables and plots of one or more benchmarks as one Markdown page."""
    from ds2c2.evaluation.report import copy_plots, read_results, render

    results = [read_results(source) for source in benchmarks]
    path = Path(into)
    make_folder(path.parent)
    plots = [copy_plots(source, one, path) for source, one in zip(benchmarks, results, strict=True)]
    write_text(path, render(results, plots))
    console.print(f"wrote {', '.join(map(str, [path, *(plot for copies in plots for plot in copies)]))}", markup=False)
