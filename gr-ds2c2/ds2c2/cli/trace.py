# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 trace``: loss traces of a link, shown and fitted."""

import json
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ds2c2.cli import options, sources
from ds2c2.cli.radio import ReceivingOptions
from ds2c2.cli.spread import takes
from ds2c2.files import make_folder, write_text
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.packetkey import read_key

console = Console(highlight=False, soft_wrap=True)
trace_app = typer.Typer(no_args_is_help=True, help="Loss traces: what became of every packet of a link.")
File = Annotated[str, typer.Argument(metavar="FILE", help="A loss trace, or a text of 0 and 1, one a line.")]


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
    from ds2c2.traces.losstrace import check_place, write_trace
    from ds2c2.traces.tracerecorder import TraceRecorder
    from ds2c2.transport.packetsource import Listener

    if sources.only_asked(radio, source, console):
        return
    check_place(out)
    secret = read_key(key)
    with sources.open_source(radio, source, format_, off_loopback) as link:
        about = link.about | ({"run": run} if run else {}) | ({"note": note} if note else {})
        recorder = TraceRecorder(pinned(link.stream), stream, first, about=about, key=secret)
        silence, ended = min(sources.END_SILENCE, wait), lambda: recorder.ended
        listener = Listener(link, silence, wait, ended, lambda: recorder.taken, recorder.signed)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: listener.stop())
        sources.say_listening(console, radio, source)
        with console.status("waiting for packets") as status:
            for arrivals in listener:
                if listener.quiet and link.live:
                    recorder.settle()
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


@trace_app.command()
def show(
    file: File,
    plot: Annotated[str, typer.Option(metavar="PNG", help="Plot loss over time, run lengths, autocorrelation.")] = "",
) -> None:
    """Show what a loss trace holds: packets by status, loss rate, bursts, SNR."""
    from ds2c2.evaluation.compare.report import statistics_rows
    from ds2c2.traces.lossstatistics import statistics
    from ds2c2.traces.losstrace import HOST_DROP, read_trace_file

    trace = read_trace_file(file)
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


@trace_app.command()
def fit(
    file: File,
    json_: Annotated[str, typer.Option("--json", metavar="FILE", help="Write statistics and models as JSON.")] = "",
    emulate: Annotated[
        str, typer.Option(metavar="FILE", help="Write a trace drawn from a fitted model, for --channel trace.")
    ] = "",
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Which to draw: iid, gilbert-elliott, gilbert-elliott-general.")
    ] = "",
    packets: Annotated[int, typer.Option(min=1, help="How many packets to draw.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 1,
) -> None:
    """Fit loss models to a trace: independent losses, and two kinds of Gilbert-Elliott."""
    import numpy as np

    from ds2c2.evaluation.compare.compare import describe_model
    from ds2c2.evaluation.compare.report import model_table
    from ds2c2.traces.lossmodels import best, statistics, verdict
    from ds2c2.traces.lossmodels import fit as fit_models
    from ds2c2.traces.losstrace import LossTrace, TraceError, read_trace_file, write_trace

    lost = read_trace_file(file).lost()
    models = fit_models(lost)
    known = {one.name: one for one in models}
    chosen = model or best(models).name
    if chosen not in known:
        raise TraceError(f"{file}: model {chosen!r} was not fitted; choose one of {', '.join(known)}")
    described = [describe_model(one, lost) for one in models]
    described_table = model_table(described)
    table = Table(title=f"{Path(file).name}: {len(lost)} packets")
    for heading in described_table.headings:
        table.add_column(heading, justify="right" if heading else "left")
    for row in described_table.rows:
        table.add_row(*(f"{cell.text}\n{cell.interval}".rstrip() for cell in row))
    console.print(table)
    console.print(verdict(models), markup=False)
    if json_:
        shown = asdict(statistics(lost))
        write_json(Path(json_), {"statistics": shown, "models": described, "best-model": best(models).name})
        console.print(f"wrote {json_}", markup=False)
    if emulate:
        drawn = known[chosen].draw(packets, np.random.default_rng(seed))
        about = {"link": "emulated", "model": chosen, "fitted_to": Path(file).name, "seed": str(seed)}
        write_trace(emulate, LossTrace.from_losses(drawn, about=about))
        console.print(f"wrote {emulate}: {packets} packets of {known[chosen].label}", markup=False)


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
