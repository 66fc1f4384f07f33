# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 evaluate --figure``: draws the paper's figures, and writes beside each what it was made of."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from rich.console import Console

from ds2c2.errors import UserError
from ds2c2.files import make_folder, whole, write_text

if TYPE_CHECKING:
    from ds2c2.paper.archive import PaperModel
    from ds2c2.paper.figures import PaperFigure
    from ds2c2.paper.units import PaperRun

FIGURES = (4, 5, 6, 7, 8, 9, 10, 11)
ALL = "all"
# Figure 10 is figure 9 of another data set.
OF_ALL = tuple(number for number in FIGURES if number != 10)


def check_figures(asked: list[str]) -> dict[int, bool]:
    """The figures that were asked for and whether each has to be, which with ``all`` none has. Raises
    ``UserError``."""
    for name in asked:
        if name not in (*map(str, FIGURES), ALL):
            raise UserError(f"--figure {name} is unknown; choose from {', '.join(map(str, FIGURES))}, {ALL}")
    if "9" in asked and "10" in asked:
        raise UserError("--figure 9 and 10 are one figure of two data sets: run the command for each")
    named = {int(name) for name in asked if name != ALL}
    wanted = named | set(OF_ALL if ALL in asked else ())
    return {number: number in named for number in sorted(wanted)}


def choose_figures(
    asked: dict[int, bool], reference: "PaperModel", models: list["PaperModel"], console: Console
) -> dict[int, list["PaperModel"]]:
    """The models of each figure; says which figures of ``all`` cannot be. Raises ``UserError``, also when none
    can."""
    from ds2c2.paper.figuremodels import choose_models

    chosen, last = {}, None
    for number, needed in asked.items():
        try:
            chosen[number] = choose_models(number, reference, models)
        except UserError as error:
            last = error
            if needed:
                raise
            console.print(f"not drawn: {error}", markup=False)
    if last and not chosen:
        raise last
    return chosen


def draw_figures(
    chosen: dict[int, list["PaperModel"]],
    run: "PaperRun",
    all_of_them: bool,
    rivals: tuple[str, ...],
    folder: Path,
    console: Console,
) -> None:
    """Draw them into ``folder``, each of some of the run's pictures or of all; figure 8's rival is the first
    of ``rivals`` that is there, where any are named. Raises ``UserError``."""
    if not chosen:
        return
    from ds2c2.paper.figures import WITH_RIVAL, choose_rival, make_figure
    from ds2c2.paper.figuresheet import draw_sheet

    if WITH_RIVAL in chosen:
        choose_rival(rivals)
    make_folder(folder)
    for number, found in chosen.items():
        with console.status(f"figure {number}"):
            figure = make_figure(number, run, found, all_of_them, rivals)
            sheet = draw_sheet(figure.title, figure.rows)
        picture, text = folder / f"figure-{number}.png", folder / f"figure-{number}.md"
        with whole(picture) as part:
            Image.fromarray(sheet).save(part, format="PNG", optimize=True)
        write_text(text, _caption(figure, run, picture.name))
        console.print(f"wrote {picture} ({sheet.shape[1]}x{sheet.shape[0]}) and {text.name}", markup=False)


def _caption(figure: "PaperFigure", run: "PaperRun", picture: str) -> str:
    """What a figure was made of, in Markdown."""
    from ds2c2.paper.figures import pe_train

    samples = run.samples
    part = f", part {samples.part}" if samples.part else ""
    models = [
        f"{m.name}@{m.digest[:8]}: {pe_train(m)}, r {m.r_bpp:g} bpp, trained {m.training} on "
        f"{'an unknown number of' if m.pictures is None else m.pictures} pictures, {m.steps} steps"
        for m in figure.models
    ]
    lines = [
        *figure.notes,
        *(f"Model {model}." for model in models),
        f"Pictures of {samples.name}{part}: {', '.join(figure.pictures)}; "
        + (f"{samples.fit} to {samples.size[0]}x{samples.size[1]}." if samples.size else "whole."),
        f"Channel: the paper's, 1s of hit blocks become 0; blocks of {run.block_size} bytes, seed {run.seed}.",
        f"Command: `{shlex.join(['ds2c2', *sys.argv[1:]])}`",
    ]
    return "\n".join(
        [f"# {figure.title}", "", f"![{figure.title}]({picture})", "", *(f"* {line}" for line in lines), ""]
    )
