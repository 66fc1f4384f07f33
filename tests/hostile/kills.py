# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command that writes, killed and out of room: nothing half stands under a final name, and a retry works.

    python tests/hostile/kills.py                       # the matrix, as a table
    python tests/hostile/kills.py --writer train --random 20 --seed 3

Each command is killed (SIGKILL) at changes it makes to its folder (files opened, named, removed, folders made), in the
middle of writes (a limit on the size of files that ends the process), and at random times; and it finds no room in
the middle of writes. ``tests/cli/test_kills.py`` does some of that.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "cli")]

from checkout import use_checkout  # noqa: E402

use_checkout()

import numpy as np  # noqa: E402
from commands import TROUBLE, Commands  # noqa: E402
from PIL import Image  # noqa: E402
from skimage.data import astronaut  # noqa: E402

from ds2c2.errors import ExitCode  # noqa: E402
from ds2c2.evaluation.progress import PROGRESS  # noqa: E402
from ds2c2.networks.weights import read_tensors  # noqa: E402
from ds2c2.pictures.pictures import write_picture  # noqa: E402
from ds2c2.stream.packetkey import read_key  # noqa: E402
from ds2c2.traces.losstrace import LossTrace, read_trace_file, write_trace  # noqa: E402
from ds2c2.transport.recording import RecordingReader  # noqa: E402
from tinymodels import write_tiny_models  # noqa: E402

DEADLINE_SECONDS = 300
SMALL = ("--bpp", "0.9", "--block-size", "32", "--model", "binary")
SEND = ("send", "in/a.png", "--size", "96x64", *SMALL)
TRAIN = (
    "train", "in", "--profile", "binary", "--steps", "2", "--batch", "1", "--crop", "64", "--hold-out", "in/b.png",
    "--start-from", "binary", "--checkpoint", "out/a.pt",
)  # fmt: skip
BENCHMARK = (
    "benchmark", "in", "--limit", "1", "--rates", "0.7", "--losses", "0,16", "--seeds", "1", "--block-size", "48",
    "--jobs", "1", "--rivals", "webp", "--rules", "air",
)  # fmt: skip
SWEEP = ("sweep", "in", "--bpp", "0.9", "--block-size", "48", "--packets", "40", "--frames", "1", "--snr", "20")
# Command lines that all write into out/ and nowhere else.
WRITERS = {
    "send, a recording of packets": (*SEND, "--to", "out/a.rec"),
    "send, a recording of samples": (
        "send", "in/a.png", "--bpp", "0.9", "--block-size", "32", "--link", "gmsk", "--radio", "file", "--address",
        "out/air",
    ),
    "receive": ("receive", "--from", "given.rec", "--out", "out/got", "--trace", "out/t.csv"),
    "trace record": ("trace", "record", "--from", "given.rec", "--out", "out/a.csv"),
    "trace convert": ("trace", "convert", "given.csv", "out/a.csv"),
    "trace fit": ("trace", "fit", "given.csv", "--json", "out/a.json", "--emulate", "out/b.csv", "--packets", "2000"),
    "compare": (
        "compare", "given.csv", "--pictures", "in/a.png", "--size", "96x64", *SMALL, "--draws", "2", "--jobs", "1",
        "--out", "out",
    ),
    "evaluate": ("evaluate", "in", "--loss", "0.5", *SMALL, "--out", "out/a.json"),
    "benchmark": (*BENCHMARK, "--out", "out"),
    "report": ("report", "judged", "--into", "out/page.md"),
    "sweep": (*SWEEP, "--out", "out"),
    "train": (*TRAIN, "--out", "out/a.safetensors"),
    "pack": ("pack", "binary", "--out", "out/a.safetensors"),
    "study": ("study", "study.toml", "in", "--out", "out", "--jobs", "1", "--device", "cpu"),
    "key": ("key", "out/link.key"),
    "serve keys": ("serve", "keys", "here", "--out", "out"),
    "demo": ("demo", "in/a.png", "--out", "out"),
}  # fmt: skip
STUDY = """recipe = "smoke"
set = ["training.steps=1", "data.layout=folder", "networks.label_set=none"]
[[model]]
name = "a"
"""
# Grow by whole lines and whole words: what a kill leaves there at the end the next run cuts off or goes on from.
PNG_END = b"IEND\xaeB`\x82"
GROWING = {PROGRESS, ".study.lock"}
GROWING_SUFFIXES = {".log"}
# What was begun of samples can be read and says that it was interrupted; who tries again is told to take it away.
NEVER_REPLACED = {"key", "serve keys"}
KEPT = {"send, a recording of samples"}
PASSED_ON = {"study": (ExitCode.TRAINING,)}  # what failed was another process
THERE = re.compile("ds2c2: (.+): is there already and is kept")
NO_ROOM = "make room, then try again"


@dataclass
class Outcome:
    """What became of a writer: how often it was killed and found no room, and where something was wrong."""

    killed: int = 0
    refused: int = 0
    done: int = 0  # ended before the trouble came
    wrong: list[str] = field(default_factory=list)

    def row(self, name: str) -> str:
        return f"| {name} | {self.killed} | {self.refused} | {self.done} | {'; '.join(self.wrong) or 'none'} |"


HEAD = "| writer | killed | no room | ended before | half files, failed retries |\n|---|---|---|---|---|"


class Place:
    """A folder with what commands are given, and copies of it to run them in."""

    def __init__(self, top: Path, commands: Commands, models: Path):
        self.top, self.commands, self.models = top, commands, models
        self.given = top / "given"
        write_picture(self.given / "in" / "a.png", astronaut()[:64, :96])
        write_picture(self.given / "in" / "b.png", astronaut()[64:192, 96:256])
        lost = np.random.default_rng(1).random(3000) < 0.2
        write_trace(self.given / "given.csv", LossTrace.from_losses(lost))
        (self.given / "study.toml").write_text(STUDY)
        self._must(*SEND, "--to", "given.rec")
        self._count = 0

    def _must(self, *words: str) -> None:
        done = self.run(self.given, words)
        assert done.returncode == 0, done.stderr

    def benchmark(self) -> None:
        """For the writers that read its results."""
        if not (self.given / "judged").exists():
            self._must(*BENCHMARK, "--out", "judged")

    def fresh(self) -> Path:
        self._count += 1
        folder = self.top / str(self._count) / "work"
        shutil.copytree(self.given, folder)
        (folder / "out").mkdir()
        return folder

    def run(
        self, folder: Path, words: Sequence[str], trouble: str = "", seconds: float = DEADLINE_SECONDS
    ) -> subprocess.CompletedProcess:
        env = {**os.environ, "COLUMNS": "200", "DS2C2_MODELS": str(self.models), "PYTHONDONTWRITEBYTECODE": "1"}
        if trouble:
            env[TROUBLE] = trouble
        return self.commands.run(list(words), folder, env, seconds)


def files_of(out: Path) -> dict[str, int]:
    """Files that are there to be used, by name, with their sizes."""
    found = {path.relative_to(out): path for path in sorted(out.rglob("*")) if path.is_file()}
    hidden = {name for name in found if any(part.startswith(".") for part in name.parts)}
    return {str(name): path.stat().st_size for name, path in found.items() if name not in hidden}


def half(path: Path) -> str:
    """What is wrong with a file that stands under its final name; empty if nothing."""
    if path.name in GROWING or path.suffix in GROWING_SUFFIXES:
        return ""
    try:
        match path.suffix:
            case ".png":
                with Image.open(path) as image:
                    image.load()  # which takes one whose last bytes are missing
                assert path.read_bytes().endswith(PNG_END), "cut off"
            case ".json" | ".sigmf-meta":
                json.loads(path.read_text())
            case ".csv":
                if path.read_text().startswith("# ds2c2 loss trace"):
                    read_trace_file(path)
                assert path.read_bytes().endswith(b"\n"), "cut off"
            case ".safetensors":
                read_tensors(path)
            case ".rec":
                reader = RecordingReader(path)
                packets = sum(map(len, reader))
                assert packets > reader.stream.blocks and not reader.torn_bytes, "torn"
            case ".key":
                if path.read_bytes().startswith(b"#"):
                    assert b"public-key" in path.read_bytes(), "cut off"
                else:
                    read_key(path)
            case ".pt":
                import torch

                torch.load(path, weights_only=True)
            case ".sigmf-data":
                pass  # grows; its metadata say that it is not complete
            case _:
                assert path.read_bytes().rstrip(b" ").endswith((b"\n", b">")), "cut off"
    except Exception as error:
        return f"{path.name}: {type(error).__name__} {error}"
    return ""


def reference(place: Place, name: str) -> tuple[dict[str, int], int, float]:
    """An undisturbed run: its files, its changes, its seconds."""
    folder = place.fresh()
    began = time.monotonic()
    done = place.run(folder, WRITERS[name], "count")
    assert done.returncode == 0, f"{name}: {done.stderr}"
    return files_of(folder / "out"), int((folder.parent / ".changes").read_text()), time.monotonic() - began


def out_of_room(name: str, what: str, said: str) -> bool:
    """Whether it was told to make room, and there was none. The signal that ends others at a size reaches no thread of
    GNU Radio's and no process of a study's."""
    none = what.startswith("room") or (what.startswith("bytes") and name in KEPT | PASSED_ON.keys() | {"demo"})
    return none and NO_ROOM in said.splitlines()[-1]


def trouble(place: Place, name: str, wanted: dict[str, int], what: str, outcome: Outcome, seconds: float) -> None:
    """One run in trouble and its retry. ``seconds`` after which it is killed in any case."""
    folder = place.fresh()
    out = folder / "out"
    try:
        done = place.run(folder, WRITERS[name], what, seconds)
        code = done.returncode
    except subprocess.TimeoutExpired:
        code, done = -signal.SIGKILL, None
    at = f"{what or 'a random time'}"
    if code == 0:
        outcome.done += 1
        return
    if code in (-signal.SIGKILL, -signal.SIGXFSZ):
        outcome.killed += 1
    elif done and code in (ExitCode.PLACE, *PASSED_ON.get(name, ())) and out_of_room(name, what, done.stderr):
        outcome.refused += 1
        if done.stderr.count(NO_ROOM) != 1:
            outcome.wrong.append(f"{at}: said more than once: {done.stderr.strip()[-300:]}")
        left = {name for name in files_of(out) if name not in wanted}
        hidden = [path.name for path in out.rglob(".*.part")]
        if left or hidden:
            outcome.wrong.append(f"{at}: left {sorted(left)} {hidden}")
    else:
        outcome.wrong.append(f"{at}: exit code {code}: {done.stderr.strip()[-300:]}")
    outcome.wrong += [f"{at}: {words}" for one in files_of(out) if (words := half(out / one))]
    if name in NEVER_REPLACED and files_of(out).keys() == wanted.keys():
        return  # done, but for what is hidden
    again = place.run(folder, WRITERS[name])
    if name in KEPT and "there is a recording already" in again.stderr and again.returncode == ExitCode.PLACE:
        shutil.rmtree(out)
        out.mkdir()
        again = place.run(folder, WRITERS[name])
    if "add --resume" in again.stderr:
        again = place.run(folder, (*WRITERS[name], "--resume"))
    # Written whole before the kill, and kept: as who tries again is told.
    while again.returncode == ExitCode.PLACE and (there := THERE.match(again.stderr)):
        (folder / there[1]).unlink()
        again = place.run(folder, WRITERS[name])
    if again.returncode:
        outcome.wrong.append(f"{at}: the retry ends with {again.returncode}: {again.stderr.strip()[-300:]}")
        return
    # A reception that is tried again leaves the killed one's pictures where they are.
    got = {path.replace("/run-2/", "/"): size for path, size in sorted(files_of(out).items())}
    if got.keys() != wanted.keys():
        outcome.wrong.append(f"{at}: after the retry {sorted(got.keys() ^ wanted.keys())}")
    outcome.wrong += [f"{at}, retried: {words}" for one in got if (words := half(out / one))]


def some(count: int, most: int) -> list[int]:
    """1 to ``count``, or ``most`` of them from first to last."""
    return sorted({round(1 + place * (count - 1) / max(1, most - 1)) for place in range(most)}) if count else []


def attack(place: Place, name: str, events: int, sizes: int, randoms: int, seed: int) -> Outcome:
    """Kill a writer at ``events`` changes, in so many ``sizes`` of its files and at ``randoms`` times; and let it find
    no room at so many sizes."""
    if name == "report":
        place.benchmark()
    wanted, changes, seconds = reference(place, name)
    outcome, rng = Outcome(), np.random.default_rng(seed)
    for event in some(changes, events):
        trouble(place, name, wanted, f"event:{event}", outcome, DEADLINE_SECONDS)
    large = sorted({size for size in wanted.values() if size > 1})
    for size in [large[place - 1] for place in some(len(large), sizes)]:
        for kind in ("bytes", "room"):
            trouble(place, name, wanted, f"{kind}:{size // 2}", outcome, DEADLINE_SECONDS)
    for _ in range(randoms):
        trouble(place, name, wanted, "", outcome, float(rng.uniform(0.1, 1.0) * seconds))
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--writer", choices=WRITERS, action="append")
    parser.add_argument("--events", type=int, default=12, help="changes at which each writer is killed, at most")
    parser.add_argument("--sizes", type=int, default=3, help="of its files, in which it is killed and finds no room")
    parser.add_argument("--random", type=int, default=5, help="random times at which it is killed")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ds2c2-kills-") as top:
        (Path(top) / "printed").mkdir()
        (Path(top) / "models").mkdir()
        commands = Commands(Path(top) / "printed")
        place = Place(Path(top), commands, write_tiny_models(Path(top) / "models"))
        print(HEAD, flush=True)
        for name in arguments.writer or WRITERS:
            try:
                outcome = attack(place, name, arguments.events, arguments.sizes, arguments.random, arguments.seed)
            except AssertionError as error:
                outcome = Outcome(wrong=[str(error)[-300:]])
            print(outcome.row(name), flush=True)
        commands.close()


if __name__ == "__main__":
    main()
