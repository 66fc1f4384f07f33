# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README's Python says comes true."""

import re
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from ds2c2.pictures.pictures import write_picture
from ds2c2.traces.losstrace import LossTrace, write_trace

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_lines_run(models, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "photo.png", astronaut())
    lost = np.arange(1000) % 8 == 0
    write_trace(tmp_path / "link.csv", LossTrace.from_losses(lost))
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - as a reader would
    stream = names["stream"]
    assert names["blocks"].shape == (stream.blocks, stream.block_size) == (85, 100)
    assert capsys.readouterr().out == "(85, 100) 0.125\n"
    with pytest.raises(AttributeError):
        _ = names["ds2c2"].nothing
