# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks over processes: none outlives a command that was killed."""

import os
import subprocess
import sys
import time

DEADLINE_SECONDS = 60
SCRIPT = """
import os, time
from ds2c2.evaluation.workers import spread

def work(seconds):
    print(os.getpid(), flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    for _ in spread(work, [(0,), (3600,)], 1):
        pass
"""


def alive(process):
    """Whether a process runs; one that has ended and waits for somebody to ask does not."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_command_leaves_no_worker_behind(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    worker = int(command.stdout.readline())
    assert alive(worker) and int(command.stdout.readline()) == worker  # it is at the long task
    command.kill()
    command.wait()
    end = time.monotonic() + DEADLINE_SECONDS
    while alive(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(worker)
