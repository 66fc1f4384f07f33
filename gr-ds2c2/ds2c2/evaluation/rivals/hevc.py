# SPDX-License-Identifier: GPL-3.0-or-later
"""HEVC intra as a rival: x265 by way of PyAV, one picture as a bare stream."""

from fractions import Fraction

import numpy as np

from ds2c2.evaluation.rivals.rivalcodec import Encodings, Rival, ladder, missing_module

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

# JFIF (ITU-T T.871): RGB to full-range YCbCr of BT.601.
TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]
)  # fmt: skip
CHROMA_ZERO = 128.0


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


def _file(planes: np.ndarray, parameter: int, step: str) -> bytes:
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


def _encodings(picture: np.ndarray, budgets: list[int]) -> Encodings:
    planes = to_ycbcr(picture)
    for step in HEVC_STEPS:
        steps = (
            (f"4:4:4 qp {qp} {step}".strip(), lambda qp=qp, step=step: _file(planes, qp, step))
            for qp in range(HEVC_COARSEST, HEVC_FINEST - 1, -1)
        )
        yield from ladder(steps, max(budgets))


def _decode(data: bytes) -> np.ndarray:
    import av

    decoder = av.CodecContext.create("hevc", "r")
    frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    return to_rgb(frames[0].to_ndarray())


def _missing_x265() -> str:
    if missing := missing_module("av", "av")():
        return missing
    import av

    return "" if "libx265" in av.codecs_available else "the package av was built without x265"


RIVALS = {
    "hevc": Rival("HEVC intra (x265, 4:4:4)", _encodings, _decode, _missing_x265, rank=1, colour="#0072B2", marker="s")
}
