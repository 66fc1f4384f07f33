# SPDX-License-Identifier: GPL-3.0-or-later
"""What every run has in common: its steps one after the other, their time, its checkpoints."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ds2c2.training.drawing import Ahead

CHECKPOINT_EVERY = 500  # steps


class Trainer(Protocol):
    """A run: networks and optimisers, ``step`` of which are done in ``seconds``."""

    step: int
    seconds: float

    def train_step(self, *batch: Any) -> Any:
        """One step on a batch; returns what came of it."""

    def save(self, path: Path) -> None:
        """Write a checkpoint whose resumption gives what the unbroken run would give."""


def run_steps(
    trainer: Trainer,
    batches: Ahead,
    last: int,
    after: Callable[[tuple, Any, bool], None],
    checkpoint: Path | None = None,
    every: int = CHECKPOINT_EVERY,
) -> None:
    """Train until step ``last``, with a checkpoint every so many steps and at the end.

    ``after`` is told each step's batch, what came of it, and whether a checkpoint is due, before that is
    written. Without a ``checkpoint`` path none is. Raises what drawing, stepping and ``after`` raise.
    """
    try:
        while trainer.step < last:
            begun = time.monotonic()
            batch = batches(trainer.step)
            outcome = trainer.train_step(*batch)
            trainer.seconds += time.monotonic() - begun
            due = trainer.step % every == 0 or trainer.step == last
            after(batch, outcome, due)
            if due and checkpoint:
                trainer.save(checkpoint)
    finally:
        batches.close()


def resumes(checkpoint: Path | None, resume: bool, say: Callable[[str], None]) -> bool:
    """Whether a run goes on from a checkpoint that is there; where one was wanted and is not there, ``say`` says so."""
    if not resume or checkpoint is None:
        return False
    if not checkpoint.exists():
        say(f"there is no checkpoint {checkpoint}: training begins anew")
        return False
    return True
