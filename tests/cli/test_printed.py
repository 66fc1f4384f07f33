# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and words from elsewhere move no cursor, forge no line and are no markup on the terminal."""

import numpy as np
import pytest

from ds2c2.errors import ExitCode, printable
from ds2c2.traces.losstrace import LossTrace, write_trace
from ds2c2.transport.recording import MAGIC

ESCAPES = "a\x1b]0;title\x07b\nds2c2: all is well\u202e[/x]"
PRINTED = r"a\x1b]0;title\x07b\nds2c2: all is well\u202e[/x]"


@pytest.mark.parametrize(
    ("given", "shown"),
    [(ESCAPES, PRINTED), ("Zürich – 5\N{NO-BREAK SPACE}km", None), ("\udcff\x9b\r\t", r"\udcff\x9b\r\t"), ("", None)],
)
def test_printable(given, shown):
    assert printable(given) == (given if shown is None else shown)


def test_names_and_stream_words_in_errors(here, tmp_path):
    refused = here("send", f"{ESCAPES}.png", "--to", "a.rec")
    assert refused.returncode == ExitCode.PICTURE
    assert refused.stderr.startswith(f"ds2c2: {PRINTED}.png: no pictures there") and refused.stderr.count("\n") == 1
    (tmp_path / "a.rec").write_bytes(MAGIC + b"ds2c2/2 96x64 model=\x1b[2Jx\n")
    refused = here("receive", "--from", "a.rec", "--out", "got")
    assert refused.returncode == ExitCode.FORMAT and "\x1b" not in refused.stderr and "x1b[2Jx" in refused.stderr


def test_names_and_notes_in_tables(here, tmp_path):
    name = ESCAPES.replace("/", "")
    trace = LossTrace.from_losses(np.arange(100) % 3 == 0, about={"note": "\x1b[31mred\x1b[0m [/x]"})
    write_trace(tmp_path / name, trace)
    shown = here("trace", "show", name)
    assert shown.returncode == 0, shown.stderr
    assert "\x1b" not in shown.stdout and r"\x1b[31mred\x1b[0m [/x]" in shown.stdout
    assert PRINTED.replace("/", "") in shown.stdout
    fitted = here("trace", "fit", name)
    assert "\x1b" not in fitted.stdout and "\nds2c2: all" not in fitted.stdout
