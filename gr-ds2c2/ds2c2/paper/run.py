# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what the paper's tables need, over all cores or on Ray, and keeps every finished unit."""

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ds2c2.channels.symbolchannel import BITS_A_BYTE
from ds2c2.evaluation.erasurecode import design_k
from ds2c2.evaluation.progress import ProgressFile
from ds2c2.evaluation.raytasks import spread_on_ray
from ds2c2.evaluation.workers import one_thread, spread, start_worker
from ds2c2.paper.archive import PaperModel
from ds2c2.paper.units import (
    DAMAGED,
    MODEL,
    RIVAL,
    SENT,
    Condition,
    EvaluationError,
    PaperRun,
    work,
)

KIND = "ds2c2-evaluate/1"
# What a table wants of models: each with the conditions that its pictures meet.
Wanted = list[tuple[PaperModel, list[Condition]]]
# Of rivals: (name, picture, budgets in bytes, (budget, loss) of damaged files).
WantedOfRivals = list[tuple[str, int, set[int], set[tuple[int, float]]]]


@dataclass(frozen=True)
class Where:
    """Where a run is computed: ``jobs`` processes here, or a Ray cluster. One job is this process.

    ``gpu``: the networks' device is a GPU, and one process has it.
    """

    jobs: int = 1
    ray_address: str = ""
    gpu: bool = False

    def spread(self, tasks: list[tuple], networks: bool) -> Iterator[list[dict]]:
        """Results of ``work`` as they come. Raises ``UserError``."""
        jobs = min(1 if self.gpu and networks else self.jobs, len(tasks))
        if not tasks:
            return
        if self.ray_address:
            yield from spread_on_ray(work, tasks, self.ray_address, self.jobs, self.gpu and networks, one_thread)
        elif jobs == 1:
            one_thread()
            yield from (work(*task) for task in tasks)
        else:
            try:
                yield from spread(work, tasks, jobs, start_worker)
            except BrokenProcessPool:
                raise EvaluationError(
                    "a worker died (killed, or out of memory); what is finished is kept: "
                    "run the same command again, with fewer --jobs if memory was short"
                ) from None


class Measured:
    """Finished units, and the means that tables show: over all pictures and draws, PSNR in dB."""

    def __init__(self, run: PaperRun, units: dict[tuple, dict]):
        self.run, self.units = run, units

    def _of(self, model: PaperModel, key: str) -> list[dict]:
        return [self.units[MODEL, model.digest, digest, key] for digest in self.run.digests]

    def mean(self, model: PaperModel, condition: Condition, name: str = "psnr") -> float | None:
        """Of ``psnr``, ``sum_psnr`` (x' + r-hat), ``ms_ssim``, ``vgg`` or ``lpips``; None where not measured."""
        return mean(value for unit in self._of(model, condition.key) for value in unit[name])

    def steps(self, model: PaperModel, place: int = 0) -> list[float | None]:
        """Of c', x'_1, x'_2, ...: PSNR; with ``place`` 1 MS-SSIM, 2 the VGG distance, 3 LPIPS."""
        found = (unit["steps"] for unit in self._of(model, SENT))
        return [mean(step[place] for step in steps) for steps in zip(*found, strict=True)]

    def bpp(self, model: PaperModel, *parts: str) -> float:
        """Bits per pixel of ``r``, ``c`` and ``s``, or of some of them."""
        return mean(
            sum(unit[f"{part}_bits"] for part in parts or ("r", "c", "s")) / unit["pixels"]
            for unit in self._of(model, SENT)
        )

    def budget(self, model: PaperModel, index: int) -> int:
        """Whole bytes that r, c and s of a picture take together."""
        unit = self.units[MODEL, model.digest, self.run.digests[index], SENT]
        return sum(unit[f"{part}_bits"] for part in ("r", "c", "s")) // BITS_A_BYTE

    def rival(self, name: str, index: int, budget: int) -> dict:
        return self.units[RIVAL, name, self.run.digests[index], budget]

    def damaged(self, name: str, index: int, budget: int, loss: float) -> dict:
        return self.units[DAMAGED, name, self.run.digests[index], budget, loss]


def mean(values) -> float | None:
    """None for none, and where one of them is None."""
    values = list(values)
    return None if not values or None in values else float(np.mean(values))


def code_budgets(budget: int, block_size: int, loss: float) -> tuple[int, int]:
    """Bytes left for the file beside an ideal (MDS) code within a budget: when exactly the share
    ``loss`` of the blocks is lost, and when each is lost by itself with at most 1 % outage; 0: none.
    """
    blocks = budget // block_size
    if blocks == 0:
        return 0, 0
    exact = blocks - math.ceil(loss * blocks - 1e-9)
    return exact * block_size, design_k(blocks, loss) * block_size


def _model_tasks(run: PaperRun, wanted: Wanted, units: dict[tuple, dict]) -> tuple[list[tuple], int]:
    """What is left, and how many units all are."""
    by_model: dict[str, tuple[PaperModel, dict[str, Condition]]] = {}
    for model, conditions in wanted:
        by_model.setdefault(model.digest, (model, {}))[1].update({c.key: c for c in conditions})
    tasks = []
    for digest, (model, conditions) in by_model.items():
        for index, picture in enumerate(run.digests):
            left = [key for key in (SENT, *conditions) if (MODEL, digest, picture, key) not in units]
            if left:
                tasks.append((MODEL, run, model, index, left, [conditions[key] for key in left if key != SENT]))
    return tasks, sum(1 + len(conditions) for _, conditions in by_model.values()) * len(run.digests)


def _rival_tasks(run: PaperRun, wanted: WantedOfRivals, units: dict[tuple, dict]) -> tuple[list[tuple], int]:
    found: dict[tuple[str, int], tuple[set, set]] = {}
    for name, index, budgets, damaged in wanted:
        kept = found.setdefault((name, index), (set(), set()))
        kept[0].update(budgets)
        kept[1].update(damaged)
    tasks, total = [], 0
    for (name, index), (budgets, damaged) in found.items():
        digest = run.digests[index]
        total += len(budgets) + len(damaged)
        left = sorted(b for b in budgets if (RIVAL, name, digest, b) not in units)
        hit = sorted(pair for pair in damaged if (DAMAGED, name, digest, *pair) not in units)
        if left or hit:
            tasks.append((RIVAL, run, name, index, left, hit))
    return tasks, total


def measure(
    run: PaperRun,
    folder: Path,
    where: Where,
    wanted: Wanted,
    rivals: Callable[[Measured], WantedOfRivals],
    started: Callable[[str, int, int], None] = lambda what, done, total: None,
    advance: Callable[[int], None] = lambda units: None,
) -> Measured:
    """Compute what is left. ``rivals`` says what is wanted of them once our rates are known.

    ``started`` is told what begins, how many units there are already and in all, ``advance`` how
    many more. Raises ``UserError``.
    """
    with ProgressFile(folder, KIND, "evaluation", EvaluationError).opened(run.identity()) as (finished, add):
        units = {tuple(unit["unit"]): unit for unit in finished}
        for what in ("models", "rivals"):
            if what == "models":
                tasks, total = _model_tasks(run, wanted, units)
            else:
                tasks, total = _rival_tasks(run, rivals(Measured(run, units)), units)
            if not total:
                continue
            left = sum(len(task[4]) + (len(task[5]) if what == "rivals" else 0) for task in tasks)
            started(what, total - left, total)
            with contextlib.closing(where.spread(tasks, what == "models")) as results:
                for entries in results:
                    for entry in entries:
                        add(entry)
                        # As read back, so that a resumed run has the same in hand.
                        units[tuple(entry["unit"])] = json.loads(json.dumps(entry))
                    advance(len(entries))
    return Measured(run, units)
