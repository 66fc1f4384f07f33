# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 trace``: loss traces of a link, shown and fitted."""

import json
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ds2c2.cli import options, sources
from ds2c2.cli.radio import ReceivingOptions
from ds2c2.cli.reading import ReadingOptions, read_one
from ds2c2.cli.spread import takes
from ds2c2.cli.terminal import Table, Terminal
from ds2c2.errors import NothingReceived
from ds2c2.files import check_free, check_place, make_folder, write_text
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.packetkey import read_key

console = Terminal()
trace_app = typer.Typer(no_args_is_help=True, help="Loss traces: what became of every packet of a link.")
File = Annotated[str, typer.Argument(metavar="FILE", help="A loss trace, or a file of another tool: docs/traces.md.")]


@trace_app.command()
@takes(radio=ReceivingOptions)
def record(
    out: Annotated[str, typer.Option(metavar="FILE", help="The loss trace to write (CSV).")],
    radio: ReceivingOptions,
    source: sources.From = "",
    format_: options.Format = "",
    stream: options.StreamNumber = 0,
    key: options.Key = "",
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
    from ds2c2.traces.losstrace import TraceError, write_trace
    from ds2c2.traces.tracerecorder import TraceRecorder
    from ds2c2.transport.packetsource import Listener

    if sources.only_asked(radio, source):
        return
    check_place(out)
    check_free(out)
    secret = read_key(key)
    with sources.open_source(radio, source, format_, off_loopback) as link:
        about = link.about | ({"run": run} if run else {}) | ({"note": note} if note else {})
        recorder = TraceRecorder(pinned(link.stream), stream, first, about=about, key=secret)
        silence, ended = min(sources.END_SILENCE, wait), lambda: recorder.ended
        listener = Listener(link, silence, wait, ended, lambda: recorder.taken, recorder.signed)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: listener.stop())
        for line in sources.listening_lines(radio, source):
            console.print(line, markup=False)
        with console.status("waiting for packets") as status:
            for arrivals in listener:
                if listener.quiet:
                    recorder.settle()
                recorder.take(arrivals)
                status.update(f"{listener.good} packets")
    if listener.gave_up:
        console.print(f"no packet for {wait:g} s and no end of stream: stopping")
    try:
        trace = recorder.finish()
    except TraceError as error:
        raise NothingReceived(str(error)) from None
    write_trace(out, trace)
    for line in filter(None, (listener.trouble, link.unheard)):
        console.print(line, markup=False)
    counts = ", ".join(f"{count} {status}" for status, count in trace.counts().items())
    others = ", ".join(f"{count} {kind}" for kind, count in recorder.counts.items() if count and kind != "end")
    console.print(f"{counts}{f'; no row: {others}' if others else ''}", markup=False)
    console.print(f"wrote {out}: {len(trace)} packets", markup=False)


@trace_app.command()
@takes(other=ReadingOptions)
def show(
    file: File,
    other: ReadingOptions,
    plot: Annotated[str, typer.Option(metavar="PNG", help="Plot loss over time, run lengths, autocorrelation.")] = "",
) -> None:
    """Show what a loss trace holds: packets by status, loss rate, bursts, SNR."""
    from ds2c2.evaluation.compare.report import statistics_rows
    from ds2c2.traces.lossstatistics import statistics
    from ds2c2.traces.losstrace import HOST_DROP

    check_free(plot)
    trace = read_one(file, other, console)
    lost = trace.lost()
    table = Table(title=Path(file).name, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for key, value in trace.about.items():
        table.add_row(key, value)
    table.add_section()
    for status, count in trace.counts().items():
        table.add_row(status, str(count))
    for events in ("underruns", "overruns"):
        table.add_row(events, str(int(getattr(trace, events).sum())))
    for column, unit in (("time", "s"), ("snr_db", "dB"), ("cfo", "cycles/sample")):
        table.add_row(column, value_range(getattr(trace, column), unit))
    table.add_section()
    for row in statistics_rows(asdict(statistics(lost)) | {"rate": lost.mean()}) if len(lost) else ():
        table.add_row(*row)
    console.print(table)
    if dropped := int((trace.status == HOST_DROP).sum()):
        console.print(f"{dropped} packets were lost by the host; the figures of the link leave them out")
    for place in trace.resumes:
        console.print(f"a gap of unknown length before sequence {place}: the sender restarted, or a long silence")
    if plot:
        console.print(f"wrote {_plot(lost, Path(plot))}", markup=False)


def value_range(values, unit: str) -> str:  # noqa: ANN001 - an array; numpy is not imported here
    """``3.10 to 21.50 dB`` of the known ones."""
    known = values[values == values]
    return f"{known.min():.4g} to {known.max():.4g} {unit}" if len(known) else "not known"


def write_json(path: Path, content: dict) -> None:
    """Write JSON, whole or not at all. Raises ``FileError``."""
    make_folder(path.parent)
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _plot(lost, path: Path) -> Path:  # noqa: ANN001
    from ds2c2.traces.lossmodels import fit, statistics
    from ds2c2.traces.losstrace import TraceError

    try:
        from ds2c2.evaluation.compare.plots import draw_trace
    except ImportError:
        raise TraceError("--plot needs the package matplotlib, which is not installed") from None
    make_folder(path.parent)
    return draw_trace(lost, statistics(lost), fit(lost), path)
