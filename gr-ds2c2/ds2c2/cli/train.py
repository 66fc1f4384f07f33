# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 train``: a folder of pictures in, weights and model card out."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import track

from ds2c2.cli import options
from ds2c2.cli.terminal import Terminal
from ds2c2.errors import FileError, PictureError, UserError
from ds2c2.files import check_free

console = Terminal()

Precision = Annotated[Literal["float32", "bfloat16"], typer.Option(help="bfloat16: mixed precision.")]
Storage = Annotated[
    Literal["float16", "int8"], typer.Option(help="int8: convolutions in 8 bits, half the size of half precision.")
]
Vgg = Annotated[
    str,
    typer.Option(metavar="FILE", help="VGG19 or VGG16 in torchvision's layout, for the VGG loss; default: $DS2C2_VGG."),
]
RecipeLabels = Annotated[
    str,
    typer.Option(
        metavar="FOLDER",
        help="Label maps for networks of profile paper: a folder, segnet:MODEL or smp:ENCODER:FILE. Default: the data "
        "set's own, else the SegNet in models/.",
    ),
]
# What a recipe says itself.
RECIPES_OWN = ("profile", "steps", "batch", "crop", "learning_rate", "seed", "precision", "objective")
About = Annotated[str, typer.Option(help="What the pictures are and what they may be used for, for the card.")]


def train(
    context: typer.Context,
    pictures: Annotated[
        list[str], typer.Argument(help="Folders, files or globs of training pictures; the data set's root of a recipe.")
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="Weights to write, .safetensors; the card goes beside it.")],
    profile: Annotated[str, typer.Option(help="binary or coded.")] = "coded",
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 20000,
    batch: Annotated[int | None, typer.Option(min=1, help="Crops a step. Default: 6; binary: 8.")] = None,
    crop: Annotated[
        int | None, typer.Option(help="Side of a crop in pixels, a multiple of 16. Default: 160; binary: 128.")
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Peak of the learning rate.")] = 8e-4,
    seed: Annotated[int, typer.Option(help="Seed of weights, crops, rates and losses.")] = 1,
    precision: Precision = "float32",
    device: options.Device = "auto",
    hold_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PICTURES",
            help="Never train on these, judge by them; may be repeated. Default: every fortieth picture.",
        ),
    ] = None,
    start_from: Annotated[
        str, typer.Option(metavar="MODEL", help="Take what fits from these weights, of any profile.")
    ] = "",
    about: About = "",
    checkpoint: Annotated[str, typer.Option(metavar="FILE", help="Default: runs/NAME.pt.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint, to the same result.")] = False,
    stop_after: Annotated[int, typer.Option(metavar="STEP", help="Leave off at this step; --resume goes on.")] = 0,
    recipe_name: Annotated[
        str,
        typer.Option("--recipe", metavar="FILE", help="Train the paper's networks: a recipe, or a name from recipes/."),
    ] = "",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a value of the recipe; may be repeated."),
    ] = None,
    labels: RecipeLabels = "",
    vgg: Vgg = "",
    tensorboard: Annotated[
        str, typer.Option(metavar="FOLDER", help="With a recipe: write figures for TensorBoard there.")
    ] = "",
    storage: Storage = "float16",
    objective: Annotated[
        Literal["mse", "perceptual"],
        typer.Option(
            help="perceptual: the paper's L1 + SSIM + VGG, for the decoder of profile coded alone; needs --start-from "
            "and --vgg. What is sent stays as it was."
        ),
    ] = "mse",
) -> None:
    """Train the networks of a profile; checkpoints resume to the same result."""
    if recipe_name:
        from ds2c2.cli.trainrecipe import train_recipe
        from ds2c2.cli.trainsamples import Job

        for option in RECIPES_OWN:
            if context.get_parameter_source(option).name == "COMMANDLINE":
                raise UserError(
                    f"--{option.replace('_', '-')}: the recipe says that itself; change it with --set, such as "
                    "--set training.batch=4"
                )
        job = Job(
            pictures, Path(out), labels, vgg, start_from, device, tuple(hold_out or ()),
            Path(checkpoint or f"runs/{Path(out).stem}.pt"), resume, stop_after, tensorboard, about, storage,
        )  # fmt: skip
        train_recipe(recipe_name, changes or [], job)
        return
    for value, option in ((changes, "--set"), (labels, "--labels"), (tensorboard, "--tensorboard")):
        if value:
            raise UserError(f"{option} goes with --recipe")
    perceptual = objective == "perceptual"
    if vgg and not perceptual:
        raise UserError("--vgg goes with --recipe or with --objective perceptual")
    from ds2c2.cli.trainingbar import training_bar
    from ds2c2.evaluation.card import Report, write_card
    from ds2c2.evaluation.judge import judge
    from ds2c2.evaluation.modelcard import card_of
    from ds2c2.networks.modelfiles import check_suffix
    from ds2c2.networks.profiles import PROFILES
    from ds2c2.networks.weights import choose_device
    from ds2c2.pictures.pictures import list_pictures
    from ds2c2.training.crops import HOLD_OUT_EVERY, split_hold_out, without
    from ds2c2.training.finish import finish, origin
    from ds2c2.training.loop import TrainingSettings
    from ds2c2.training.loop import train as run
    from ds2c2.training.recipes import recipe_of

    recipe, shape, seen = recipe_of(profile), PROFILES[profile].load("shape")(), None
    if perceptual:
        from ds2c2.training.perceptual import PerceptualRecipe, start_shape
        from ds2c2.training.vgg import VggFeatures, find_vgg

        shape = start_shape(profile, start_from, out)
        recipe, seen = PerceptualRecipe, VggFeatures(find_vgg(vgg, "or train with --objective mse"))
    target = Path(out)
    check_suffix(target)
    kept = Path(checkpoint or f"runs/{target.stem}.pt")
    if kept.exists() and not resume:
        raise FileError(f"{kept}: a checkpoint is there already; add --resume, or move it away to start anew")
    if not resume:
        check_free(target, card_of(target), kept)
    settings = TrainingSettings(
        steps, batch or recipe.batch, recipe.crop if crop is None else crop, learning_rate, seed, precision,
        shape, origin(start_from) if start_from else "", objective=objective,
    )  # fmt: skip
    given = list_pictures(pictures)
    if hold_out:
        held_out = list_pictures(hold_out)
        used = without(given, held_out)
        if not used:
            raise PictureError("every picture is held out by --hold-out, none is left to train on; give more pictures")
        described = "named by --hold-out"
    else:
        used, held_out = split_hold_out(given)
        described = f"every {HOLD_OUT_EVERY}th of those given"
    with training_bar(console, steps) as report:
        trainer = run(
            settings, used, kept, choose_device(device), resume, report,
            stop_after=stop_after or None, start=start_from or None, say=lambda line: console.print(line, markup=False),
            vgg=seen,
        )  # fmt: skip
    if trainer.step < steps:
        console.print(f"left off at step {trainer.step} of {steps}; `--resume` goes on from {kept}", markup=False)
        return
    with console.status("counting symbols for the entropy coder"):
        finish(trainer, target, used, storage)
    known = Report(shlex.join(["ds2c2", *sys.argv[1:]]), about, used, described, None)
    card = write_card(target, trainer, known)
    console.print(f"wrote {target} ({target.stat().st_size / 1e6:.1f} MB)", markup=False)
    rows = judge(target, track(held_out, "held-out pictures", console=console, transient=True), device=device)
    for row in rows:
        console.print(
            f"held-out pictures: {row.pictures}, {row.bpp:.2f} bpp, {row.loss:.0%} lost: "
            f"PSNR {row.psnr:.2f} dB, base {row.base_psnr:.2f} dB"
        )
    if not rows:
        console.print("no held-out picture is large enough to judge by")
    write_card(target, trainer, replace(known, after=rows))
    console.print(f"wrote {card}", markup=False)
