# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 train``: a folder of pictures in, weights and model card out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ds2c2.cli import options
from ds2c2.errors import UserError

console = Console(highlight=False, soft_wrap=True)
LOG_EVERY = 500  # steps between lines that stay, where the bar cannot be seen


def train(
    pictures: Annotated[list[str], typer.Argument(help="Folders, files or globs of training pictures.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="Weights to write, .safetensors; the card goes beside it.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 20000,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 8,
    crop: Annotated[int, typer.Option(help="Side of a crop in pixels, a multiple of 16.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Peak of the learning rate.")] = 8e-4,
    seed: Annotated[int, typer.Option(help="Seed of weights, crops, rates and losses.")] = 1,
    precision: Annotated[Literal["float32", "bfloat16"], typer.Option(help="bfloat16: mixed precision.")] = "float32",
    device: options.Device = "auto",
    about: Annotated[str, typer.Option(help="What the pictures are and what they may be used for, for the card.")] = "",
    checkpoint: Annotated[str, typer.Option(metavar="FILE", help="Default: runs/NAME.pt.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint, to the same result.")] = False,
    stop_after: Annotated[int, typer.Option(metavar="STEP", help="Leave off at this step; --resume goes on.")] = 0,
) -> None:
    """Train the binary profile; checkpoints resume to the same result."""
    from ds2c2.pictures import list_pictures
    from ds2c2.training.card import judge, write_card
    from ds2c2.training.crops import split_hold_out
    from ds2c2.training.loop import Progress as Step
    from ds2c2.training.loop import TrainingSettings
    from ds2c2.training.loop import train as run
    from ds2c2.weights import SUFFIX, choose_device, save_weights

    target = Path(out)
    if target.suffix != SUFFIX:
        raise UserError(f"--out {out}: weights end in {SUFFIX}")
    kept = Path(checkpoint or f"runs/{target.stem}.pt")
    if kept.exists() and not resume:
        raise UserError(f"{kept}: a checkpoint is there already; add --resume, or move it away to start anew")
    settings = TrainingSettings(steps, batch, crop, learning_rate, seed, precision)
    used, held_out = split_hold_out(list_pictures(pictures))
    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[quality]}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("training", total=steps, quality="")

        def report(step: Step) -> None:
            quality = f"{step.psnr:.2f} dB, base {step.base_psnr:.2f} dB"
            bar.update(task, completed=step.step, quality=quality)
            if step.step % LOG_EVERY == 0:
                console.print(f"step {step.step}: {quality} (batches, all rates and losses)")

        trainer = run(settings, used, kept, choose_device(device), resume, report, stop_after=stop_after or None)
    if trainer.step < steps:
        console.print(f"left off at step {trainer.step} of {steps}; `--resume` goes on from {kept}", markup=False)
        return
    notes = {"steps": str(trainer.step), "seed": str(seed)}
    save_weights(target, trainer.average, notes)
    console.print(
        f"wrote {target} ({target.stat().st_size / 1e6:.1f} MB); measuring {len(held_out)} held-out pictures",
        markup=False,
    )
    rows = judge(target, held_out)
    command = shlex.join(["ds2c2", *sys.argv[1:]])
    card = write_card(target, trainer, about, used, rows, command)
    console.print(f"wrote {card}", markup=False)
