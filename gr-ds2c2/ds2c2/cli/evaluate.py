# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 evaluate``: the paper's tables and figures from trained models; else quality over loss of one."""

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from ds2c2.cli import options
from ds2c2.cli.losscurve import loss_curve
from ds2c2.cli.options import RateOptions
from ds2c2.cli.spread import changed, takes
from ds2c2.cli.terminal import Terminal
from ds2c2.errors import UserError
from ds2c2.stream.streamformat import MAX_BLOCK, MIN_BLOCK

console = Terminal()
PAPER_OUT = "runs/evaluate"
MOST_PICTURES = 50  # as many as the paper tests with
# What says something to one of the two only, and what to the other.
# Tables have the block size and the seed, too.
CURVE_OPTIONS = ("rules", "effect", "unit", "perception", "effort", *(
    entry.name for entry in fields(RateOptions) if entry.name not in ("block_size", "seed")
))  # fmt: skip
PAPER_OPTIONS = (
    "models", "layout", "part", "most", "picture", "labels", "size", "fit", "name", "reference",
    "rivals", "jobs", "ray_address",
)  # fmt: skip
# Figures have the paper's pe_test, one draw, PSNR and MS-SSIM, and are drawn by this process.
TABLE_OPTIONS = ("loss", "draws", "vgg", "lpips", "jobs", "ray_address")
FLAGS = {"most": "pictures"}  # where an option is not called as its parameter


def _curve(*names, **settings):
    return typer.Option(*names, rich_help_panel="Quality over loss of one model", **settings)


def _paper(*names, **settings):
    return typer.Option(
        *names, rich_help_panel="The paper's tables and figures, from models of profile paper", **settings
    )


@takes(stream=changed(RateOptions, more_help={"seed": "In tables of the hits."}))
def evaluate(
    stream: RateOptions,
    context: typer.Context,
    pictures: Annotated[list[str], typer.Argument(help="Files, folders or globs; with --layout a data set's root.")],
    table: Annotated[
        list[str] | None, _paper(metavar="1..6|grid|ablations|all", help="Table to write; may be repeated.")
    ] = None,
    figure: Annotated[list[str] | None, _paper(metavar="4..11|all", help="Figure to draw; may be repeated.")] = None,
    models: Annotated[
        list[str] | None, _paper(metavar="PLACE", help="Weights: files, names or folders; may be repeated.")
    ] = None,
    layout: Annotated[str, _paper(metavar="camvid|cityscapes|ade20k|folder", help="How the pictures lie.")] = "folder",
    part: Annotated[
        str, _paper(metavar="test|val|train", help="Of a data set; default: test where its label maps are public.")
    ] = "",
    most: Annotated[int, _paper("--pictures", min=1, help="So many at most, evenly spread.")] = MOST_PICTURES,
    picture: Annotated[
        list[str] | None,
        _paper(metavar="NAME", help="Only the picture of this name, which figures then show; may be repeated."),
    ] = None,
    labels: Annotated[
        str,
        _paper(
            metavar="FOLDER",
            help="Label maps, a PNG of class numbers a picture; or a SegNet: segnet:MODEL or smp:ENCODER:FILE.",
        ),
    ] = "",
    size: Annotated[str, _paper(metavar="WxH", help="Size to evaluate at; default: whole pictures.")] = "",
    fit: Annotated[Literal["crop", "scale"], _paper(help="With --size: the middle, or all, scaled to it.")] = "crop",
    name: Annotated[str, _paper(help="What tables call the pictures; default: their folder.")] = "",
    reference: Annotated[
        str, _paper(metavar="MODEL", help="That others are compared with; default: the one most differ from once.")
    ] = "",
    rivals: Annotated[
        str,
        _paper(
            metavar="NAMES", help="Codecs of tables 3 and 4 and figure 8, or none; default: all that are installed."
        ),
    ] = "",
    jobs: Annotated[int, _paper(min=0, help="Processes; 0: one a core.")] = 0,
    ray_address: Annotated[
        str, _paper(metavar="ADDRESS", help="Compute on this Ray cluster; local: on a Ray started for the run.")
    ] = "",
    rules: Annotated[
        Literal["paper", "air"], _curve(help="paper: base layer unprotected and never lost; air: lost like the rest.")
    ] = "air",
    effect: Annotated[
        Literal["erase", "zero", "flip"], _curve(help="A hit packet is gone, its 1s become 0, or its bits flip.")
    ] = "erase",
    unit: Annotated[Literal["block", "bit"], _curve(help="Hit are whole blocks or single bits.")] = "block",
    loss: Annotated[
        list[float] | None,
        typer.Option(
            help="Share of the blocks (bits) hit; may be repeated. Default: 0, 0.16, 0.5; the grid has its own."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Draws of the channel for each picture and loss.")] = 3,
    vgg: Annotated[
        str,
        typer.Option(metavar="FILE", help="torchvision's VGG19 or VGG16, for the VGG distance; default: $DS2C2_VGG."),
    ] = "",
    lpips: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="For LPIPS (package lpips): a file of `ds2c2 trunks` (AlexNet), or torchvision's AlexNet or VGG16.",
        ),
    ] = "",
    perception: Annotated[
        str, _curve(metavar="FILE", help="Measure LPIPS (AlexNet, VGG16) and DISTS, by a file of `ds2c2 trunks`.")
    ] = "",
    effort: Annotated[
        int, _curve(metavar="STEPS", help="Steps, 0 to 1000, that refine each picture first; models of profile coded.")
    ] = 0,
    device: options.Device = "auto",
    out: Annotated[
        str,
        typer.Option(
            metavar="FILE|FOLDER",
            help="JSON with every measurement, in CompressAI's shape; of tables and figures their folder, "
            f"by default {PAPER_OUT}.",
        ),
    ] = "",
) -> None:
    """Measure received pictures: the paper's tables and figures, or one model's quality over loss."""
    of_paper = bool(table or figure)
    _refuse_others(context, of_paper, not table)
    from ds2c2.training.vgg import VGG_VARIABLE, find_vgg

    seen_by = str(find_vgg(vgg).absolute()) if vgg or os.environ.get(VGG_VARIABLE) else ""
    trunk = str(Path(lpips).absolute()) if lpips else ""
    if not of_paper:
        loss_curve(
            pictures,
            stream.format_settings(),
            rules,
            loss,
            draws,
            effect,
            unit,
            device,
            out,
            console,
            seen_by,
            trunk,
            perception,
            effort,
        )
        return
    from ds2c2.cli.paperfigures import check_figures, choose_figures, draw_figures
    from ds2c2.cli.papertables import check_tables, choose_rivals, named_rivals, write_tables
    from ds2c2.evaluation.lpips import Lpips
    from ds2c2.evaluation.raytasks import load_ray
    from ds2c2.networks.weights import choose_device
    from ds2c2.paper.archive import list_models
    from ds2c2.paper.models import choose_reference
    from ds2c2.paper.run import Where
    from ds2c2.paper.samples import open_samples
    from ds2c2.paper.tables import GRID_LOSSES, Asked
    from ds2c2.paper.units import PaperRun

    names, figures = check_tables(table or []), check_figures(figure or [])
    if not models:
        raise UserError("--models: none given; name the weights, or a folder of them, that these are made from")
    if not MIN_BLOCK <= stream.block_size <= MAX_BLOCK:
        raise UserError(f"--block-size {stream.block_size}: {MIN_BLOCK} to {MAX_BLOCK} bytes are wanted")
    if ray_address:
        load_ray()
    found = list_models(models)
    found = [replace(model, path=model.path.absolute()) for model in found]
    losses = tuple(sorted({0.0, *loss})) if loss else GRID_LOSSES
    if not all(0 <= share <= 1 for share in losses):
        raise UserError(f"--loss {' '.join(map(str, loss))}: shares of 0 to 1 are wanted")
    drawn = choose_figures(figures, choose_reference(found, reference), found, console)
    of_figure = named_rivals(rivals) if figures else ()
    asked = Asked(found, choose_reference(found, reference), losses, choose_rivals(rivals, names, console))
    place = choose_device(device)
    folder = Path(out or PAPER_OUT)
    with console.status("reading pictures and label maps") as status:
        samples = open_samples(
            pictures, found, layout, part, labels, most, picture or (), options.parse_size(size) if size else None, fit,
            name, device, folder, lambda number, count: status.update(f"making label maps: {number} of {count}"),
        )  # fmt: skip
        digests = tuple(samples.sha256(index) for index in range(len(samples)))
    if trunk:
        Lpips(Path(trunk), place)
    run = PaperRun(
        samples, digests, draws, stream.seed, stream.block_size, seen_by, device if ray_address else str(place), trunk
    )
    where = Where(jobs or len(os.sched_getaffinity(0)), ray_address, place.type == "cuda")
    if names:
        write_tables(names, asked, run, where, folder, console)
    draw_figures(drawn, run, bool(picture), of_figure, folder, console)


def _refuse_others(context: typer.Context, of_paper: bool, without_table: bool) -> None:
    """Raises ``UserError`` for an option that would be passed over in silence."""
    refused = dict.fromkeys(CURVE_OPTIONS, "does not go with --table and --figure")
    if of_paper and without_table:
        refused |= dict.fromkeys(TABLE_OPTIONS, "goes with --table, figures do without; add one or leave it out")
    elif not of_paper:
        refused = dict.fromkeys(PAPER_OPTIONS, "goes with --table or --figure; add one")
    for name, why in refused.items():
        # By its name: newer typers have a ParameterSource of their own, older ones click's.
        if context.get_parameter_source(name).name == "COMMANDLINE":
            raise UserError(f"--{FLAGS.get(name, name)} {why}".replace("_", "-"))
