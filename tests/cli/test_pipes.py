# SPDX-License-Identifier: GPL-3.0-or-later
"""A named pipe where a file is read: said, then read like one; and devices, which may have no end."""

import os
import threading

import numpy as np
import pytest

from ds2c2.errors import ExitCode
from ds2c2.stream.packets import TYPE_BLOCK, build_packets
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import LossTrace, write_trace
from ds2c2.transport.recording import RecordingWriter

FORM = StreamFormat(96, 64, bpp=0.9, block_size=48)


def contents(folder) -> dict[str, bytes]:
    """What comes through the pipes, by what it is."""
    write_trace(folder / "a.csv", LossTrace.from_losses(np.random.default_rng(1).random(300) < 0.2))
    with RecordingWriter(folder / "a.rec", FORM) as recording:
        blocks = np.zeros((3, FORM.block_size), np.uint8)
        recording.write(build_packets(TYPE_BLOCK, 0, np.zeros(3, int), np.arange(3), blocks, FORM))
    files = {"a loss trace": folder / "a.csv", "packets": folder / "a.rec"}
    return {what: path.read_bytes() for what, path in files.items()} | {"a key": b"ab" * 32 + b"\n"}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a loss trace", ("trace", "show", "pipe")),
        ("a key", ("info", "96x64", "--bpp", "0.9", "--key", "pipe")),
        ("packets", ("merge", "pipe", "--to", "merged.rec")),
    ],
)
def test_a_pipe_is_announced_and_read(here, tmp_path, what, words):
    pipe, content = tmp_path / "pipe", contents(tmp_path)[what]
    os.mkfifo(pipe, 0o600)
    # Opening waits for the command, as a shell's redirection does.
    writer = threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True)
    writer.start()
    done = here(*words)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"pipe: a pipe; waiting for {what}\n"
    writer.join()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("trace", "show", "/dev/zero"), ExitCode.LOSSES),
        (("report", "/dev/zero", "--into", "a.md"), ExitCode.MEASUREMENT),
    ],
)
def test_a_device_is_no_file(here, tmp_path, words, code):
    done = here(*words)
    assert done.returncode == code and "a device and no file" in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("info", "96x64", "--model", "./pipe.safetensors"),
        ("train", "nowhere", "--recipe", "pipe.safetensors", "--out", "a.safetensors"),
    ],
)
def test_what_is_no_file_where_one_is_needed_is_one_line(here, tmp_path, words):
    """Weights and recipes are looked for and not waited for."""
    os.mkfifo(tmp_path / "pipe.safetensors")
    done = here(*words)
    assert done.returncode and "pipe.safetensors: " in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.safetensors"]
