# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 evaluate --table``: measures what the tables need, writes and shows them."""

import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ds2c2.cli.terminal import Table, Terminal
from ds2c2.errors import UserError
from ds2c2.evaluation.lpips import trunk_of
from ds2c2.evaluation.progress import PROGRESS
from ds2c2.evaluation.rivals.rivals import OPTIONAL, RIVALS, RivalError, missing
from ds2c2.evaluation.trunks import TRUNKS
from ds2c2.paper import ablations as paperablations
from ds2c2.paper import tables as papertables
from ds2c2.paper import vsrivals as papervsrivals
from ds2c2.paper.models import complete, family_of
from ds2c2.paper.run import Measured, Where, measure
from ds2c2.paper.table import Panel, PaperTable
from ds2c2.paper.tables import Asked
from ds2c2.paper.units import EvaluationError, PaperRun


@dataclass(frozen=True)
class Kind:
    """What a table wants of models and of rivals, and how it is built."""

    wants: Callable
    build: Callable
    rivals: Callable = lambda asked, found: []


TABLES = {
    "1": Kind(papertables.want_rows, papertables.build_1),
    "2": Kind(papertables.want_rows, papertables.build_2),
    "3": Kind(papervsrivals.want_lossless, papervsrivals.build_lossless, papervsrivals.rivals_lossless),
    "4": Kind(papervsrivals.want_losses, papervsrivals.build_losses, papervsrivals.rivals_losses),
    "5": Kind(papertables.want_pictures, papertables.build_pictures),
    "6": Kind(papertables.want_rates, papertables.build_rates),
    "grid": Kind(papertables.want_grid, papertables.build_grid),
    "ablations": Kind(paperablations.want_ablations, paperablations.build_ablations),
}
ALL = "all"
NO_RIVALS = "none"
WIDE = 200  # characters


def check_tables(asked: list[str]) -> tuple[str, ...]:
    """The tables that were asked for, each once, in their own order. Raises ``UserError``."""
    for name in asked:
        if name not in (*TABLES, ALL):
            raise UserError(f"--table {name} is unknown; choose from {', '.join((*TABLES, ALL))}")
    return tuple(name for name in TABLES if name in asked or ALL in asked)


def named_rivals(text: str) -> tuple[str, ...]:
    """The rivals of ``--rivals``, each once; none where it says none or nothing. Raises ``RivalError``."""
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip() and text != NO_RIVALS))
    for name in names:
        if name not in RIVALS:
            raise RivalError(f"rival {name!r} is unknown; choose from {', '.join(RIVALS)}, or {NO_RIVALS}")
    return names


def choose_rivals(text: str, tables: tuple[str, ...], console: Console) -> tuple[str, ...]:
    """Rivals that can be measured here; says why others cannot. Raises ``RivalError``."""
    asked = named_rivals(text)
    if text == NO_RIVALS or not {"3", "4"} & set(tables):
        return ()
    found = []
    # One that is sent in packets of its own has no place among files, unless it is asked for.
    for name in asked or [name for name, rival in RIVALS.items() if not rival.send]:
        if why := missing(name):
            if asked or name not in OPTIONAL:
                console.print(f"not measured: {name}, {why}", markup=False)
        else:
            found.append(name)
    return tuple(found)


def write_tables(
    names: tuple[str, ...], asked: Asked, run: PaperRun, where: Where, folder: Path, console: Console
) -> list[Path]:
    """Measure, show and write the tables; one that cannot be is said and left out.

    Raises ``UserError``, also when none is left.
    """
    wanted, kinds, last = [], {}, None
    for name in names:
        try:
            wanted += TABLES[name].wants(asked)
            kinds[name] = TABLES[name]
        except EvaluationError as error:
            last = error
            if len(names) > 1:
                console.print(f"not written: {error}", markup=False)
    if not kinds:
        raise last
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        bars = []

        def started(what: str, done: int, total: int) -> None:
            if done:
                progress.print(f"{what}: {done} of {total} were finished before")
            bars.append(progress.add_task(f"{what} x pictures x channels", total=total, completed=done))

        def rivals(found: Measured) -> list:
            return [entry for kind in kinds.values() for entry in kind.rivals(asked, found)]

        found = measure(run, folder, where, wanted, rivals, started, lambda units: progress.advance(bars[-1], units))
    # A file or a pipe is as wide as a table needs.
    screen = console if console.is_terminal else Terminal(width=WIDE, soft_wrap=False)
    written = []
    for name, kind in kinds.items():
        table = kind.build(asked, found)
        if name == "grid":
            table = _with_plot(table, asked, found, folder, console)
        # First, for whoever reads the screen may have left (a pipe to head).
        written += table.write(folder, caption(asked, found))
        for panel in table.panels:
            screen.print(_shown(panel))
    console.print(f"wrote {', '.join(map(str, written))}; every unit is in {folder / PROGRESS}", markup=False)
    return written


def _with_plot(table: PaperTable, asked: Asked, found: Measured, folder: Path, console: Console) -> PaperTable:
    try:
        from ds2c2.paper.gridplot import draw_grid
    except ImportError:
        console.print("no plot: the package matplotlib is not installed", markup=False)
        return table
    return replace(table, plots=[draw_grid(asked, found, folder / f"{table.name}.png")])


def _shown(panel: Panel) -> Table:
    table = Table(title=panel.title, title_justify="left")
    for column in panel.columns:
        table.add_column(column.heading, justify="right" if column.form else "left", overflow="fold")
    for row in panel.texts():
        table.add_row(*row)
    return table


def caption(asked: Asked, found: Measured) -> list[str]:
    """What was measured, and how, for all tables alike."""
    import torch

    run, samples = found.run, found.run.samples
    height, width = samples.load(0)[0].shape[:2]
    how = {"scale": "scaled to", "crop": "the middle of"}[samples.fit] if samples.size else "whole, the first"
    part = f", part {samples.part}" if samples.part else ""
    family = family_of(asked.reference, asked.models)
    others = [model.name for model in asked.models if model not in family]
    alone = [model.name for model in asked.models if model not in complete(asked.models)]
    notes = [
        f"Pictures: {len(samples)} of {samples.name}{part}, {how} {width}x{height}"
        f"{f'; label maps: {samples.labelled_by}' if samples.labelled_by else ''}.",
        f"Models: {', '.join(f'{model.name}@{model.digest[:8]}' for model in asked.models)}.",
        f"Channel: blocks of {run.block_size} bytes, a share hit; {run.draws} draws a picture, seed {run.seed}. "
        "Bits are interleaved unless the model was trained otherwise. Means over pictures and draws of their PSNR.",
        "c and s arrive, coded without loss; their bits count, without protection and packet headers.",
    ]
    if others:
        notes.append(
            f"Not in the rows of tables 1 to 4, 6 and the grid, which are like {asked.reference.name} but for rate, "
            f"pe_train and way of training, on the most pictures: {', '.join(others)}."
        )
    if alone:
        notes.append(f"In no table, for only RGAN is trained: {', '.join(alone)}.")
    if run.vgg:
        notes.append(
            f"VGG distance: the paper's L_VGG, the weighted L1 between what {Path(run.vgg).name} sees (relu1_1 to "
            "relu5_1), which is not LPIPS; 0 is equal."
        )
    if run.lpips:
        title = TRUNKS[trunk_of(Path(run.lpips))].title
        notes.append(f"LPIPS version 0.1 on {title} ({Path(run.lpips).name}); 0 is equal.")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, device {run.device}"
    return [*notes, f"Command: `{shlex.join(['ds2c2', *sys.argv[1:]])}`", f"Machine: {machine}."]
