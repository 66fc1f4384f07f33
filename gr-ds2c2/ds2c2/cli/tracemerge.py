# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 trace merge``: the receiver's trace with what the sender knows of its own host."""

from typing import Annotated

import typer

from ds2c2.cli.trace import console, trace_app
from ds2c2.files import check_free, check_place
from ds2c2.traces.tracerecorder import HOST_WINDOW


@trace_app.command()
def merge(
    receiver: Annotated[str, typer.Argument(metavar="RECEIVER", help="Loss trace of the receiving side.")],
    sender: Annotated[str, typer.Argument(metavar="SENDER", help="Log of `ds2c2 send --log`, of the same run.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="The loss trace to write (CSV).")],
    window: Annotated[
        float, typer.Option(min=0.0, help="Seconds around the sender's underruns in which a loss is its host's.")
    ] = HOST_WINDOW,
) -> None:
    """Tell what the sender's host lost from what the channel lost, in one trace in the order of sending."""
    from ds2c2.traces.losstrace import read_trace_file, write_trace
    from ds2c2.traces.merging import merge as merged

    check_place(out)
    check_free(out)
    trace, said = merged(read_trace_file(receiver), read_trace_file(sender), window)
    write_trace(out, trace)
    for words in said:
        console.print(words, markup=False)
    lost = trace.lost()
    console.print(f"wrote {out}: {len(lost)} packets met the channel, {int(lost.sum())} were lost by it", markup=False)
