# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 compare``: a link's loss trace beside its emulations, with the same pictures."""

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ds2c2.cli import options
from ds2c2.cli.options import StreamOptions, parse_size
from ds2c2.cli.reading import ReadingOptions, read_one
from ds2c2.cli.spread import changed, takes
from ds2c2.cli.terminal import Terminal
from ds2c2.cli.trace import write_json
from ds2c2.errors import printable
from ds2c2.files import distinct, make_folder, sha256_of, write_text
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.lossmodels import BASIC, check_models

console = Terminal()
REPORT, RESULTS, PICTURES = "report.html", "compare.json", "pictures.png"
SHOWN_WIDTH = 420  # pixels of a frame in the report
ABOUT = ("run", "created", "link", "radio", "format")  # what the report repeats of a trace


# What is not said is the trace's, else the default.
ASKED = ("bpp", "block_size", "base_bpp", "redundancy", "survive", "interleave", "model")
AskedOptions = changed(
    StreamOptions,
    ("seed", "depth", "format_", "size"),
    dict.fromkeys(ASKED, "Default: the trace's, else that of the other commands."),
    **dict.fromkeys(ASKED),
)


@takes(stream=AskedOptions, other=ReadingOptions)
def compare(
    stream: AskedOptions,
    other: ReadingOptions,
    traces: Annotated[
        list[str],
        typer.Argument(
            metavar="TRACE...",
            help="A loss trace, or a file of another tool: docs/traces.md. Several are put side by side.",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where report.html, plots and JSON go.")] = "out/compare",
    pictures: Annotated[
        list[str], typer.Option(help="Files, folders or globs; may be repeated. Default: scikit-image's photographs.")
    ] = [],  # noqa: B006
    draws: Annotated[int, typer.Option(min=4, help="Draws of every channel for each picture.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 1,
    size: Annotated[
        str,
        typer.Option(metavar="WxH", help="Picture size of the stream; default: the trace's, else each picture's."),
    ] = "",
    fit: Annotated[Literal["pad", "scale"], typer.Option(help="How pictures of another size are fitted.")] = "scale",
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
    margin: Annotated[float, typer.Option(min=0.0, help="Difference of the mean PSNR that counts as none, dB.")] = 0.5,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Emulate by this model too, may be repeated: hidden-markov, semi-markov, drift."
        ),
    ] = None,
    device: options.Device = "auto",
) -> None:
    """Tell whether an emulated channel tells the truth about a link; HTML report, plots, JSON."""
    from ds2c2.evaluation.compare.compare import ComparisonSettings, check
    from ds2c2.evaluation.outcomes import describe
    from ds2c2.networks.weights import choose_device
    from ds2c2.pictures.pictures import list_pictures, sample_photographs
    from ds2c2.traces.losstrace import TraceError

    read = [(path, read_one(path, other, console)) for path in traces]
    asked = stream.asked()
    sources = tuple(describe(path, printable(path.stem)) for path in list_pictures(pictures or sample_photographs()))
    links = []
    for path, recorded in read:
        streams = tuple(
            stream_for(recorded.stream_format, parse_size(size) if size else None, (one.width, one.height), asked)
            for one in sources
        )
        settings = ComparisonSettings(sources, streams, fit, draws, seed, margin)
        try:
            check(settings, recorded.lost())
        except TraceError as error:
            raise TraceError(f"{path}: {error}" if len(read) > 1 else str(error)) from None
        links.append((path, recorded, settings))
    inner = folder_names(traces)
    folders = [Path(out) / name if len(links) > 1 else Path(out) for name in inner]
    check_models(also or ())
    choose_device(device)
    for folder in folders:
        make_folder(folder)  # now and not after minutes of work
    found = [
        _compared(*link, (*BASIC, *(also or ())), jobs, device, folder, other.words())
        for link, folder in zip(links, folders, strict=True)
    ]
    if len(links) > 1:
        _side_by_side(
            [printable(name) for name in distinct(Path(path).stem or "link" for path in traces)],
            inner,
            found,
            Path(out),
        )


def folder_names(paths: list[str]) -> list[str]:
    """A folder's name for each trace, that of its file without ending and with _ for signs that lead elsewhere in a
    path or an address, numbered where two are called the same, or like the page beside them."""
    plain = (re.sub(r"[^\w.+-]+", "_", Path(path).stem).strip(".") or "link" for path in paths)
    return distinct([REPORT, RESULTS, *plain])[2:]


def _side_by_side(names: list[str], inner: list[str], found: list[dict], folder: Path) -> None:
    from ds2c2.evaluation.compare.sidebyside import Compared, render_several, summary

    links = [Compared(*each) for each in zip(names, inner, found, strict=True)]
    command = found[0]["command"]
    write_json(folder / RESULTS, summary(links, command))
    console.print(f"wrote {write_text(folder / REPORT, render_several(links, command))}", markup=False)


def _compared(
    trace: str,
    recorded,  # noqa: ANN001 - LossTrace
    settings,  # noqa: ANN001 - ComparisonSettings
    names: tuple[str, ...],
    jobs: int,
    device: str,
    folder: Path,
    reading: list[str],
) -> dict:
    """Compare one link, write its report and say its words; gives what its JSON holds."""
    from ds2c2 import __version__
    from ds2c2.evaluation.compare.compare import compare as run
    from ds2c2.evaluation.summary import machine
    from ds2c2.traces.lossmodels import fit_noticed
    from ds2c2.traces.lossstatistics import statistics
    from ds2c2.traces.losstrace import TraceError

    lost = recorded.lost()
    models, shown = fit_noticed(lost, names), statistics(lost)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("pictures received", total=None)
        result, frames = run(
            settings,
            lost,
            models,
            shown,
            jobs or len(os.sched_getaffinity(0)),
            device,
            lambda total: progress.update(bar, total=total),
            lambda done: progress.advance(bar, done),
        )
    result["command"] = printable(shlex.join(["ds2c2", *sys.argv[1:]]))
    about = {key: recorded.about[key] for key in ABOUT if key in recorded.about}
    result["trace"] = {"file": printable(Path(trace).name), "sha256": sha256_of(trace), **about, **recorded.counts()}
    if reading:
        result["trace"]["reading"] = reading
    result["machine"] = {"ds2c2": __version__, **machine()}
    try:
        written = _write(result, lost, models, shown, frames, folder)
    except OSError as error:
        raise TraceError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None
    for sentence in result["words"]:
        console.print(sentence, markup=False)
    console.print(f"wrote {', '.join(map(str, written))}", markup=False)
    return result


def stream_for(
    recorded: StreamFormat | None, size: tuple[int, int] | None, picture: tuple[int, int], asked: dict
) -> StreamFormat:
    """The stream format for a picture: what is asked, else the trace's, else the defaults; without
    either the size is the picture's. Raises ``FormatError`` and ``WeightsError``."""
    from ds2c2.networks.weights import codec_profile, resolve_interleave

    fields = (
        "bpp", "block_size", "base_bpp", "base_redundancy", "interleave", "depth", "seed", "survive", "layout", "key"
    )  # fmt: skip
    values = {name: getattr(recorded or StreamFormat, name) for name in fields}
    values["model"] = recorded.model_name if recorded else StreamFormat.model
    values["interleave"] = recorded.interleave if recorded else "auto"
    if "model" in asked and "interleave" not in asked and asked["model"] != values["model"]:
        # Another profile wants another interleaver.
        values |= {"interleave": "auto", "depth": 1, "layout": ""}
    # Another version of the wire format is asked for by a word of its own.
    if "survive" in asked:
        values |= {"base_redundancy": None, "layout": ""}
    if "base_redundancy" in asked:
        values |= {"survive": None, "layout": "", "key": ""}
    values |= asked
    if values["base_redundancy"] is None and not values["layout"]:
        values["layout"] = codec_profile(values["model"]).layout
    values["interleave"] = resolve_interleave(values["interleave"], values["model"])
    if recorded and size is None:
        size = (recorded.width, recorded.height)
    return StreamFormat(*(size or picture), **values)


def _write(result: dict, lost, models: list, shown, frames: list, folder: Path) -> list[Path]:  # noqa: ANN001
    from ds2c2.evaluation.compare.report import render
    from ds2c2.pictures.contactsheet import contact_sheet
    from ds2c2.pictures.pictures import write_picture

    try:
        from ds2c2.evaluation.compare.plots import draw
    except ImportError:
        console.print("no plots: the package matplotlib is not installed", markup=False)
        plots = []
    else:
        plots = draw(result, lost, shown, models, folder)
    title = f"{result['settings']['pictures'][0]['name']} as it came: above a typical frame, below 1 in 20 is worse"
    sheet = contact_sheet(resized(frames), title, len(frames) // 2)
    pictures = write_picture(folder / PICTURES, sheet)
    write_json(folder / RESULTS, result)
    page = write_text(folder / REPORT, render(result, plots, sheet))
    return [page, folder / RESULTS, *plots, pictures]


def resized(frames: list) -> list:
    """Captioned pictures, ``SHOWN_WIDTH`` wide, in words that the sheet's font has."""
    import numpy as np
    from PIL import Image

    height, width = frames[0][1].shape[:2]
    size = (SHOWN_WIDTH, round(height * SHOWN_WIDTH / width))
    return [(text.replace("–", "-"), np.asarray(Image.fromarray(frame).resize(size))) for text, frame in frames]
