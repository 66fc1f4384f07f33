# SPDX-License-Identifier: GPL-3.0-or-later
"""Trying a piece of Python in a process of its own, which may crash without harm."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from ds2c2.files import MODELS_VARIABLE

PROBE_SECONDS = 120.0  # importing torch from a cold disk takes tens of seconds


@dataclass(frozen=True)
class Probe:
    """What a piece of Python found: its ``value``, or else the ``error`` that ended it."""

    value: dict | None
    error: str
    said: str  # all of its standard error: warnings that came before


_MARK = "ds2c2-probe:"


def probe(code: str, python: str = sys.executable, path: list[str] | None = None) -> Probe:
    """Run ``code``, which leaves a dict in ``found``, in another process."""
    path = sys.path if path is None else path
    program = f"import json, sys\nsys.path[:] = {path!r} or sys.path\n{code}\nprint({_MARK!r} + json.dumps(found))"
    # Not in the current folder: what lies there is found only where sys.path says so.
    environment = dict(os.environ)
    if environment.get(MODELS_VARIABLE):
        environment[MODELS_VARIABLE] = os.path.abspath(environment[MODELS_VARIABLE])
    try:
        done = subprocess.run(
            [python, "-c", program], capture_output=True, text=True, timeout=PROBE_SECONDS, cwd="/", errors="replace",
            env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Probe(None, f"no answer within {PROBE_SECONDS:g} s", "")
    except OSError as error:
        return Probe(None, str(error), "")
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            return Probe(json.loads(line.removeprefix(_MARK)), "", done.stderr)
    if done.returncode < 0:
        return Probe(None, f"the process was ended by signal {-done.returncode}", done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return Probe(None, lines[-1] if lines else f"exit code {done.returncode}", done.stderr)


def absolute_path() -> list[str]:
    """``sys.path`` with the current folder spelt out."""
    return [os.path.abspath(folder or os.getcwd()) for folder in sys.path]
