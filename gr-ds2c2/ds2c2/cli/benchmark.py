# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 benchmark``: our codec and its rivals over rates, losses and channels, on equal terms."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ds2c2.cli import options
from ds2c2.cli.options import RateOptions
from ds2c2.cli.spread import changed, takes
from ds2c2.cli.terminal import Terminal
from ds2c2.errors import FileError
from ds2c2.files import check_folder, sha256_of, write_text
from ds2c2.stream.streamformat import DEFAULT_SURVIVE

console = Terminal()
RESULTS = "benchmark.json"
# Unprotected, a larger base layer is worth its bits; the paper's own split of 0.26 bpp has 0.0525
# for c and s (table 6), and held-out training pictures like 0.044 best.
PAPER_BASE_BPP = 0.044


def numbers(name: str, text: str, scale: float = 1.0) -> tuple[float, ...]:
    """``0,4,8`` to numbers, divided by ``scale``, each once. Raises ``BenchmarkError``."""
    from ds2c2.evaluation.benchmark import BenchmarkError

    try:
        found = [float(word) / scale for word in text.split(",")]
    except ValueError:
        raise BenchmarkError(f"--{name} {text!r}: numbers are wanted, separated by commas") from None
    return tuple(dict.fromkeys(found))


def words(text: str) -> tuple[str, ...]:
    """``a,b`` to its words, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


AIR_RULES = dict.fromkeys(("base_bpp", "redundancy", "survive"), "For the air rules.")


# Rates are several here, and the model decides the interleaving.
@takes(stream=changed(RateOptions, ("bpp", "interleave", "depth", "seed"), AIR_RULES))
def benchmark(
    stream: RateOptions,
    pictures: Annotated[list[str], typer.Argument(help="Files, folders or globs.")],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Results and progress; a killed run goes on from there.")],
    rates: Annotated[str, typer.Option(help="Bits per pixel, all code blocks counted.")] = "0.14,0.26,0.41,0.54,0.78",
    losses: Annotated[str, typer.Option(help="Per cent of the blocks lost.")] = "0,4,8,16,30,50,100",
    channels: Annotated[str, typer.Option(help="iid, gilbert-elliott or both.")] = "iid,gilbert-elliott",
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the channel for each picture and loss.")] = 10,
    rules: Annotated[str, typer.Option(help="paper: base layer never lost; air: lost like the rest.")] = "paper,air",
    rivals: Annotated[
        str,
        typer.Option(
            help="Codecs to stand beside ours; default: all that are installed, but for bpg, ssdv and CompressAI's "
            "(bmshj2018-factorized, bmshj2018-hyperprior, mbt2018-mean, cheng2020-attn), to be asked for by name."
        ),
    ] = "",
    no_rivals: Annotated[bool, typer.Option("--no-rivals", help="Our codec alone.")] = False,
    rivals_from: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="Take rivals from this benchmark: the same pictures, rates and blocks."),
    ] = "",
    paper_base_bpp: Annotated[
        float, typer.Option(help="Bits per pixel of the base layer under paper rules.")
    ] = PAPER_BASE_BPP,
    effort: options.Effort = 0,
    perception: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Measure LPIPS (AlexNet, VGG16) and DISTS too, of each picture's first draw, by a file of "
            "`ds2c2 trunks`.",
        ),
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="Only the first so many pictures; 0: all.")] = 0,
    name: Annotated[str, typer.Option(help="What the results call the pictures; default: their source.")] = "",
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
    device: options.Device = "auto",
) -> None:
    """Measure our codec and its rivals at equal rates; JSON and plots in the folder --out."""
    from ds2c2.evaluation.benchmark import check, rivals_of, run
    from ds2c2.evaluation.outcomes import BenchmarkSettings, describe
    from ds2c2.evaluation.progress import PROGRESS
    from ds2c2.evaluation.rivals.rivals import NAMES, missing
    from ds2c2.evaluation.summary import summarise
    from ds2c2.networks.modelfiles import weights_digest
    from ds2c2.networks.weights import codec_profile, resolve_interleave
    from ds2c2.pictures.pictures import list_pictures

    check_folder(out)
    place = Path(out).resolve()
    for source in pictures:
        if Path(source).expanduser().is_dir() and place.is_relative_to(Path(source).expanduser().resolve()):
            raise FileError(f"--out {out}: within {source}, whose next run would measure the plots too; choose another")
    paths = list_pictures(pictures)
    paths = paths[:limit] if limit else paths
    stems = [path.stem for path in paths]
    named = [path.stem if stems.count(path.stem) == 1 else str(path) for path in paths]
    survive = DEFAULT_SURVIVE if stream.survive is stream.redundancy is None else stream.survive
    absent = {} if no_rivals else {rival: why for rival in words(rivals) or NAMES if (why := missing(rival))}
    settings = BenchmarkSettings(
        name=name or Path(pictures[0]).stem,
        pictures=tuple(describe(path, title) for path, title in zip(paths, named, strict=True)),
        model=stream.model,
        weights=weights_digest(stream.model),
        interleave=resolve_interleave("auto", stream.model),
        rates=numbers("rates", rates),
        losses=numbers("losses", losses, 100),
        channels=words(channels),
        seeds=seeds,
        rules=words(rules),
        block_size=stream.block_size,
        base_bpp=stream.base_bpp,
        redundancy=stream.redundancy,
        survive=survive,
        layout="" if survive is None else codec_profile(stream.model).layout,
        rivals=() if no_rivals else tuple(rival for rival in words(rivals) or NAMES if rival not in absent),
        missing=absent,
        paper_base_bpp=paper_base_bpp,
        perception=str(Path(perception).absolute()) if perception else "",
        effort=effort,
        trunks=sha256_of(perception) if perception else "",
    )
    check(settings)
    known = rivals_of(Path(rivals_from), settings) if rivals_from else []
    for rival, why in absent.items():
        console.print(f"not measured: {rival}, {why}", markup=False)
    folder = Path(out)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    # Units take minutes: what is left is told by all of them, not by those of the last half minute.
    with Progress(*columns, console=console, speed_estimate_period=float("inf")) as progress:
        bar = progress.add_task("picture x rate x codec", total=None)

        def started(done: int, total: int) -> None:
            if done:
                progress.print(f"{done} of {total} were finished before")
            progress.update(bar, total=total, completed=done)

        def ahead(seconds: float) -> None:
            rest = "; the rivals' come on top" if settings.rivals else ""
            progress.print(f"our codec's units will take about {timedelta(seconds=round(seconds))}{rest}")

        cores = len(os.sched_getaffinity(0))
        units = run(
            settings, folder, jobs or cores, device, known, started, lambda count: progress.advance(bar, count), ahead
        )
    results = summarise(settings, units)
    file = write_text(folder / RESULTS, json.dumps(results, indent=1, allow_nan=False) + "\n")
    written = [file, *_plots(results, folder)]
    console.print(f"wrote {', '.join(map(str, written))}; every unit is in {folder / PROGRESS}", markup=False)


def _plots(results: dict, folder: Path) -> list[Path]:
    try:
        from ds2c2.evaluation.plots import draw
    except ImportError:
        console.print("no plots: the package matplotlib is not installed", markup=False)
        return []
    return draw(results, folder)
