# SPDX-License-Identifier: GPL-3.0-or-later
"""BPG as a rival: Bellard's ``bpgenc`` and ``bpgdec`` (libbpg), HEVC intra in a container of few bytes."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from ds2c2.evaluation.rivals.rivalcodec import Encodings, Rival, RivalError, ladder

ENCODER, DECODER = "bpgenc", "bpgdec"
COARSEST, FINEST = 51, 10  # quantisation parameter, ITU-T H.265
SETTINGS = ("-f", "444", "-c", "ycbcr", "-b", "8", "-m", "9")  # -m 9: the slowest of its encoder
LIMIT_SECONDS = 600  # a program that hangs is an error, too


def missing() -> str:
    """What is not on the PATH."""
    absent = [program for program in (ENCODER, DECODER) if not shutil.which(program)]
    return f"{' and '.join(absent)} (libbpg) not on the PATH" if absent else ""


def _run(folder: str, *command: str) -> None:
    """Raises ``RivalError`` when a program fails, or writes nothing to the file its ``-o`` names."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RivalError(f"{command[0]} did not run ({error}); leave bpg out of --rivals") from None
    if done.returncode or not (Path(folder) / command[command.index("-o") + 1]).is_file():
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise RivalError(f"{' '.join(command)} failed ({said[-1]}); leave bpg out of --rivals")


def _encodings(picture: np.ndarray, budgets: list[int]) -> Encodings:
    with tempfile.TemporaryDirectory(prefix="ds2c2-") as folder:
        Image.fromarray(picture).save(f"{folder}/picture.png")

        def make(parameter: int) -> bytes:
            _run(folder, ENCODER, *SETTINGS, "-q", str(parameter), "-o", "picture.bpg", "picture.png")
            return (Path(folder) / "picture.bpg").read_bytes()

        steps = ((f"4:4:4 qp {qp}", lambda qp=qp: make(qp)) for qp in range(COARSEST, FINEST - 1, -1))
        yield from ladder(steps, max(budgets))


def _decode(data: bytes) -> np.ndarray:
    with tempfile.TemporaryDirectory(prefix="ds2c2-") as folder:
        (Path(folder) / "picture.bpg").write_bytes(data)
        _run(folder, DECODER, "-o", "picture.ppm", "picture.bpg")
        with Image.open(f"{folder}/picture.ppm") as image:
            return np.asarray(image.convert("RGB"))


RIVALS = {
    "bpg": Rival(
        "BPG (libbpg, 4:4:4)", _encodings, _decode, missing, optional=True, rank=10, colour="#332288", marker="*"
    )
}
