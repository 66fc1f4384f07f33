# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress of a training run on the terminal, for ``train`` and ``update``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ds2c2.paper.loop import PaperProgress
from ds2c2.training.loop import Progress as Step

LOG_EVERY = 500  # steps between lines that stay, where the bar cannot be seen


@contextmanager
def training_bar(console: Console, steps: int) -> Iterator[Callable[[Step], None]]:
    """A bar of ``steps`` steps; yields what takes a step's progress."""
    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[quality]}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("training", total=steps, quality="")

        def report(step: Step) -> None:
            quality = f"{step.psnr:.2f} dB, base {step.base_psnr:.2f} dB"
            if step.bpp is not None:
                quality += f", {step.bpp:.3f} bpp"
            bar.update(task, completed=step.step, quality=quality)
            if step.step % LOG_EVERY == 0:
                console.print(f"step {step.step}: {quality} (batches, all rates and losses)")

        yield report


@contextmanager
def phase_bar(console: Console) -> Iterator[Callable[[PaperProgress], None]]:
    """A bar for each phase of the paper's networks; yields what takes a step's progress."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[quality]}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, int] = {}

        def report(step: PaperProgress) -> None:
            if step.phase not in tasks:
                tasks[step.phase] = bar.add_task(step.phase, total=step.steps, quality="")
            quality = f"x' {step.base_psnr:.2f} dB"
            if step.psnr is not None:
                quality = f"{step.psnr:.2f} dB, {quality}"
            bar.update(tasks[step.phase], completed=step.step, quality=quality)
            if step.step % LOG_EVERY == 0 or step.step == step.steps:
                console.print(f"{step.phase}, step {step.step} of {step.steps}: {quality} (batches, with losses)")

        yield report
