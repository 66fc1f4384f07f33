# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture codecs that the benchmark stands beside ours, each at its best for PSNR.

Every rival gives encodings of a picture from coarse to fine; the judge takes, for a budget in
bytes, the one of highest PSNR among those that fit. All bytes of the file count, its header too.
"""

import importlib
import io
from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
from PIL import Image, features

from ds2c2.evaluation.rivals import bpg, compressaicodecs
from ds2c2.evaluation.rivals.rivalcodec import (
    Encoding,
    Encodings,
    Rival,
    RivalError,
    best_within,
    ladder,
    missing_module,
)

__all__ = ["NAMES", "OPTIONAL", "RIVALS", "Encoding", "Rival", "RivalError", "best_within", "label", "missing"]

# JPEG XL (libjxl 0.11): effort 9 gains nothing at these rates and takes eight times as long.
JXL_EFFORT = 7
# AVIF (libaom): twice as fast as speed 2, 0.1 dB below it. Pillow maps 0 to 100 to the codec's 64
# quantisers; these qualities meet each of them once.
AVIF_SPEED = 4
AVIF_QUANTISERS = 64
AVIF_QUALITIES = tuple(100 - round(100 * q / (AVIF_QUANTISERS - 1)) for q in range(AVIF_QUANTISERS - 1, -1, -1))
AVIF_SETTINGS = {"subsampling": "4:4:4", "speed": AVIF_SPEED, "codec": "aom", "advanced": {"tune": "psnr"}}
WEBP_METHOD = 6  # libwebp's slowest
HEVC_COARSEST, HEVC_FINEST = 51, 10  # quantisation parameter, ITU-T H.265
# Steps between two quantisation parameters, which lie 10 to 20 % of the bytes apart: an offset of
# the chroma planes' parameter, and x265's adaptive quantisation at low strength. At equal bytes
# each is within 0.1 dB of the plain one.
HEVC_STEPS = {
    "": "",
    "chroma -2": ":cbqpoffs=-2:crqpoffs=-2",
    "chroma -4": ":cbqpoffs=-4:crqpoffs=-4",
    "aq 0.1": ":aq-mode=1:aq-strength=0.1",
    "aq 0.2": ":aq-mode=1:aq-strength=0.2",
}
# OpenJPEG aims at a rate and may miss it by its headers: so many smaller aims are tried.
JPEG2000_AIMS = 8

# JFIF (ITU-T T.871): RGB to full-range YCbCr of BT.601.
TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]
)  # fmt: skip
CHROMA_ZERO = 128.0


def _saved(image: Image.Image, kind: str, **settings) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def _opened(data: bytes) -> np.ndarray:
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


def to_ycbcr(picture: np.ndarray) -> np.ndarray:
    """``uint8[H, W, 3]`` RGB to ``uint8[3, H, W]`` YCbCr, full range, 4:4:4."""
    planes = picture.astype(np.float64) @ TO_YCBCR.T
    planes[..., 1:] += CHROMA_ZERO
    return np.ascontiguousarray(np.clip(np.rint(planes), 0, 255).astype(np.uint8).transpose(2, 0, 1))


def to_rgb(planes: np.ndarray) -> np.ndarray:
    """``uint8[3, H, W]`` YCbCr to ``uint8[H, W, 3]`` RGB: the inverse but for rounding."""
    pixels = planes.transpose(1, 2, 0).astype(np.float64)
    pixels[..., 1:] -= CHROMA_ZERO
    return np.clip(np.rint(pixels @ np.linalg.inv(TO_YCBCR).T), 0, 255).astype(np.uint8)


def _hevc_file(planes: np.ndarray, parameter: int, step: str) -> bytes:
    """One intra picture as a bare HEVC stream (Annex B): parameter sets and slice, no container."""
    import av

    encoder = av.CodecContext.create("libx265", "w")
    encoder.height, encoder.width = planes.shape[1:]
    encoder.pix_fmt = "yuv444p"
    encoder.time_base = Fraction(1, 25)  # x265 wants one; a still picture has none
    encoder.options = {
        "preset": "veryslow",
        "tune": "psnr",
        # info=0: x265's own name and settings, 2 kB of text, are not part of the picture.
        # crf, since qp would switch adaptive quantisation off; for one picture both mean the same.
        "x265-params": "log-level=none:info=0:keyint=1:pools=none:frame-threads=1:wpp=0:rdoq-level=2:"
        f"crf={parameter}:ipratio=1{HEVC_STEPS[step]}",
    }
    frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _hevc_encodings(picture: np.ndarray, budgets: list[int]) -> Encodings:
    planes = to_ycbcr(picture)
    for step in HEVC_STEPS:
        steps = (
            (f"4:4:4 qp {qp} {step}".strip(), lambda qp=qp, step=step: _hevc_file(planes, qp, step))
            for qp in range(HEVC_COARSEST, HEVC_FINEST - 1, -1)
        )
        yield from ladder(steps, max(budgets))


def _hevc_decode(data: bytes) -> np.ndarray:
    import av

    decoder = av.CodecContext.create("hevc", "r")
    frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    return to_rgb(frames[0].to_ndarray())


def _jpeg2000_encodings(picture: np.ndarray, budgets: list[int]) -> Encodings:
    from ds2c2.evaluation.layers import encode_layers

    for budget in budgets:
        aim = budget
        for _ in range(JPEG2000_AIMS):
            data = encode_layers(picture, [aim]).upto(1)
            if len(data) <= budget:
                yield f"aim {aim} bytes", data
                break
            aim -= len(data) - budget + 1
            if aim <= 0:
                break


def _missing_x265() -> str:
    if missing := missing_module("av", "av")():
        return missing
    import av

    return "" if "libx265" in av.codecs_available else "the package av was built without x265"


def _missing_feature(name: str) -> Callable[[], str]:
    return lambda: "" if features.check(name) else f"Pillow was built without {name}"


# The ladders run from coarse to fine.
RIVALS = {
    "hevc": Rival("HEVC intra (x265, 4:4:4)", _hevc_encodings, _hevc_decode, _missing_x265),
    "avif": Rival(
        "AVIF (libaom, 4:4:4)",
        _with_pillow("AVIF", {"4:4:4": AVIF_SETTINGS | {"max_threads": 1}}, AVIF_QUALITIES),
        _opened,
        _missing_feature("avif"),
    ),
    "jxl": Rival(
        "JPEG XL (libjxl)",
        _with_pillow("JXL", {"": dict(effort=JXL_EFFORT, num_threads=1)}, range(0, 100)),
        lambda data: (_import_jxl(), _opened(data))[1],
        missing_module("pillow_jxl", "pillow-jxl-plugin"),
    ),
    "webp": Rival(
        "WebP", _with_pillow("WEBP", {"": dict(method=WEBP_METHOD)}, range(0, 101)), _opened, _missing_feature("webp")
    ),
    "jpeg2000": Rival("JPEG 2000 (OpenJPEG)", _jpeg2000_encodings, _opened, _missing_feature("jpg_2000")),
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
        _opened,
        _missing_feature("jpg"),
    ),
    "bpg": bpg.RIVAL,
    **compressaicodecs.RIVALS,
}
# Measured only when asked for by name: what else is installed on a machine must not change a
# benchmark's figures, nor whether a folder can go on.
OPTIONAL = ("bpg", *compressaicodecs.RIVALS)
# JPEG 2000 again, its quality layers protected one by one.
LAYERED = "layered"
LAYERED_LABEL = "JPEG 2000, layers protected unequally"
NAMES = (*(name for name in RIVALS if name not in OPTIONAL), LAYERED)


def label(name: str) -> str:
    """A rival's name for people. Raises ``RivalError``."""
    if name == LAYERED:
        return LAYERED_LABEL
    if name not in RIVALS:
        raise RivalError(f"rival {name!r} is unknown; choose from {', '.join((*NAMES, *OPTIONAL))}")
    return RIVALS[name].label


def missing(name: str) -> str:
    """Why a rival cannot be measured here; empty when it can. Raises ``RivalError``."""
    label(name)
    return RIVALS["jpeg2000" if name == LAYERED else name].missing()
