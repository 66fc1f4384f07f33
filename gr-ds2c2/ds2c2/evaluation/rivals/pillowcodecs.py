# SPDX-License-Identifier: GPL-3.0-or-later
"""AVIF, JPEG XL, WebP and JPEG as rivals: what Pillow writes, JPEG XL by its plug-in."""

import importlib
import io
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image, features

from ds2c2.evaluation.rivals.rivalcodec import Encodings, Rival, ladder, missing_module

# JPEG XL (libjxl 0.11): effort 9 gains nothing at these rates and takes eight times as long.
JXL_EFFORT = 7
# AVIF (libaom): twice as fast as speed 2, 0.1 dB below it. Pillow maps 0 to 100 to the codec's 64
# quantisers; these qualities meet each of them once.
AVIF_SPEED = 4
AVIF_QUANTISERS = 64
AVIF_QUALITIES = tuple(100 - round(100 * q / (AVIF_QUANTISERS - 1)) for q in range(AVIF_QUANTISERS - 1, -1, -1))
AVIF_SETTINGS = {"subsampling": "4:4:4", "speed": AVIF_SPEED, "codec": "aom", "advanced": {"tune": "psnr"}}
WEBP_METHOD = 6  # libwebp's slowest


def _saved(image: Image.Image, kind: str, **settings) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def opened(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def _with_pillow(kind: str, families: dict[str, dict], qualities: Iterable[int]) -> Callable:
    """A codec that Pillow writes; a family is a set of fixed settings, each with its own ladder."""
    qualities = tuple(qualities)

    def encodings(picture: np.ndarray, budgets: list[int]) -> Encodings:
        if kind == "JXL":
            _import_jxl()
        image = Image.fromarray(picture)
        for name, fixed in families.items():
            steps = (
                (f"{name} quality {q}".strip(), lambda q=q, fixed=fixed: _saved(image, kind, quality=q, **fixed))
                for q in qualities
            )
            yield from ladder(steps, max(budgets))

    return encodings


def _import_jxl() -> None:
    """pillow_jxl registers itself with Pillow when it is imported."""
    importlib.import_module("pillow_jxl")


def missing_feature(name: str) -> Callable[[], str]:
    return lambda: "" if features.check(name) else f"Pillow was built without {name}"


RIVALS = {
    "avif": Rival(
        "AVIF (libaom, 4:4:4)",
        _with_pillow("AVIF", {"4:4:4": AVIF_SETTINGS | {"max_threads": 1}}, AVIF_QUALITIES),
        opened,
        missing_feature("avif"),
        rank=2,
        colour="#56B4E9",
        marker="D",
    ),
    "jxl": Rival(
        "JPEG XL (libjxl)",
        _with_pillow("JXL", {"": dict(effort=JXL_EFFORT, num_threads=1)}, range(0, 100)),
        lambda data: (_import_jxl(), opened(data))[1],
        missing_module("pillow_jxl", "pillow-jxl-plugin"),
        rank=3,
        colour="#009E73",
        marker="^",
    ),
    "webp": Rival(
        "WebP",
        _with_pillow("WEBP", {"": dict(method=WEBP_METHOD)}, range(0, 101)),
        opened,
        missing_feature("webp"),
        rank=4,
        colour="#CC79A7",
        marker="v",
    ),
    "jpeg": Rival(
        "JPEG (optimised)",
        _with_pillow(
            "JPEG",
            {
                f"{chroma} {how}": dict(subsampling=chroma, optimize=True, progressive=how == "progressive")
                for chroma in ("4:2:0", "4:4:4")
                for how in ("baseline", "progressive")
            },
            range(1, 100),
        ),
        opened,
        missing_feature("jpg"),
        rank=6,
        colour="#999999",
        marker=".",
    ),
}
