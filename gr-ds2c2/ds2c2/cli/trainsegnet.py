# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 train --recipe`` of a SegNet: pictures with label maps in, small PSPNet out."""

import json
import shlex
import sys
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ds2c2.cli.terminal import Terminal
from ds2c2.cli.trainsamples import Job, make_stores
from ds2c2.errors import UserError
from ds2c2.evaluation.modelcard import machine, table, write_card
from ds2c2.networks.weights import load_networks, save_weights
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.training.datasets import find_samples, has_split
from ds2c2.training.processes import joined
from ds2c2.training.recipefile import SegNetRecipe
from ds2c2.training.samples import SampleStore
from ds2c2.training.segnet import SegNetTrainer, judge_segnet, train_segnet

console = Terminal()


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
                recipe, used, processes.device, job.checkpoint, job.resume, report, job.stop_after or None,
                say=lambda line: console.print(line, markup=False),
            )  # fmt: skip
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
    judged = []
    for store, words in ((held_out, described), *_test_part(recipe, job, held_out)):
        judged.append((f"{len(store)} ({words})", *judge_segnet(networks, store, range(len(store)), trainer.device)))
        pictures, right, mean, _ = judged[-1]
        console.print(f"held-out pictures: {pictures}, {right:.1%} of the pixels right, mean IoU {mean:.1%}")
    card = _write_card(job, trainer, used, judged)
    console.print(f"wrote {card}", markup=False)


def _test_part(recipe: SegNetRecipe, job: Job, like: SampleStore) -> list[tuple[SampleStore, str]]:
    """The layout's part test, if it has one and its own label maps are used."""
    if job.labels or not has_split(recipe.data.layout, job.pictures, "test"):
        return []
    samples = find_samples(recipe.data.layout, job.pictures, "test", True)
    return [(SampleStore(samples, like.fit, like.label_set, like.table), "the layout's part test")]


def _write_card(
    job: Job, trainer: SegNetTrainer, used: SampleStore, judged: list[tuple[str, float, float, list[float]]]
) -> Path:
    """``judged``: of each set of pictures its words, right pixels, mean IoU and that of each class."""
    plan, data = trainer.recipe.training, trainer.recipe.data
    labels = label_set_of(trainer.recipe.networks.label_set)
    names = labels.names or tuple(map(str, range(labels.count)))
    facts = {
        "pictures": job.about or "not described",
        "of them trained on": f"{len(used)}, layout {data.layout}",
        "steps": f"{trainer.steps}, batch {plan.batch}, {data.width}x{data.height} ({data.fit})",
        "seed, learning rate": f"{plan.seed}, {plan.learning_rate:g}",
        "time": f"{trainer.seconds / 3600:.2f} h on {machine(trainer.device)}",
        "command": f"`{shlex.join(['ds2c2', *sys.argv[1:]])}`",
    }
    pictures, right, means, overlaps = zip(*judged, strict=True)
    rows = [
        ["pixels right", *(f"{value:.1%}" for value in right)],
        ["mean IoU", *(f"{value:.1%}" for value in means)],
        *(
            [f"IoU of {name}", *(f"{value:.1%}" for value in values)]
            for name, *values in zip(names, *overlaps, strict=True)
        ),
    ]
    results = ["Pictures that it was not trained on; void does not count:", "", *table(["", *pictures], rows)]
    what = f"A SegNet: makes label maps of {labels.name}."
    return write_card(job.out, trainer.networks, what, facts, results)
