# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets: what was sent, what came, and where they differ, in one picture."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ERROR_GAIN = 4  # the error is shown this many times as large, 0 black
CAPTION_PIXELS = 34
GAP_PIXELS = 8
FONT_PIXELS = 18
PAPER = (250, 250, 250)
INK = (30, 30, 30)


def error_picture(original: np.ndarray, received: np.ndarray) -> np.ndarray:
    """Absolute error times ``ERROR_GAIN``, ``uint8[H, W, 3]``."""
    difference = np.abs(original.astype(np.int16) - received) * ERROR_GAIN
    return difference.clip(0, 255).astype(np.uint8)


def contact_sheet(panels: list[tuple[str, np.ndarray]], title: str, columns: int = 2) -> np.ndarray:
    """Captioned pictures ``uint8[H, W, 3]`` of one size in rows, under a title."""
    height, width = panels[0][1].shape[:2]
    rows = -(-len(panels) // columns)
    sheet = Image.new(
        "RGB",
        (
            columns * width + (columns + 1) * GAP_PIXELS,
            CAPTION_PIXELS + rows * (height + CAPTION_PIXELS) + GAP_PIXELS,
        ),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)

    def write(left: int, top: int, text: str, room: int) -> None:
        size = FONT_PIXELS
        font = ImageFont.load_default(size)
        while size > 9 and draw.textlength(text, font=font) > room:
            size -= 1
            font = ImageFont.load_default(size)
        draw.text((left, top + (CAPTION_PIXELS - size) // 2), text, fill=INK, font=font)

    write(GAP_PIXELS, 0, title, sheet.width - 2 * GAP_PIXELS)
    for place, (caption, picture) in enumerate(panels):
        row, column = divmod(place, columns)
        left = GAP_PIXELS + column * (width + GAP_PIXELS)
        top = CAPTION_PIXELS + row * (height + CAPTION_PIXELS)
        write(left, top, caption, width)
        sheet.paste(Image.fromarray(picture), (left, top + CAPTION_PIXELS))
    return np.asarray(sheet)
