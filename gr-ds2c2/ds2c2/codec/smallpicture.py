# SPDX-License-Identifier: GPL-3.0-or-later
"""c, the small picture of the base layer, to few bytes and back: WebP, lossy or lossless.

At 96x64 pixels WebP needs about 1.25 kB for 31.7 dB, the equal of AVIF and a seventh of
lossless WebP. The RIFF container is the same 20 bytes every time and is not sent. Label maps
go the lossless way, too.
"""

import io
import math
import struct

import numpy as np
from PIL import Image

from ds2c2.errors import UserError

RIFF_BYTES = 20  # "RIFF" size "WEBP" "VP8 " size: RFC 9649, section 2
# Frame tag and start code, width, height: RFC 6386, section 9.1. Two bits of each side ask
# for a scaling that we do not; they make it too large.
KEY_FRAME = struct.Struct("<6sHH")
START_CODE = bytes.fromhex("9d012a")
# Lossless: a signature byte, 14 bits of width - 1, 14 of height - 1: RFC 9649, section 3.4.
LOSSLESS_HEADER = struct.Struct("<BI")
LOSSLESS_SIGNATURE = 0x2F
SIDE_BITS = 14
MAX_SMALL_SIDE = 512  # pixels: 4096 / 8
MAX_QUALITY = 100
# libwebp's slowest method; c is small, so it costs a millisecond or two.
METHOD = 6
USUAL_QUALITY = 50  # where the search for a quality begins
# How the natural log of the bytes grows from there: mean of 28 training pictures; at most 0.1 off between 10 and 90.
QUALITIES = tuple(range(0, MAX_QUALITY + 1, 10))
GROWTH = (-1.55, -0.72, -0.47, -0.28, -0.13, 0.0, 0.11, 0.21, 0.44, 0.84, 1.35)
MOST_GUESSES = 6


class SmallPictureError(UserError):
    """Bytes that are not a small picture."""


def reduce_picture(picture: np.ndarray, factor: int) -> np.ndarray:
    """``uint8[H, W, 3]`` averaged over factor x factor pixels; sides must be multiples."""
    height, width = picture.shape[0] // factor, picture.shape[1] // factor
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def _bare(picture: np.ndarray, chunk: bytes, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", method=METHOD, **options)
    webp = buffer.getvalue()
    if webp[12:16] != chunk:
        raise SmallPictureError("libwebp wrote an extended file where a simple one was expected")
    length = struct.unpack("<I", webp[16:20])[0]
    return webp[RIFF_BYTES : RIFF_BYTES + length]


def _decode_bare(data: bytes, chunk: bytes) -> np.ndarray:
    even = data + b"\0" * (len(data) % 2)
    header = b"RIFF" + struct.pack("<I", 12 + len(even)) + b"WEBP" + chunk + struct.pack("<I", len(data))
    try:
        with Image.open(io.BytesIO(header + even), formats=["WEBP"]) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError):
        raise SmallPictureError("the base layer does not hold a small picture") from None


def encode_small(small: np.ndarray, quality: int) -> bytes:
    """``uint8[h, w, 3]`` to a bare VP8 key frame (RFC 6386), WebP quality 0 to 100."""
    return _bare(small, b"VP8 ", quality=quality)


def encode_lossless(picture: np.ndarray) -> bytes:
    """``uint8[h, w, 3]`` to a bare lossless WebP bitstream (RFC 9649, section 3)."""
    return _bare(picture, b"VP8L", lossless=True, quality=MAX_QUALITY)


def decode_lossless(data: bytes, most_side: int = MAX_SMALL_SIDE) -> np.ndarray:
    """A bare lossless WebP bitstream to ``uint8[h, w, 3]``. Raises ``SmallPictureError``, also for
    sides beyond ``most_side``."""
    # Looked at before Pillow makes room for it: these bytes come from a network.
    signature, bits = LOSSLESS_HEADER.unpack(data[: LOSSLESS_HEADER.size].ljust(LOSSLESS_HEADER.size, b"\0"))
    sides = ((bits >> shift & (1 << SIDE_BITS) - 1) + 1 for shift in (0, SIDE_BITS))
    if signature != LOSSLESS_SIGNATURE or max(sides) > most_side:
        raise SmallPictureError("the base layer does not hold a lossless picture")
    return _decode_bare(data, b"VP8L")


def decode_small(data: bytes, most_side: int = MAX_SMALL_SIDE) -> np.ndarray:
    """A bare VP8 key frame to ``uint8[h, w, 3]``. Raises ``SmallPictureError``, also for sides beyond ``most_side``."""
    # Looked at before Pillow makes room for it: these bytes come from a network.
    tag, width, height = KEY_FRAME.unpack(data[: KEY_FRAME.size].ljust(KEY_FRAME.size, b"\0"))
    if tag[3:] != START_CODE or not 0 < width <= most_side or not 0 < height <= most_side:
        raise SmallPictureError("the base layer does not hold a small picture")
    return _decode_bare(data, b"VP8 ")


def encode_small_within(small: np.ndarray, budget: int) -> bytes | None:
    """The best quality whose bytes fit the budget, or None when even the worst does not.

    Bytes grow with quality almost always; where they do not, the result still fits. The next quality to try is where
    they should meet the budget if they grow as usual; after MOST_GUESSES of these the range is halved.
    """
    lowest, highest, best, guess, tried = 0, MAX_QUALITY, None, USUAL_QUALITY, 0
    while lowest <= highest:
        guess = (lowest + highest) // 2 if tried >= MOST_GUESSES else min(max(guess, lowest), highest)
        data = encode_small(small, guess)
        if len(data) <= budget:
            best, lowest = data, guess + 1
        else:
            highest = guess - 1
        tried += 1
        wanted = np.interp(guess, QUALITIES, GROWTH) + math.log(max(budget, 1) / len(data))
        guess = round(float(np.interp(wanted, GROWTH, QUALITIES)))
    return best
