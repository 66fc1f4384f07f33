# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 report``: benchmarks to a page of tables."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console(highlight=False, soft_wrap=True)


def report(
    benchmarks: Annotated[list[str], typer.Argument(help="Folders that `ds2c2 benchmark` wrote, or benchmark.json.")],
    into: Annotated[str, typer.Option(metavar="FILE", help="The Markdown page to write.")],
) -> None:
    """Write tables and plots of one or more benchmarks as one Markdown page."""
    from ds2c2.evaluation.report import ReportError, copy_plots, read_results, render

    results = [read_results(source) for source in benchmarks]
    path = Path(into)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        plots = [copy_plots(source, one, path) for source, one in zip(benchmarks, results, strict=True)]
        part.write_text(render(results, plots), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ReportError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    console.print(f"wrote {', '.join(map(str, [path, *(plot for copies in plots for plot in copies)]))}", markup=False)
