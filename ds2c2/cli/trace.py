# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 trace``: loss traces of a link, recorded."""

import signal
from typing import Annotated

import typer
from rich.console import Console

from ds2c2.cli import options, sources

POLL_SECONDS = 0.5  # between two looks at whether to end
console = Console(highlight=False, soft_wrap=True)
trace_app = typer.Typer(no_args_is_help=True, help="Loss traces: what became of every packet of a link.")


@trace_app.callback()
def trace() -> None:
    """Keep the name of the only command so far."""


@trace_app.command()
def record(
    source: sources.From,
    out: Annotated[str, typer.Option(metavar="FILE", help="The loss trace to write (CSV).")],
    format_: options.Format = "",
    stream: options.StreamNumber = 0,
    first: Annotated[
        int | None,
        typer.Option(min=0, help="Sequence number of the first packet that was sent, where known, mostly 0."),
    ] = None,
    run: Annotated[str, typer.Option(metavar="TEXT", help="Name of the run; default: a random one.")] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="What should be known of it: place, antennas, gains.")] = "",
    wait: sources.Wait = 30.0,
    off_loopback: sources.OffLoopback = False,
) -> None:
    """Record what becomes of every packet, without decoding pictures; Ctrl-C ends it."""
    from ds2c2.losstrace import check_place, write_trace
    from ds2c2.packetsource import Listener
    from ds2c2.tracerecorder import TraceRecorder

    check_place(out)
    with sources.open_source(source, format_, off_loopback) as link:
        about = link.about | ({"run": run} if run else {}) | ({"note": note} if note else {})
        recorder = TraceRecorder(sources.pinned(link.stream), stream, first, about=about)
        listener = Listener(link, min(POLL_SECONDS, wait), wait, lambda: recorder.ended)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: listener.stop())
        if link.live:
            console.print(f"listening on {source}", markup=False)
        with console.status("waiting for packets") as status:
            for arrivals in listener:
                recorder.take(arrivals)
                status.update(f"{listener.good} packets")
    if listener.gave_up:
        console.print(f"no packet for {wait:g} s and no end of stream: stopping")
    trace = recorder.finish()
    write_trace(out, trace)
    if listener.trouble:
        console.print(listener.trouble, markup=False)
    counts = ", ".join(f"{count} {status}" for status, count in trace.counts().items())
    others = ", ".join(f"{count} {kind}" for kind, count in recorder.counts.items() if count and kind != "end")
    console.print(f"{counts}{f'; no row: {others}' if others else ''}", markup=False)
    console.print(f"wrote {out}: {len(trace)} packets", markup=False)
