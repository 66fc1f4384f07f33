# SPDX-License-Identifier: GPL-3.0-or-later
"""What a card is asked, rehearsed without one: two steps and a check, in small."""

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image
from safetensors import safe_open
from skimage.data import astronaut, coffee

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 400


def test_the_run_for_a_card_goes_through_without_one(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name, picture in (("a", astronaut()), ("b", coffee())):
        Image.fromarray(picture[:160, :208]).save(tmp_path / "pictures" / f"{name}.png")
    small = '{"encoder_blocks":[1,1,1],"decoder_blocks":[1,1,1],"widths":[64,96,160]}'
    words = f"--steps 2 --batch 1 --crop 64 --workers 1 --tables --checkpoint {tmp_path}/kept.pt --shape {small}"

    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"DS2C2_DEVICE": "cpu", "DS2C2_TRAIN": words, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", ROOT / "tests" / "gpu" / "run.sh", tmp_path, "300", tmp_path / "pictures"],
        capture_output=True, text=True, timeout=SECONDS, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    check = (tmp_path / "check.txt").read_text()
    assert "192x128 float32 sent by cpu" in check and "not read" not in check and "something else" not in check
    assert "256x256 float32 decode on cpu, 3 at a time" in check
    assert "256x256 float32 sent by plain calls: inf dB" in check and "256x256 float32: 0 graphs" in check
    assert "step 2" in (tmp_path / "train.txt").read_text()
    with safe_open(tmp_path / "coded.safetensors", "pt") as file:
        assert file.get_tensor("level_counts").any()
        assert file.metadata()["steps"] == "2" and file.metadata()["profile"] == "coded"
    assert (tmp_path / "kept.pt").is_file()
