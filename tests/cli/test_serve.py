# SPDX-License-Identifier: GPL-3.0-or-later
"""`ds2c2 serve`: what it refuses, and how a signal ends it. Whole streams: tests/flowgraphs/qa_remote_inference.py."""

import os
import signal
import subprocess
import sys

import pytest
import zmq

from ds2c2.stream.streamtags import END, unpack_message
from freeport import free_port

LINK_ERROR, NOTHING_CAME = 7, 9
DEADLINE = 120  # seconds


@pytest.mark.parametrize(
    ("command", "code", "named"),
    [
        (("encode", "photographs", "--at", "tcp://0.0.0.0:5601"), LINK_ERROR, "--keys"),
        (("decode", "--out", "got", "--at", "tcp://192.0.2.1:5602"), LINK_ERROR, "--keys"),
        (("encode", "photographs", "--at", "127.0.0.1:5601"), LINK_ERROR, "write tcp://127.0.0.1:5601"),
        (("encode", "photographs", "--keys", "nowhere"), LINK_ERROR, "ds2c2 serve keys"),
        (("decode", "--out", "got", "--format", "768x512"), 4, "not understood"),
        (("decode", "--out", "got", "--render", "nosuch"), 5, "model 'nosuch' is unknown"),
        (("relay", "decode", "--host", "tcp://gpu:5602", "--keys", "nowhere"), LINK_ERROR, "ds2c2 serve keys"),
    ],
)
def test_what_is_refused(ds2c2, photographs, command, code, named):
    done = ds2c2("serve", *command)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1 and named in done.stderr and "Traceback" not in done.stderr


def test_nothing_comes(ds2c2, tmp_path):
    """The decoder waits no longer than it was told, and leaves no folder behind."""
    done = ds2c2("serve", "decode", "--out", "got", "--at", f"tcp://127.0.0.1:{free_port()}", "--wait", "0.5")
    assert done.returncode == NOTHING_CAME
    assert "no message for 0.5 s" in done.stdout and done.stderr.count("\n") == 1
    assert not (tmp_path / "got").exists()


def test_a_signal_ends_the_stream(models, photographs, tmp_path):
    """What is under way ends with its end tag, and the counts are printed."""
    address = f"tcp://127.0.0.1:{free_port()}"
    encoder = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ds2c2",
            "serve",
            "encode",
            str(photographs),
            "--at",
            address,
            "--bpp",
            "0.6",
            "--repeat",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    frames = ends = 0
    try:
        with zmq.Context() as context, context.socket(zmq.PULL) as pull:
            pull.linger = 0
            pull.connect(address)
            while not ends:
                assert pull.poll(DEADLINE * 1000)
                _, tags, _ = unpack_message(pull.recv())
                frames += any(tag.key == "ds2c2_frame" for tag in tags)
                ends += any(tag.key == END for tag in tags)
                if frames == 2:
                    encoder.send_signal(signal.SIGTERM)
        said, _ = encoder.communicate(timeout=DEADLINE)
    finally:
        encoder.kill()
    assert encoder.returncode == 0, said
    assert f"sent {frames} pictures" in said


def test_a_decoder_to_which_nothing_came_leaves_no_folder(here, tmp_path):
    form = here("info", "160x128").stdout.splitlines()[0]
    at = f"tcp://127.0.0.1:{free_port()}"
    done = here("serve", "decode", "--out", "new/got", "--at", at, "--wait", "0.1", "--format", form)
    assert done.returncode == NOTHING_CAME and "no picture came" in done.stderr, done.stderr
    assert not (tmp_path / "new").exists()


def test_keys_are_made_once(ds2c2, tmp_path):
    done = ds2c2("serve", "keys", "gpu", "--out", "keys")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {"gpu.key", "gpu.key_secret"}
    again = ds2c2("serve", "keys", "gpu", "--out", "keys")
    assert again.returncode == LINK_ERROR and "already" in again.stderr
