# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 train --recipe`` and ``ds2c2 update`` of a paper model: recipe and data set in, weights out.

Under torchrun every process comes through here; the first one speaks and writes.
"""

import json
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from ds2c2.cli.trainingbar import phase_bar
from ds2c2.errors import PictureError, UserError, WeightsError
from ds2c2.labelsets import label_set_of
from ds2c2.networks.paper import PaperNetworks
from ds2c2.segmentation import default_segnet, names_segmenter, open_segmenter
from ds2c2.training.crops import HOLD_OUT_EVERY, UPDATE_HOLD_OUT_EVERY, split_hold_out, without
from ds2c2.training.datasets import (
    FOLDER,
    Sample,
    check_samples,
    find_samples,
    has_split,
    pair_labels,
    values_table,
)
from ds2c2.training.finish import origin
from ds2c2.training.labelmaps import make_label_maps
from ds2c2.training.papercard import MOST_JUDGED, PaperJudgement, judge_paper, write_paper_card
from ds2c2.training.paperloop import PaperTrainer, train_paper
from ds2c2.training.processes import Processes, joined
from ds2c2.training.recipefile import PaperRecipe, make_recipe, read_recipe
from ds2c2.training.samples import SampleStore
from ds2c2.training.scalars import Scalars
from ds2c2.training.vgg import VggFeatures, find_vgg
from ds2c2.weights import SUFFIX, find_weights, load_networks, read_metadata, save_weights

RECIPE_NOTE = "recipe"  # of a weights file's metadata: how it was trained


@dataclass(frozen=True)
class Job:
    """What the command was asked for; texts are empty where nothing was said."""

    pictures: list[str]
    out: Path
    labels: str = ""
    vgg: str = ""
    start: str = ""
    device: str = "auto"
    hold_out: tuple[str, ...] = ()
    checkpoint: Path | None = None
    resume: bool = False
    stop_after: int = 0
    tensorboard: str = ""
    about: str = ""
    update: bool = False


def train_recipe(name: str, changes: list[str], job: Job) -> None:
    """Run a recipe from pictures to weights and their card."""
    recipe = read_recipe(name, changes)
    if job.out.suffix != SUFFIX:
        raise UserError(f"--out {job.out}: weights end in {SUFFIX}")
    if job.checkpoint.exists() and not job.resume:
        raise UserError(f"{job.checkpoint}: a checkpoint is there already; add --resume, or move it away to start anew")
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
        console = Console(highlight=False, soft_wrap=True, quiet=not processes.first)
        used, held_out, described = _samples(recipe, job)
        labels = label_set_of(recipe.networks.label_set)
        table = values_table(recipe.data.layout, labels)
        found, own = _with_labels([*used, *held_out], recipe, job, processes, console)
        table = table if own else values_table(FOLDER, labels)
        used, held_out = found[: len(used)], found[len(used) :]
        check_samples(used, table)
        stores = [SampleStore(samples, recipe.data.sizing, labels, table) for samples in (used, held_out)]
        for store in stores:
            store.check()
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
    notes = {"steps": str(trainer.steps * len(recipe.training.phases)), RECIPE_NOTE: json.dumps(recipe.as_dict())}
    if came_from:
        notes["updated_from" if job.update else "started_from"] = came_from
    save_weights(job.out, trainer.networks, notes)
    console.print(f"wrote {job.out} ({job.out.stat().st_size / 1e6:.1f} MB)", markup=False)
    after = _judge(job.out, stores[1], recipe, processes, console)
    for i, row in enumerate(after):
        was = f" (before {before[i].psnr:.2f})" if before else ""
        console.print(
            f"held-out pictures: {row.pictures}, {row.r_bpp:.4f} bpp of r, pe_test {row.pe_test:.0%}: "
            f"PSNR {row.psnr:.2f} dB{was}, x' {row.base_psnr:.2f} dB"
        )
    command = shlex.join(["ds2c2", *sys.argv[1:]])
    card = write_paper_card(job.out, trainer, command, job.about, len(used), described, came_from, after, before)
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


def _samples(recipe: PaperRecipe, job: Job) -> tuple[list[Sample], list[Sample], str]:
    """Pictures to train on and to judge by, and in words which the latter are."""
    layout = recipe.data.layout
    own = recipe.networks.label_set != "none" and not job.labels
    used = find_samples(layout, job.pictures, "train", own)
    if has_split(layout, job.pictures, "val") and not job.hold_out:
        return used, find_samples(layout, job.pictures, "val", own), f"the layout's part val, {MOST_JUDGED} at most"
    paths = {sample.picture: sample for sample in used}
    if job.hold_out:
        held = [Sample(path, None) for path in (s.picture for s in find_samples(FOLDER, list(job.hold_out), "", False))]
        kept = without(list(paths), [sample.picture for sample in held])
        described = "named by --judge" if job.update else "named by --hold-out"
    else:
        every = UPDATE_HOLD_OUT_EVERY if job.update else HOLD_OUT_EVERY
        kept, chosen = split_hold_out(list(paths), every)
        held, described = [paths[path] for path in chosen], f"every {every}th of those given"
    if not kept:
        raise PictureError("every picture is held out, none is left to train on; give more pictures")
    return [paths[path] for path in kept], held, described


def _with_labels(
    samples: list[Sample], recipe: PaperRecipe, job: Job, processes: Processes, console: Console
) -> tuple[list[Sample], bool]:
    """The samples with label maps, and whether these are the data set's own."""
    labels = label_set_of(recipe.networks.label_set)
    if labels.name == "none":
        return [Sample(sample.picture, None) for sample in samples], True
    if not job.labels and recipe.data.layout != FOLDER and all(sample.labels for sample in samples):
        return samples, True
    text = job.labels or default_segnet(labels.name)
    if not names_segmenter(text):
        return pair_labels(samples, Path(text)), False
    folder = Path("runs") / f"{job.out.stem}-labels"
    with console.status("making label maps") as status:

        def done(number: int, count: int) -> None:
            status.update(f"making label maps: {number} of {count}")

        made = make_label_maps(
            samples, lambda: open_segmenter(text, labels, str(processes.device)), folder, processes, done
        )
    console.print(f"label maps of {text} are in {folder}", markup=False)
    return made, False


def _judge(
    weights: str | Path, store: SampleStore, recipe: PaperRecipe, processes: Processes, console: Console
) -> list[PaperJudgement]:
    networks = load_networks(weights, processes.device)
    if not isinstance(networks, PaperNetworks):
        raise WeightsError(f"{weights}: weights of profile {networks.profile}, those of paper are wanted")
    indices = track(range(min(len(store), MOST_JUDGED)), "held-out pictures", console=console, transient=True)
    return judge_paper(networks, store, recipe, indices, processes.device)
