# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 sweep``: a simulated link at several SNRs."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ds2c2.cli import options
from ds2c2.cli.options import StreamOptions
from ds2c2.cli.spread import takes
from ds2c2.cli.terminal import Table, Terminal
from ds2c2.errors import UserError
from ds2c2.files import check_folder
from ds2c2.links.linksettings import LinkSettings

console = Terminal()
PLOT = "sweep.png"
TRACES = "traces"


@takes(stream=StreamOptions)
def sweep(
    stream: StreamOptions,
    pictures: Annotated[list[str], typer.Argument(help="Default: four photographs of scikit-image.")] = [],  # noqa: B006
    snr: Annotated[str, typer.Option(metavar="FROM:TO:STEP", help="SNRs in dB, or a list: 8,10,12.")] = "8:24:1",
    link: Annotated[Literal["ofdm", "gmsk"], typer.Option(help="The modem.")] = "ofdm",
    packets: Annotated[int, typer.Option(min=1, help="Packets at each SNR, rounded up to whole frames.")] = 2000,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the CSV, plot and loss traces go.")] = "out/sweep",
    modulation: Annotated[Literal["bpsk", "qpsk", "8psk", "16qam"], typer.Option(help="Of OFDM.")] = "qpsk",
    fec: Annotated[Literal["none", "cc"], typer.Option(help="Of OFDM; cc: convolutional, rate 1/2.")] = "none",
    samples_per_symbol: Annotated[int, typer.Option(help="Of GMSK, 2 to 64.")] = 4,
    air: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="The simulated air beside the SNR: 'fading=rayleigh doppler=1e-5 cfo=0.001 seed=3'."
        ),
    ] = "",
    frames: Annotated[int, typer.Option(min=1, help="Frames decoded at each SNR for the pictures' quality.")] = 4,
    fit: options.Fit = "pad",
    device: options.Device = "auto",
) -> None:
    """Measure packet errors and received pictures over the SNR; run again to go on after an interruption."""
    from ds2c2.ends.session import common_size
    from ds2c2.evaluation.sweep import SweepFile, SweepStream, parse_snrs
    from ds2c2.evaluation.sweepplot import draw_sweep
    from ds2c2.links.air import as_air
    from ds2c2.pictures.pictures import list_pictures, sample_photographs
    from ds2c2.traces.losstrace import write_trace

    check_folder(out)
    snrs, around = parse_snrs(snr), as_air(air)
    settings = LinkSettings(link, modulation, fec, samples_per_symbol)
    trial = trial_class()
    paths = list_pictures(pictures or sample_photographs())
    fit = fit if pictures else "scale"
    stream_format = stream.stream(lambda: common_size(paths))
    # Before pictures are encoded, which takes a while: parameters that are no link.
    for one in snrs:
        replace(around, snr=one)
    source = SweepStream(stream_format, [str(path) for path in paths], packets, fit, frames, device)
    file = SweepFile(
        out,
        {
            "link": " ".join([link, *(f"{name}={value}" for name, value in settings.modem.items())]),
            "air": replace(around, snr=float("inf")).text,
            "format": source.stream.text,
            "pictures": ", ".join(path.name for path in paths),
            "packets": len(source.packets),
            "frames": source.measured,
        },
    )
    left = [one for one in snrs if one not in file.points]
    if len(left) < len(snrs):
        console.print(f"{len(snrs) - len(left)} of {len(snrs)} SNRs are in {file.path} already", markup=False)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("packets", total=len(left) * len(source.packets))
        for done, one in enumerate(left):
            progress.update(task, description=f"{one:g} dB")
            run = trial(source.stream, source.packets, link, replace(around, snr=one), **settings.modem)
            before = done * len(source.packets)
            run.run_to_end(lambda run=run, before=before: progress.update(task, completed=before + run.counts.sent))
            point, trace = source.measure(one, run.arrivals, run.counts)
            about = {key: value for key, value in file.about.items() if key not in trace.about}
            trace.about.update(about, snr=f"{one:g}")
            write_trace(Path(out) / TRACES / f"{one:g}dB.csv", trace)
            file.add(point)
    shown = [file.points[one] for one in sorted(file.points)]
    console.print(_table(shown))
    title = f"{file.about['link']}, {file.about['air'] or 'white noise'}\n{len(source.packets)} packets at each SNR"
    plot = draw_sweep(shown, title, Path(out) / PLOT)
    console.print(f"wrote {file.path}, {plot} and the loss traces in {Path(out) / TRACES}", markup=False)


def trial_class() -> type:
    """The flowgraph of ``gnuradio.ds2c2``: the only door from here to GNU Radio."""
    try:
        from gnuradio.ds2c2 import link_trial
    except ImportError as error:
        raise UserError(f"GNU Radio or its ds2c2 blocks cannot be loaded ({error}); run `ds2c2 doctor`") from None
    return link_trial


def _table(points) -> Table:
    table = Table(title="Packets and pictures over the SNR", caption="more, and intervals, in the CSV")
    for heading in ("dB", "lost %", "missed", "header", "CRC", "host", "PSNR dB", "worst", "no base"):
        table.add_column(heading, justify="right", no_wrap=True)
    for p in points:
        reasons = map(str, (p.missed, p.header, p.crc, p.host))
        pictures = f"{p.psnr:.2f}", f"{p.psnr_low:.2f}", f"{p.concealed}/{p.pictures}"
        table.add_row(f"{p.snr:g}", f"{100 * p.per:.2f}", *reasons, *pictures)
    return table
