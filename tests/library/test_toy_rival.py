# SPDX-License-Identifier: GPL-3.0-or-later
"""A rival is one file in its folder."""

import textwrap

import numpy as np
import pytest
from skimage.data import astronaut

import ds2c2.evaluation.rivals as folder
from ds2c2.evaluation import outcomes
from ds2c2.evaluation.rivals import rivals

TOY = '''
    """A picture as its mean colour: three bytes."""

    import numpy as np

    from ds2c2.evaluation.rivals.rivalcodec import Rival


    def encodings(picture, budgets):
        yield "mean", picture.mean(axis=(0, 1)).round().astype(np.uint8).tobytes() + bytes(picture.shape[:2])


    def decode(data):
        return np.broadcast_to(np.frombuffer(data[:3], np.uint8), (data[3], data[4], 3)).copy()


    RIVALS = {"mean": Rival("Mean colour", encodings, decode, lambda: "")}
'''


@pytest.fixture
def with_a_toy(tmp_path, monkeypatch):
    """The folder of rivals with one more file in it."""
    (tmp_path / "toyrival.py").write_text(textwrap.dedent(TOY))
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    monkeypatch.setattr(rivals, "RIVALS", rivals.discover())
    monkeypatch.setattr(rivals, "NAMES", ("mean",))


def test_one_file_is_a_rival(with_a_toy, tmp_path):
    from ds2c2.pictures.pictures import write_picture

    assert list(rivals.RIVALS)[-1] == "mean"
    assert rivals.label("mean") == "Mean colour" and rivals.missing("mean") == ""
    picture = np.ascontiguousarray(astronaut()[:96, :96])
    best = rivals.best_within(rivals.RIVALS["mean"], picture, [5])[5]
    assert best.setting == "mean" and 5 < best.psnr < 20
    source = outcomes.describe(write_picture(tmp_path / "a.png", picture), "a")
    settings = outcomes.BenchmarkSettings(
        name="one", pictures=(source,), model="binary", weights="", interleave="bit", rates=(0.9,), losses=(0.0, 0.5),
        channels=("iid",), seeds=1, rules=("paper",), block_size=32, base_bpp=0.026, redundancy=1.0, rivals=("mean",),
        missing={}, paper_base_bpp=0.026,
    )  # fmt: skip
    (measured,) = outcomes.measure_rival(settings, source, "mean", [0.9])
    designs = {variant["design"]: variant for variant in measured["variants"]}
    assert designs[outcomes.UNPROTECTED]["bytes"] == 5
    assert designs[outcomes.UNPROTECTED]["levels"][0][0] == pytest.approx(best.psnr, abs=1e-3)


def test_the_folder_holds_no_other_modules():
    """Whatever lies there is a rival, or named as none."""
    assert {"hevc", "avif", "jxl", "webp", "jpeg2000", "jpeg"} <= set(rivals.NAMES)
    assert list(rivals.RIVALS)[:6] == ["hevc", "avif", "jxl", "webp", "jpeg2000", "jpeg"]
