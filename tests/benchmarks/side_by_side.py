#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the eye sees: the same losses on `coded`, on `coded-perceptual` and on HEVC with a code for 50 % loss.

    side_by_side.py docs/images/side-by-side.jpg [--bpp 0.26] [--losses 0.16 0.5] [--perception trunks.safetensors]
    side_by_side.py --mean kodak/*.png [--bpp ...]

A sheet of crops of photographs that scikit-image brings, a row for each and loss, all codecs with as many blocks of as
many bytes; independent losses, seed 1, base layer and all. Under each crop stand the whole picture's PSNR and, with
--perception (a file of `ds2c2 trunks`), its LPIPS by AlexNet and its DISTS. --mean gives the means over other pictures
in place of a sheet.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from ds2c2.channels.channel import BlockChannel
from ds2c2.codec.codec import Codec
from ds2c2.ends.trial import Trial
from ds2c2.evaluation.erasurecode import design_k
from ds2c2.evaluation.rivals.rivalcodec import best_within
from ds2c2.evaluation.rivals.rivals import RIVALS
from ds2c2.pictures.metrics import psnr
from ds2c2.pictures.pictures import fit_picture, read_picture
from ds2c2.stream.geometry import MID_GREY
from ds2c2.stream.streamformat import StreamFormat

SEED = 1
DESIGN_LOSS = 0.5
CROP = 208  # pixels
SIZE = (512, 384)
MARGIN, TEXT_HEIGHT = 6, 34
DECODERS = ("coded", "coded-perceptual")


@dataclass(frozen=True)
class Photograph:
    name: str
    pixels: np.ndarray
    left: int
    top: int


def photographs() -> list[Photograph]:
    """Scaled to one size; where the crop begins shows what is fine in them."""
    places = {"chelsea": (150, 50), "coffee": (200, 60), "astronaut": (160, 0)}
    return [
        Photograph(name, fit_picture(getattr(data, name)(), *SIZE), left, top) for name, (left, top) in places.items()
    ]


def received(pixels: np.ndarray, bpp: float, losses: list[float]) -> dict[float, dict[str, np.ndarray]]:
    """For each loss what every codec shows."""
    found: dict[float, dict[str, np.ndarray]] = {loss: {} for loss in losses}
    height, width = pixels.shape[:2]
    stream = StreamFormat(width, height, bpp=bpp, survive=DESIGN_LOSS)
    blocks = Codec(stream, "cpu").encode(pixels).blocks
    hits = {loss: BlockChannel(loss=loss, seed=SEED).draw(stream.blocks) for loss in losses}
    for name in DECODERS:
        trial = Trial(Codec(stream, "cpu", render="" if name == DECODERS[0] else name), blocks)
        for loss, lost in hits.items():
            found[loss][name] = trial.shown(trial.receive(lost))
    needed = design_k(stream.blocks, DESIGN_LOSS)
    budget = needed * stream.block_size
    best = best_within(RIVALS["hevc"], pixels, [budget])[budget]
    for loss, lost in hits.items():
        came = best is not None and int((~lost).sum()) >= needed
        grey = np.full_like(pixels, MID_GREY)
        found[loss][f"HEVC, code for {100 * DESIGN_LOSS:.0f} %"] = RIVALS["hevc"].decode(best.data) if came else grey
    return found


class Eyes:
    """PSNR in dB, and LPIPS (AlexNet) and DISTS where there are trunks for them; equal pictures are looked at once."""

    names = ("PSNR, dB", "LPIPS", "DISTS")

    def __init__(self, trunks: str):
        self.trunks = trunks
        self._known: dict[tuple[bytes, bytes], list[float]] = {}

    def see(self, original: np.ndarray, picture: np.ndarray) -> list[float]:
        key = original.tobytes(), picture.tobytes()
        if key not in self._known:
            found = [psnr(original, picture)]
            if self.trunks:
                from ds2c2.evaluation.perception import perceived

                lpips, _, dists = perceived(original, picture, self.trunks, "cpu")
                found += [lpips, dists]
            self._known = {key: found, **dict(list(self._known.items())[:3])}
        return self._known[key]


def said(figures: list[float]) -> str:
    decibels, *distances = figures
    named = zip(Eyes.names[1:], distances, strict=False)
    return "  ".join([f"{decibels:.2f} dB", *(f"{name} {value:.3f}" for name, value in named)])


def means(paths: list[Path], bpp: float, losses: list[float], eyes: Eyes) -> None:
    """Prints a table."""
    found: dict[tuple[float, str], list[list[float]]] = {}
    for number, path in enumerate(paths, 1):
        pixels = read_picture(path)
        for loss, shown in received(pixels, bpp, losses).items():
            for name, picture in shown.items():
                found.setdefault((loss, name), []).append(eyes.see(pixels, picture))
        print(f"{number} of {len(paths)} pictures", file=sys.stderr, flush=True)
    print(f"| blocks lost | codec | {' | '.join(Eyes.names[: len(next(iter(found.values()))[0])])} |")
    for (loss, name), figures in found.items():
        mean, *distances = np.mean(figures, axis=0)
        print(f"| {100 * loss:.0f} % | {name} | {' | '.join([f'{mean:.2f}', *(f'{x:.3f}' for x in distances)])} |")


def sheet(rows: list[list[tuple[np.ndarray, str, str]]]) -> Image.Image:
    """Crops with two lines of words under each."""
    font = ImageFont.load_default(12)
    across, down = CROP + MARGIN, CROP + TEXT_HEIGHT + MARGIN
    page = Image.new("RGB", (len(rows[0]) * across + MARGIN, len(rows) * down + MARGIN), "white")
    draw = ImageDraw.Draw(page)
    for y, row in enumerate(rows):
        for x, (crop, title, figures) in enumerate(row):
            left, top = MARGIN + x * across, MARGIN + y * down
            page.paste(Image.fromarray(crop), (left, top))
            draw.text((left, top + CROP + 1), title, "black", font)
            draw.text((left, top + CROP + 16), figures, "black", font)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", help="the sheet to write")
    parser.add_argument("--mean", type=Path, nargs="+", metavar="PICTURE")
    parser.add_argument("--bpp", type=float, default=0.26)
    parser.add_argument("--losses", type=float, nargs="+", default=[0.16, 0.5])
    parser.add_argument("--perception", default="")
    wanted = parser.parse_args()
    eyes = Eyes(wanted.perception)
    if wanted.mean:
        means(wanted.mean, wanted.bpp, wanted.losses, eyes)
        return
    if wanted.out is None:
        parser.error("name the sheet to write, or pictures with --mean")
    rows = []
    for photograph in photographs():
        place = np.s_[photograph.top : photograph.top + CROP, photograph.left : photograph.left + CROP]
        for loss, shown in received(photograph.pixels, wanted.bpp, wanted.losses).items():
            row = [(photograph.pixels[place], photograph.name, f"{100 * loss:.0f} % of the blocks lost")]
            for name, picture in shown.items():
                figures = said(eyes.see(photograph.pixels, picture))
                print(f"{photograph.name}, {100 * loss:.0f} %, {name}: {figures}", flush=True)
                row.append((picture[place], name, figures))
            rows.append(row)
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows).save(wanted.out, quality=90)
    print(f"wrote {wanted.out}")


if __name__ == "__main__":
    main()
