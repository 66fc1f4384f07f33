# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 train --recipe`` and ``ds2c2 update`` of a paper model: recipe and data set in, weights out.

Under torchrun every process comes through here; the first one speaks and writes.
"""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from ds2c2.cli.terminal import Terminal
from ds2c2.cli.trainingbar import phase_bar
from ds2c2.cli.trainsamples import Job, check_targets, make_stores
from ds2c2.cli.trainsegnet import run_segnet
from ds2c2.errors import UserError, WeightsError
from ds2c2.networks.modelfiles import find_weights
from ds2c2.networks.paper import PaperNetworks
from ds2c2.networks.weights import load_networks, read_metadata, save_weights
from ds2c2.paper.archive import PICTURES_NOTE, RECIPE_NOTE, STEPS_NOTE
from ds2c2.paper.card import MOST_JUDGED, PaperJudgement, judge_paper, write_paper_card
from ds2c2.paper.loop import PaperTrainer, train_paper
from ds2c2.paper.scalars import Scalars
from ds2c2.training.datasets import FOLDER
from ds2c2.training.finish import origin
from ds2c2.training.processes import Processes, joined
from ds2c2.training.recipefile import PaperRecipe, SegNetRecipe, make_recipe, read_recipe
from ds2c2.training.samples import SampleStore
from ds2c2.training.vgg import VggFeatures, find_vgg


def train_recipe(name: str, changes: list[str], job: Job) -> None:
    """Run a recipe from pictures to weights and their card."""
    recipe = read_recipe(name, changes)
    check_targets(job)
    if isinstance(recipe, SegNetRecipe):
        run_segnet(recipe, job)
    else:
        _run(recipe, job)


def update_paper(job: Job, steps: int | None, learning_rate: float | None, crop: int | None, seed: int) -> None:
    """The paper's fast update: BResNet and SumNet further on a few pictures, RGAN as it is."""
    source = find_weights(job.start)
    note = read_metadata(source).get(RECIPE_NOTE)
    try:
        recipe = make_recipe(json.loads(note or "{}"))
    except (json.JSONDecodeError, UserError) as error:
        raise WeightsError(f"{source}: its recipe cannot be read ({error})") from None
    plan = replace(
        recipe.training, phases=("enhancement",), steps=steps or 0, seed=seed,
        learning_rate=learning_rate or recipe.training.learning_rate,
    )  # fmt: skip
    data = replace(recipe.data, layout=FOLDER)
    if crop:
        data = replace(data, width=crop, height=crop, fit="crop")
    shape = load_networks(source).shape
    _run(replace(recipe, networks=shape, data=data, training=plan), job)


def _run(recipe: PaperRecipe, job: Job) -> None:
    vgg = VggFeatures(find_vgg(job.vgg)) if recipe.losses.vgg else None
    with joined(job.device) as processes:
        console = Terminal(quiet=not processes.first)
        *stores, described = make_stores(recipe, job, processes, console)
        before = _judge(job.start, stores[1], recipe, processes, console) if job.update and processes.first else []
        trainer = _train(recipe, job, stores[0], processes, vgg, console)
    if not processes.first:
        return
    if not trainer.ended:
        done = trainer.phase_number * trainer.steps + trainer.step
        console.print(
            f"left off at step {trainer.step} of {trainer.steps} of the phase {trainer.phase} ({done} in all); "
            f"`--resume` goes on from {job.checkpoint}",
            markup=False,
        )
        return
    came_from = origin(job.start) if job.start else ""
    notes = {
        STEPS_NOTE: str(trainer.steps * len(recipe.training.phases)),
        PICTURES_NOTE: str(len(stores[0])),
        RECIPE_NOTE: json.dumps(recipe.as_dict()),
    }
    if came_from:
        notes["updated_from" if job.update else "started_from"] = came_from
    save_weights(job.out, trainer.networks, notes, job.storage)
    console.print(f"wrote {job.out} ({job.out.stat().st_size / 1e6:.1f} MB)", markup=False)
    after = _judge(job.out, stores[1], recipe, processes, console)
    for i, row in enumerate(after):
        was = f" (before {before[i].psnr:.2f})" if before else ""
        console.print(
            f"held-out pictures: {row.pictures}, {row.r_bpp:.4f} bpp of r, pe_test {row.pe_test:.0%}: "
            f"PSNR {row.psnr:.2f} dB{was}, x' {row.base_psnr:.2f} dB"
        )
    command = shlex.join(["ds2c2", *sys.argv[1:]])
    described += f", {MOST_JUDGED} at most"
    card = write_paper_card(job.out, trainer, command, job.about, len(stores[0]), described, came_from, after, before)
    console.print(f"wrote {card}", markup=False)


def _train(recipe, job, store, processes, vgg, console) -> PaperTrainer:
    scalars = Scalars(Path(job.tensorboard)) if job.tensorboard and processes.first else None
    phases = recipe.training.phases
    with phase_bar(console) as show:

        def report(progress) -> None:
            show(progress)
            if scalars:
                scalars.report(progress, phases.index(progress.phase))

        try:
            return train_paper(
                recipe, store, processes, job.checkpoint, job.resume, report,
                **({"look": scalars.look} if scalars else {}),
                vgg=vgg, stop_after=job.stop_after or None, start=job.start or None,
                say=lambda line: console.print(line, markup=False),
            )  # fmt: skip
        finally:
            if scalars:
                scalars.close()
                console.print(f"wrote TensorBoard's files to {job.tensorboard}", markup=False)


def _judge(
    weights: str | Path, store: SampleStore, recipe: PaperRecipe, processes: Processes, console: Console
) -> list[PaperJudgement]:
    networks = load_networks(weights, processes.device)
    if not isinstance(networks, PaperNetworks):
        raise WeightsError(f"{weights}: weights of profile {networks.profile}, those of paper are wanted")
    indices = track(range(min(len(store), MOST_JUDGED)), "held-out pictures", console=console, transient=True)
    return judge_paper(networks, store, recipe, indices, processes.device)
