# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there is kept: a command whose file would replace another ends before it does anything, with one line."""

import os

import numpy as np
import pytest

from ds2c2.errors import ExitCode
from ds2c2.stream.packets import TYPE_BLOCK, build_packets
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import LossTrace, write_trace
from ds2c2.transport.recording import RecordingWriter

FORM = StreamFormat(96, 64, bpp=0.9, block_size=48)
KEPT = "kept.csv"
# Command lines that would write over KEPT, as their last word.
OVER_IT = {
    "receive --record": ("receive", "--from", "given.rec", "--out", "got", "--record"),
    "receive --trace": ("receive", "--from", "given.rec", "--out", "got", "--trace"),
    "send --to": ("send", "nowhere.png", "--to"),
    "send --log": ("send", "nowhere.png", "--to", "a.rec", "--log"),
    "merge --to": ("merge", "given.rec", "--to"),
    "trace record": ("trace", "record", "--from", "given.rec", "--out"),
    "trace convert": ("trace", "convert", "given.csv"),
    "trace merge": ("trace", "merge", "given.csv", "given.csv", "--out"),
    "trace fit --json": ("trace", "fit", "given.csv", "--json"),
    "trace fit --emulate": ("trace", "fit", "given.csv", "--emulate"),
    "trace show --plot": ("trace", "show", "given.csv", "--plot"),
    "evaluate": ("evaluate", "nowhere", "--out"),
    "trunks": ("trunks", "--from", "nowhere.tar.gz", "--out"),
}


@pytest.fixture
def refused(here, tmp_path):
    """Run a command that is refused in a folder with a recording, a trace and KEPT; its one line."""
    (tmp_path / KEPT).write_text("not to be had again")
    (tmp_path / "card.md").write_text("a readme")
    write_trace(tmp_path / "given.csv", LossTrace.from_losses(np.random.default_rng(1).random(300) < 0.2))
    with RecordingWriter(tmp_path / "given.rec", FORM) as recording:
        blocks = np.zeros((3, FORM.block_size), np.uint8)
        recording.write(build_packets(TYPE_BLOCK, 0, np.zeros(3, int), np.arange(3), blocks, FORM))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}

    def run(*words: str) -> str:
        done = here(*words)
        assert done.returncode == ExitCode.PLACE, done.stderr
        assert done.stderr.count("\n") == 1 and not done.stdout, done.stderr
        assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before
        return done.stderr

    return run


@pytest.mark.parametrize("what", OVER_IT)
def test_a_file_that_is_there_is_kept(refused, what):
    assert f"{KEPT}: is there already and is kept; choose another name, or remove it" in refused(*OVER_IT[what], KEPT)


def test_a_folder_in_the_place_of_a_file_is_said_before_the_work(refused):
    """Once only when all was measured, fitted or encoded. Some of them: a command takes a third of a second."""
    for what in ("receive --record", "send --log", "merge --to", "trace fit --json", "evaluate"):
        words = OVER_IT[what]
        assert "folder: cannot be written (a folder is there); choose another place" in refused(*words, "folder"), words


@pytest.mark.parametrize(
    "words",
    [
        ("receive", "--from", "given.rec", "--out"),
        ("serve", "decode", "--out"),
        ("study", "camvid-study", "nowhere", "--out"),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_kept(refused, words):
    assert f"{KEPT}: cannot be written (it is no folder); choose another place" in refused(*words, KEPT)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("receive", "--from", "given.rec", "--out", "a.mkv"), "films are written as .mp4 alone"),
        (("trace", "record", "--from", "given.rec", "--out", ""), "'': a file that is written needs a name"),
        (("benchmark", "folder", "--out", "./folder/new"), "--out ./folder/new: within folder"),
        (("report", "given.csv", "--into", "given.csv"), "--into given.csv: results that are read"),
        (("train", "nowhere", "--out", "a.pt"), "--out a.pt: weights end in .safetensors"),
        (("receive", "--from", "given.rec", "--out", "got", "--record", "given.rec"), "given.rec: is there already"),
        (("receive", "--from", "given.rec", "--out", "a.mp4", "--record", "./a.mp4"), "a.mp4: named twice"),
        (("receive", "--from", "given.rec", "--out", "got", "--record", "a", "--trace", "a"), "a: named twice"),
        (("send", "nowhere.png", "--to", "a", "--log", "a"), "a: named twice"),
        (("send", "nowhere.png", "--to", "pipe"), "pipe: a pipe or device and no file; choose another name"),
        (("pack", "binary", "--out", "card.safetensors"), "card.md: is there already"),
    ],
)
def test_inputs_other_outputs_and_devices_are_kept_too(refused, words, said):
    assert said in refused(*words)
