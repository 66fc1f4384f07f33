# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 update``: weights and a few pictures of a new kind in, better weights for them out."""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from ds2c2.cli import options
from ds2c2.cli.terminal import Table, Terminal
from ds2c2.cli.train import About, Precision, RecipeLabels, Storage, Vgg
from ds2c2.errors import FileError, PictureError, UserError
from ds2c2.files import check_free

console = Terminal()
LOSSES = (0.0, 0.16)  # the paper's pe_test


def update(
    model: Annotated[str, typer.Argument(help="Weights to start from: a name from models/ or a file.")],
    pictures: Annotated[list[str], typer.Argument(help="Folders, files or globs; 16 to 176 pictures are usual.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="Weights to write, .safetensors; the card goes beside it.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Default: some minutes on two CPU cores; paper: its recipe's epochs.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak. Default: by profile.")] = None,
    crop: Annotated[
        int | None,
        typer.Option(help="Side of a crop in pixels, a multiple of 16. Default: 128; coded: 160; paper: its recipe's."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of crops, rates and losses.")] = 1,
    precision: Precision = "float32",
    device: options.Device = "auto",
    judge_by: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="PICTURES",
            help="Never train on these, judge by them; may be repeated. Default: every eighth picture.",
        ),
    ] = None,
    about: About = "",
    labels: RecipeLabels = "",
    vgg: Vgg = "",
    storage: Storage | None = None,
) -> None:
    """Train weights a little further on a few pictures; the base layer's networks stay as they are."""
    from ds2c2.cli.trainingbar import training_bar
    from ds2c2.evaluation.card import Report, write_card
    from ds2c2.evaluation.judge import judge
    from ds2c2.evaluation.modelcard import card_of
    from ds2c2.networks.modelfiles import check_suffix, find_weights
    from ds2c2.networks.weights import choose_device, codec_profile, load_networks, weights_storage
    from ds2c2.pictures.pictures import list_pictures
    from ds2c2.training.crops import UPDATE_HOLD_OUT_EVERY, split_hold_out, without
    from ds2c2.training.finish import finish, origin
    from ds2c2.training.loop import TrainingSettings
    from ds2c2.training.loop import train as run
    from ds2c2.training.recipes import recipe_of

    source, target = find_weights(model), Path(out)
    check_suffix(target)
    if os.path.realpath(target) == os.path.realpath(source):
        raise FileError(f"--out {out}: the weights that are updated; choose another name")
    check_free(target, card_of(target))
    if not codec_profile(source).recipe:
        from ds2c2.cli.trainrecipe import update_paper
        from ds2c2.cli.trainsamples import Job

        job = Job(
            pictures, target, labels, vgg, str(source), device, tuple(judge_by or ()), about=about,
            storage=storage or weights_storage(source), update=True,
        )  # fmt: skip
        update_paper(job, steps, learning_rate, crop, seed)
        return
    for value, option in ((labels, "--labels"), (vgg, "--vgg")):
        if value:
            raise UserError(f"{option} is for models of profile paper; {model} is one of {codec_profile(source).name}")
    networks = load_networks(source)
    recipe = recipe_of(networks.profile)
    settings = TrainingSettings(
        steps or recipe.update_steps, recipe.batch, recipe.crop if crop is None else crop,
        recipe.update_rate if learning_rate is None else learning_rate, seed, precision,
        networks.shape, origin(source), update=True,
    )  # fmt: skip
    given = list_pictures(pictures)
    if judge_by:
        held_out = list_pictures(judge_by)
        used = without(given, held_out)
        described = "named by --judge"
    else:
        used, held_out = split_hold_out(given, UPDATE_HOLD_OUT_EVERY)
        described = f"every {UPDATE_HOLD_OUT_EVERY}th of those given"
    if not without(used, held_out):
        raise PictureError("no picture is left to train on beside those to judge by; give more pictures, or --judge")
    place = choose_device(device)

    def measure(weights: Path, when: str) -> list:
        watched = track(held_out, f"judging {len(held_out)} pictures {when}", console=console, transient=True)
        return judge(weights, watched, LOSSES, device)

    before = measure(source, "before")
    with training_bar(console, settings.steps) as report:
        trainer = run(
            settings, used, None, place, False, report,
            start=source, say=lambda line: console.print(line, markup=False),
        )  # fmt: skip
    with console.status("counting symbols for the entropy coder"):
        finish(trainer, target, used, storage or weights_storage(source))
    known = Report(shlex.join(["ds2c2", *sys.argv[1:]]), about, used, described, None, before)
    card = write_card(target, trainer, known)
    console.print(
        f"wrote {target} ({target.stat().st_size / 1e6:.1f} MB), updated in {trainer.seconds:.0f} s "
        f"on {len(used)} pictures",
        markup=False,
    )
    after = measure(target, "after")
    if after:
        _show(before, after)
    else:
        console.print("no held-out picture is large enough to judge by")
    write_card(target, trainer, replace(known, after=after))
    console.print(f"wrote {card}", markup=False)


def _show(before: list, after: list) -> None:
    """PSNR before and after at one rate and, where the profile's rate follows from a step, at each."""
    table = Table(title=f"held-out pictures: {after[0].pictures}, PSNR in dB")
    for heading in ("lost", "bpp", "before", "after", "gain", "base"):
        table.add_column(heading, justify="right")
    for old, new in zip(before, after, strict=True):
        table.add_row(
            f"{new.loss:.0%}", f"{new.bpp:.2f}", f"{old.psnr:.2f}", f"{new.psnr:.2f}", f"{new.psnr - old.psnr:+.2f}",
            f"{new.base_psnr:.2f}",
        )  # fmt: skip
    console.print(table)
    if not after[0].curve:
        return
    table = Table(title="at each quantizer step (log2, 8-bit levels), before > after")
    table.add_column("step", justify="right")
    table.add_column("bpp", justify="right")
    for row in after:
        table.add_column(f"{row.loss:.0%} lost, dB", justify="right")
    for i, (step, bpp, _) in enumerate(after[0].curve):
        qualities = (f"{old.curve[i][2]:.2f} > {new.curve[i][2]:.2f}" for old, new in zip(before, after, strict=True))
        table.add_row(f"{step:g}", f"{before[0].curve[i][1]:.3f} > {bpp:.3f}", *qualities)
    console.print(table)
