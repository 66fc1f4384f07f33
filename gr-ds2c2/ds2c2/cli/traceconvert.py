# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 trace convert``: a trace of another tool to our own, or to one for another tool."""

from pathlib import Path
from typing import Annotated

import typer

from ds2c2.cli.reading import ReadingOptions, say
from ds2c2.cli.spread import takes
from ds2c2.cli.trace import console, trace_app
from ds2c2.files import check_free


@trace_app.command()
@takes(other=ReadingOptions)
def convert(
    other: ReadingOptions,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A trace in any format that is read: docs/traces.md.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The file to write; a folder for several links.")],
    to: Annotated[
        str,
        typer.Option(metavar="FORMAT", help="trace (ours), digits, digits-received, columns, indices (ns-3) or inet."),
    ] = "trace",
) -> None:
    """Read a trace of any tool and write it as a loss trace, or for another tool."""
    import re

    from ds2c2.traces.exports import EXPORTS, TRACE, write_as
    from ds2c2.traces.losstrace import TraceError, read_links

    if to != TRACE and to not in EXPORTS:
        raise TraceError(f"--to {to!r} is unknown; choose one of {', '.join((TRACE, *EXPORTS))}")
    links = read_links(file, other.reading())
    say(console, links.said)
    many = len(links.traces) > 1
    if many and Path(out).exists() and not Path(out).is_dir():
        raise TraceError(f"{file}: {len(links.traces)} links in it; {out} is a file: name a folder, or one with --link")
    used: dict[str, str] = {}
    written = []
    for name, trace in links.traces.items():
        plain = re.sub(r"[^\w.-]+", "_", name) or "link"
        path = Path(out) / f"{plain}.{'csv' if to in (TRACE, 'columns') else 'txt'}" if many else Path(out)
        if str(path) in used:
            raise TraceError(f"{file}: links {used[str(path)]!r} and {name!r} would both be {path}; use --link")
        used[str(path)] = name
        check_free(path)
        written.append((path, trace))
        if name:
            trace.about["link"] = name
        if links.said:
            trace.about["read_as"] = "; ".join(links.said[:5])
    for path, trace in written:
        write_as(path, trace, to)
        lost = trace.lost()
        console.print(f"wrote {path}: {len(lost)} packets, {lost.sum()} lost", markup=False)
