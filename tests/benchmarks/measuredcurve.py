# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for pictures and codec where receptions by the thousand are wanted: PSNR over the blocks lost."""

import json
from functools import cached_property
from pathlib import Path

import numpy as np

from ds2c2.evaluation.summary import worst
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(512, 512, bpp=0.26, survive=0.5, layout="spread")
GRID = (0, 3, 8, 15, 24, 34, 42)  # blocks lost at which PSNR is measured, with one pattern each
FRAMES = 4000  # for what an endless run would give


class Curve:
    """PSNR of each picture over the blocks lost."""

    def __init__(self, path: Path):
        self.path = path
        self.found = json.loads(path.read_text()) if path.is_file() else {}

    def measure(self) -> None:
        """What is not known yet, with the codec itself."""
        from ds2c2.codec.codec import Codec
        from ds2c2.ends.trial import Trial
        from ds2c2.pictures.metrics import psnr
        from ds2c2.pictures.pictures import fit_picture, list_pictures, read_picture, sample_photographs

        for path in list_pictures(sample_photographs()):
            if path.stem in self.found:
                continue
            codec = Codec(STREAM, "cpu")
            picture = fit_picture(read_picture(path), STREAM.width, STREAM.height, "scale")
            trial = Trial(codec, codec.encode(picture).blocks)
            rng = np.random.default_rng(1)
            values = []
            for count in GRID:
                decoded = trial.receive(rng.permutation(STREAM.blocks) < count)
                values.append(values[-1] if decoded.concealed else psnr(picture, trial.shown(decoded)))
            grey = psnr(picture, np.full_like(picture, 128))
            self.found[path.stem] = {"psnr": values, "grey": grey}
            self.path.write_text(json.dumps(self.found, indent=1))
            print(f"{path.stem}: {values[0]:.2f} dB without loss, {grey:.2f} grey", flush=True)

    @cached_property
    def table(self) -> np.ndarray:
        """``float[pictures, N + 1]``."""
        counts = np.arange(STREAM.blocks + 1)
        return np.array([np.interp(counts, GRID, found["psnr"]) for found in self.found.values()])

    @cached_property
    def grey(self) -> np.ndarray:
        return np.array([found["grey"] for found in self.found.values()])

    def receive(self, lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """PSNR of every picture over frames ``bool[F, N]``, ``float[pictures, F]``, and whether their base layer is
        lost, ``bool[F]``."""
        # A symbol more than there are sources counts as enough (RFC 6330, 5.8: 1 in 10 000 is not).
        arrived = (~lost).astype(np.float32) @ np.diff(STREAM.share_symbols).astype(np.float32)
        concealed = arrived < STREAM.base_sources + 1
        return np.where(concealed, self.grey[:, None], self.table[:, lost.sum(axis=1)]), concealed

    def endless(self, model, rng: np.random.Generator, packets: int, frames: int = FRAMES) -> dict[str, float]:  # noqa: ANN001
        """The three figures that are judged of so many frames of a link that ``draw`` makes."""
        if model.name == "drift":
            # Every part as often as it is there.
            rounds = -(-frames * STREAM.blocks // packets)
            lost = np.concatenate([model.draw(packets, rng) for _ in range(rounds)])
        else:
            lost = model.draw(frames * STREAM.blocks, rng)
        values, concealed = self.receive(lost[: len(lost) // STREAM.blocks * STREAM.blocks].reshape(-1, STREAM.blocks))
        return {"psnr": float(values.mean()), "worst-5": worst(values), "concealed": float(concealed.mean())}
