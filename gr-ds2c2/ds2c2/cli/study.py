# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 study``: a study file and a data set in, all its models out."""

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.live import Live

from ds2c2.cli import options
from ds2c2.cli.terminal import Table, Terminal
from ds2c2.errors import ExitCode, UserError
from ds2c2.files import make_folder

if TYPE_CHECKING:
    from ds2c2.paper.study import StudyModel

console = Terminal()
LOOK_EVERY = 1.0  # seconds between looks at the runs
GRACE = 10.0  # seconds for a run to end after it was told to
LOCK = ".study.lock"  # in a study's folder
ELSEWHERE = "choose another --out, or move that file away"
# A run: ``ds2c2`` with the arguments of its process, which ends when its study is gone, killed or not.
RUN = "from ds2c2.cli.study import end_with_the_study; from ds2c2.cli.program import main; end_with_the_study(); main()"


class StudyError(UserError):
    """A run of a study failed."""

    exit_code = ExitCode.TRAINING


class Run:
    """One model's training in a process of its own, its words in ``NAME.log``."""

    def __init__(self, name: str, command: list[str], folder: Path, threads: int):
        self.name, self.log = name, folder / f"{name}.log"
        self._file: IO[bytes] = open(self.log, "wb")  # noqa: SIM115 - closed in end()
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        # A session of its own: Ctrl-C is this program's to answer. Its input, which nothing is written to, ends
        # with this program, and that ends the run.
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, *command], stdin=subprocess.PIPE, stdout=self._file, stderr=subprocess.STDOUT,
            env=environment, start_new_session=True,
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
        self.process.stdin.close()
        self._file.close()


def end_with_the_study() -> None:
    """Watch this process's input, which the study holds open: when it ends, so does this process."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(ExitCode.TERMINATED)

    threading.Thread(target=watch, daemon=True).start()


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
    from ds2c2.paper.study import read_study
    from ds2c2.training.datasets import FOLDER
    from ds2c2.training.recipefile import read_recipe

    plan, folder = read_study(name), Path(out)
    make_folder(folder)
    cores = os.cpu_count() or 1
    at_once = jobs or cores

    def command(model: "StudyModel") -> list[str]:
        words = ["train", *pictures, "--recipe", plan.recipe, "--out", str(_weights(folder, model.name))]
        words += ["--checkpoint", str(folder / f"{model.name}.pt"), "--resume", "--device", device]
        words += [f"--set={change}" for change in model.changes]
        for option, value in (("--labels", labels), ("--vgg", vgg)):
            words += [option, value] if value else []
        return [*words, "--start-from", str(_weights(folder, model.start_from))] if model.start_from else words

    with _locked(folder), _running() as running, Live(console=console, refresh_per_second=1, transient=True) as live:
        done = {model.name for model in plan.models if _finished(model, folder, plan.recipe)}
        already = len(done)
        waiting = [model for model in plan.models if model.name not in done]
        while waiting or running:
            for run in [run for run in running if run.process.poll() is not None]:
                running.remove(run)
                run.end()
                if run.process.returncode:
                    raise StudyError(f"{run.name}: its training failed: {run.last_words()} ({run.log} has all of it)")
                done.add(run.name)
                console.print(f"wrote {_weights(folder, run.name)} ({len(done)} of {len(plan.models)})", markup=False)
            for model in list(waiting):
                if len(running) < at_once and (not model.start_from or model.start_from in done):
                    waiting.remove(model)
                    running.append(Run(model.name, command(model), folder, max(1, cores // at_once)))
            live.update(_table(running, len(done), len(plan.models)))
            time.sleep(LOOK_EVERY)
    layout = read_recipe(plan.recipe, plan.models[0].changes).data.layout
    place = [*pictures, *(["--layout", layout] if layout != FOLDER else [])]
    evaluate = shlex.join(["ds2c2", "evaluate", *place, "--models", str(folder), "--table", "all"])
    console.print(
        f"{len(plan.models)} models of {name} are in {folder}, {already} of them from before; "
        f"`{evaluate}` makes their tables",
        markup=False,
    )


def _weights(folder: Path, model: str) -> Path:
    from ds2c2.networks.modelfiles import SUFFIX

    return folder / f"{model}{SUFFIX}"


def _finished(model: "StudyModel", folder: Path, recipe: str) -> bool:
    """Whether a model's weights are there. Raises ``StudyError`` when they were trained otherwise."""
    from ds2c2.paper.archive import read_model
    from ds2c2.training.finish import origin
    from ds2c2.training.recipefile import read_recipe

    path = _weights(folder, model.name)
    if not path.is_file():
        return False
    found = read_model(path)
    trained, wanted = found.recipe.as_dict(), read_recipe(recipe, model.changes).as_dict()
    for section, values in wanted.items():
        for key, value in values.items():
            if trained[section][key] != value:
                raise StudyError(
                    f"{path}: trained with {section}.{key} = {trained[section][key]}, the study says {value}; "
                    f"{ELSEWHERE}"
                )
    start = _weights(folder, model.start_from)
    # Names may change, as when a study's model is called otherwise.
    if model.start_from and start.is_file() and _digest(found.origin) != _digest(origin(start)):
        raise StudyError(f"{path}: started from {found.origin or 'nothing'}, not from {origin(start)}; {ELSEWHERE}")
    if not path.with_suffix(".md").is_file():
        console.print(
            f"no card beside {path}; to have it judged again move it away, its checkpoint stays", markup=False
        )
    return True


def _digest(name: str) -> str:
    """Of ``NAME@DIGEST``."""
    return name.rpartition("@")[2]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One study at a time in a folder. Raises ``StudyError``."""
    with open(folder / LOCK, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StudyError(
                f"{folder}: another study is training there; wait for it, or choose another --out"
            ) from None
        yield


@contextmanager
def _running() -> Iterator[list[Run]]:
    """The runs that are going, which all end with the block, also when this program is told to end."""
    running: list[Run] = []
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitCode.TERMINATED))
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
