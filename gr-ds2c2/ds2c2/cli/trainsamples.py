# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs of recipes have in common: what was asked for, the samples, their label maps."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ds2c2.codec.labels import names_segmenter
from ds2c2.codec.segmentation import default_segnet, open_segmenter
from ds2c2.errors import FileError, PictureError
from ds2c2.evaluation.modelcard import card_of
from ds2c2.files import check_free
from ds2c2.networks.modelfiles import check_suffix
from ds2c2.pictures.labelsets import label_set_of
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
from ds2c2.training.labelmaps import make_label_maps
from ds2c2.training.processes import Processes
from ds2c2.training.recipefile import PaperRecipe, SegNetRecipe
from ds2c2.training.samples import SampleStore

Recipe = PaperRecipe | SegNetRecipe


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
    storage: str = "float16"
    update: bool = False


def check_targets(job: Job) -> None:
    """Raises ``FileError`` for an output that is none, and for a checkpoint that would be lost."""
    check_suffix(job.out)
    if job.checkpoint.exists() and not job.resume:
        raise FileError(f"{job.checkpoint}: a checkpoint is there already; add --resume, or move it away to start anew")
    if not job.resume:
        check_free(job.out, card_of(job.out), job.checkpoint)


def make_stores(
    recipe: Recipe, job: Job, processes: Processes, console: Console
) -> tuple[SampleStore, SampleStore, str]:
    """Samples to train on and to judge by, with label maps and checked, and in words which the latter are."""
    used, held_out, described = choose_samples(recipe, job)
    if isinstance(recipe, PaperRecipe):
        used = recipe.training.some_of(used)
    labels = label_set_of(recipe.networks.label_set)
    found, own = with_labels([*used, *held_out], recipe, job, processes, console)
    table = values_table(recipe.data.layout if own else FOLDER, labels)
    check_samples(found, table)
    parts = (found[: len(used)], found[len(used) :])
    stores = [SampleStore(part, recipe.data.sizing, labels, table) for part in parts]
    for store in stores:
        store.check()
    return *stores, described


def choose_samples(recipe: Recipe, job: Job) -> tuple[list[Sample], list[Sample], str]:
    """Pictures to train on and to judge by, and in words which the latter are."""
    layout = recipe.data.layout
    own = recipe.networks.label_set != "none" and not job.labels
    used = find_samples(layout, job.pictures, "train", own)
    if has_split(layout, job.pictures, "val") and not job.hold_out:
        return used, find_samples(layout, job.pictures, "val", own), "the layout's part val"
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


def with_labels(
    samples: list[Sample], recipe: Recipe, job: Job, processes: Processes, console: Console
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
