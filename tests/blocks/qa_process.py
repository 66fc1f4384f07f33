# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process leaves behind when a block fails: one line and an exit code, never a hang."""

import os
import subprocess
import sys

import pytest

# Seconds: far above what any of these scripts takes.
DEADLINE = 90

HEAD = """
from gnuradio import blocks, ds2c2, gr
from ds2c2.errors import PictureError
from ds2c2.stream.streamformat import StreamFormat
stream_format = StreamFormat(192, 128, bpp=0.6, block_size=40)
"""

# As grcc writes it: start, wait, and no look at anything.
GRAPH = """
graph = gr.top_block()
source = blocks.vector_source_b([0] * 100 * stream_format.packet_bytes, True, stream_format.packet_bytes)
sink = blocks.null_sink(320)
block = ds2c2.depacketizer(stream_format)
def fail(rows, tags):
    raise {error}
block.take = fail
graph.connect(source, block, sink)
graph.start()
graph.wait()
"""


def outcome(script: str, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", HEAD + script],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, **environment},
    )


def test_a_users_error_in_work():
    """One line with the block's name, the error's own exit code, no traceback; the end is reached."""
    done = outcome(GRAPH.format(error='PictureError("a.png: damaged")') + 'print("after the graph")')
    assert done.returncode == 3
    assert "depacketizer: a.png: damaged" in done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert "after the graph" in done.stdout


def test_any_other_error_in_work():
    """A mistake of ours shows its traceback and gives exit code 1."""
    done = outcome(GRAPH.format(error='ZeroDivisionError("by zero")'))
    assert done.returncode == 1
    assert "depacketizer: ZeroDivisionError: by zero" in done.stderr.splitlines()
    assert "Traceback" in done.stderr


def test_a_users_error_in_a_constructor():
    """One line and the error's exit code."""
    done = outcome('ds2c2.encoder_source(stream_format, "/nowhere/a.png")')
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if "/nowhere/a.png" in line] != []


def test_any_other_error_in_a_script_is_python_s():
    done = outcome('raise KeyError("mine")')
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_no_error_no_exit_code():
    assert outcome("pass").returncode == 0


def test_errors_dealt_with_are_forgotten():
    done = outcome(GRAPH.format(error='PictureError("a.png: damaged")') + "ds2c2.clear_errors()")
    assert done.returncode == 0


@pytest.mark.parametrize("module", ["torch", "PyQt5"])
def test_import_is_light(module):
    """GRC and the link blocks need neither networks nor windows."""
    done = outcome(f"import sys; sys.exit({module!r} in sys.modules)")
    assert done.returncode == 0
