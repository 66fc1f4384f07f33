# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 train --recipe`` of a SegNet: pictures with label maps in, small PSPNet out."""

import json
import os
import platform
import shlex
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ds2c2.cli.trainsamples import Job, make_stores
from ds2c2.errors import UserError
from ds2c2.labelsets import label_set_of
from ds2c2.training.processes import joined
from ds2c2.training.recipefile import SegNetRecipe
from ds2c2.training.samples import SampleStore
from ds2c2.training.segnet import SegNetTrainer, judge_segnet, train_segnet
from ds2c2.weights import load_networks, save_weights, weights_storage
from ds2c2.weightstorage import IN_WORDS

console = Console(highlight=False, soft_wrap=True)


def run_segnet(recipe: SegNetRecipe, job: Job) -> None:
    """Train, write weights and card, and say what the held-out pictures show."""
    for given, option in ((job.start, "--start-from"), (job.tensorboard, "--tensorboard"), (job.vgg, "--vgg")):
        if given:
            raise UserError(f"{option} is not for a SegNet's recipe")
    with joined(job.device) as processes:
        if processes.count > 1:
            raise UserError("a SegNet is small and trains in one process; start it without torchrun")
        used, held_out, described = make_stores(recipe, job, processes, console)
        columns = (
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("training", total=None, loss="")

            def report(step: int, steps: int, loss: float) -> None:
                bar.update(task, total=steps, completed=step, loss=f"{loss:.3f} nats a pixel")

            trainer = train_segnet(
                recipe, used, processes.device, job.checkpoint, job.resume, report, job.stop_after or None
            )
    if trainer.step < trainer.steps:
        console.print(
            f"left off at step {trainer.step} of {trainer.steps}; `--resume` goes on from {job.checkpoint}",
            markup=False,
        )
        return
    notes = {"steps": str(trainer.steps), "recipe": json.dumps(recipe.as_dict())}
    save_weights(job.out, trainer.networks, notes, job.storage)
    console.print(f"wrote {job.out} ({job.out.stat().st_size / 1e6:.2f} MB)", markup=False)
    networks = load_networks(job.out, trainer.device)
    right, mean, overlaps = judge_segnet(networks, held_out, range(len(held_out)), trainer.device)
    console.print(f"held-out pictures: {len(held_out)}, {right:.1%} of the pixels right, mean IoU {mean:.1%}")
    card = _write_card(job, trainer, used, f"{len(held_out)} ({described})", right, mean, overlaps)
    console.print(f"wrote {card}", markup=False)


def _write_card(
    job: Job, trainer: SegNetTrainer, used: SampleStore, held_out: str, right: float, mean: float, overlaps: list[float]
) -> Path:
    plan, data = trainer.recipe.training, trainer.recipe.data
    labels = label_set_of(trainer.recipe.networks.label_set)
    names = labels.names or tuple(map(str, range(labels.count)))
    machine = f"{trainer.device}, {os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"
    count = sum(p.numel() for p in trainer.networks.parameters())
    stored = IN_WORDS[weights_storage(job.out)]
    lines = [
        f"# {job.out.stem}",
        "",
        f"A SegNet: makes label maps of {labels.name}. {count / 1e6:.2f} M parameters, {stored}.",
        "",
        "| | |",
        "|---|---|",
        f"| pictures | {job.about or 'not described'} |",
        f"| of them trained on | {len(used)}, layout {data.layout} |",
        f"| steps | {trainer.steps}, batch {plan.batch}, {data.width}x{data.height} ({data.fit}) |",
        f"| seed, learning rate | {plan.seed}, {plan.learning_rate:g} |",
        f"| time | {trainer.seconds / 3600:.2f} h on {machine} |",
        f"| command | `{shlex.join(['ds2c2', *sys.argv[1:]])}` |",
        "",
        "Whoever passes these weights on or uses them is bound by the terms of the pictures, too.",
        "",
        f"Held-out pictures: {held_out}. {right:.1%} of the pixels right, mean IoU {mean:.1%} (void does not count):",
        "",
        "| class | IoU |",
        "|---|---|",
        *(f"| {name} | {value:.1%} |" for name, value in zip(names, overlaps, strict=True)),
        "",
    ]
    path = job.out.with_suffix(".md")
    path.write_text("\n".join(lines))
    return path
