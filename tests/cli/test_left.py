# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command leaves where nothing came of it, and what ``merge`` says of recordings that do not go together."""

from dataclasses import replace

import numpy as np
import pytest

from ds2c2.errors import ExitCode
from ds2c2.stream.packets import TYPE_BLOCK, build_packets
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.recording import RecordingWriter

FORM = StreamFormat(96, 64, bpp=0.9, block_size=48)


def record(path, form: StreamFormat, packets: int):
    with RecordingWriter(path, form) as recording:
        blocks = np.zeros((packets, form.block_size), np.uint8)
        recording.write(build_packets(TYPE_BLOCK, 0, np.zeros(packets, int), np.arange(packets), blocks, form))


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_is_left_only_where_it_was(here, tmp_path, there):
    record(tmp_path / "empty.rec", FORM, 0)
    if there:
        (tmp_path / "new" / "got").mkdir(parents=True)
    done = here("receive", "--from", "empty.rec", "--out", "new/got")
    assert done.returncode == ExitCode.NOTHING_RECEIVED, done.stderr
    assert (tmp_path / "new" / "got").exists() == (tmp_path / "new").exists() == there


def test_a_trace_makes_no_folder_before_there_is_one(here, tmp_path):
    record(tmp_path / "empty.rec", FORM, 0)
    done = here("receive", "--from", "empty.rec", "--out", "got", "--trace", "new/a.csv")
    assert done.returncode == ExitCode.NOTHING_RECEIVED and not (tmp_path / "new").exists()


def test_merge_takes_a_recording_once_and_names_the_words_that_differ(here, tmp_path):
    record(tmp_path / "hill.rec", FORM, 3)
    record(tmp_path / "valley.rec", replace(FORM, seed=2), 3)
    (tmp_path / "link.rec").symlink_to("hill.rec")
    for twice in ("hill.rec", "./hill.rec", "link.rec"):
        done = here("merge", "hill.rec", twice, "--out", "got")
        assert done.returncode == ExitCode.PLACE and f"{twice}: given twice" in done.stderr, done.stderr
    done = here("merge", "hill.rec", "valley.rec", "--out", "got")
    assert done.returncode == ExitCode.FORMAT and "hill.rec, seed=2 and not seed=1; merge" in done.stderr, done.stderr
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("send", "loop", "--to", "a.rec"), "loop: a link that leads in a circle"),
        (("receive", "--from", "hill.rec", "--out", "got", "--trace", "loop/a.csv"), "loop/a.csv: cannot be written"),
        (("pack", "loop", "--out", "loop/a.safetensors"), "model 'loop' is unknown"),
        (("pack", "binary", "--out", "loop/a.safetensors"), "loop/a.safetensors: cannot be written"),
        (("receive", "--from", "hill.rec", "--out", "got", "--record", "loop"), "loop: is there already"),
    ],
)
def test_links_in_a_circle_are_one_line(here, tmp_path, words, said):
    record(tmp_path / "hill.rec", FORM, 3)
    (tmp_path / "loop").symlink_to("loop")
    done = here(*words)
    assert done.returncode and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
