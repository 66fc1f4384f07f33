# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 study``: a study file and a data set in, all its models out."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ds2c2.cli import options
from ds2c2.errors import UserError

console = Console(highlight=False, soft_wrap=True)
LOOK_EVERY = 1.0  # seconds between looks at the runs
TERMINATED = 143  # the shell's code for SIGTERM
GRACE = 10.0  # seconds for a run to end after it was told to


class StudyError(UserError):
    """A run of a study failed."""

    exit_code = 10


class Run:
    """One model's training in a process of its own, its words in ``NAME.log``."""

    def __init__(self, name: str, command: list[str], folder: Path, threads: int):
        self.name, self.log = name, folder / f"{name}.log"
        self._file: IO[bytes] = open(self.log, "wb")  # noqa: SIM115 - closed in end()
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        # A session of its own: Ctrl-C is this program's to answer.
        self.process = subprocess.Popen(
            command, stdout=self._file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
            start_new_session=True,
        )  # fmt: skip

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "begun"

    def end(self) -> None:
        """Stop the run if it is still going; what it has kept in its checkpoint is kept."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._file.close()


def study(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or a name from recipes/.")],
    pictures: Annotated[list[str], typer.Argument(help="The data set's root, as the study's recipe wants it.")],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where weights, cards, checkpoints and logs go.")],
    jobs: Annotated[int, typer.Option(min=0, help="Models trained at a time. Default: one a core.")] = 0,
    device: options.Device = "auto",
    labels: Annotated[str, typer.Option(metavar="FOLDER", help="As for `ds2c2 train`.")] = "",
    vgg: Annotated[str, typer.Option(metavar="FILE", help="As for `ds2c2 train`.")] = "",
) -> None:
    """Train every model of a study; what is finished is kept, and the same command goes on after a kill."""
    from ds2c2.training.study import read_study
    from ds2c2.weights import SUFFIX

    plan, folder = read_study(name), Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"{folder}: no folder can be made there ({error.strerror}); choose another --out") from None
    cores = os.cpu_count() or 1
    at_once = jobs or cores

    def weights(model: str) -> Path:
        return folder / f"{model}{SUFFIX}"

    def command(model) -> list[str]:
        words = [
            sys.executable,
            "-m",
            "ds2c2",
            "train",
            *pictures,
            "--recipe",
            plan.recipe,
            "--out",
            str(weights(model.name)),
        ]
        words += ["--checkpoint", str(folder / f"{model.name}.pt"), "--resume", "--device", device]
        words += [f"--set={change}" for change in model.changes]
        for option, value in (("--labels", labels), ("--vgg", vgg)):
            words += [option, value] if value else []
        return [*words, "--start-from", str(weights(model.start_from))] if model.start_from else words

    done = {model.name for model in plan.models if _finished(weights(model.name), plan.recipe, model.changes)}
    already = len(done)
    waiting = [model for model in plan.models if model.name not in done]
    with _running() as running, Live(console=console, refresh_per_second=1, transient=True) as live:
        while waiting or running:
            for run in [run for run in running if run.process.poll() is not None]:
                running.remove(run)
                run.end()
                if run.process.returncode:
                    raise StudyError(f"{run.name}: its training failed: {run.last_words()} ({run.log} has all of it)")
                done.add(run.name)
                console.print(f"wrote {weights(run.name)} ({len(done)} of {len(plan.models)})", markup=False)
            for model in list(waiting):
                if len(running) < at_once and (not model.start_from or model.start_from in done):
                    waiting.remove(model)
                    running.append(Run(model.name, command(model), folder, max(1, cores // at_once)))
            live.update(_table(running, len(done), len(plan.models)))
            time.sleep(LOOK_EVERY)
    console.print(
        f"{len(plan.models)} models of {name} are in {folder}, {already} of them from before; "
        f"`ds2c2 evaluate {' '.join(pictures)} --models {folder} --table all` makes their tables",
        markup=False,
    )


def _finished(path: Path, recipe: str, changes: tuple[str, ...]) -> bool:
    """Whether a model's weights are there. Raises ``StudyError`` when they were trained otherwise."""
    from ds2c2.training.paperarchive import read_model
    from ds2c2.training.recipefile import read_recipe

    if not path.is_file():
        return False
    trained, wanted = read_model(path).recipe.as_dict(), read_recipe(recipe, changes).as_dict()
    for section, values in wanted.items():
        for key, value in values.items():
            if trained[section][key] != value:
                raise StudyError(
                    f"{path}: trained with {section}.{key} = {trained[section][key]}, the study says {value}; "
                    "choose another --out, or move that file away"
                )
    return True


@contextmanager
def _running():
    """The runs that are going, which all end with the block, also when this program is told to end."""
    running: list[Run] = []
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield running
    finally:
        signal.signal(signal.SIGTERM, before)
        for run in running:
            run.end()


def _table(running: list[Run], done: int, count: int) -> Table:
    table = Table(title=f"{done} of {count} models trained", box=None, title_justify="left")
    for run in running:
        table.add_row(run.name, run.last_words())
    return table
