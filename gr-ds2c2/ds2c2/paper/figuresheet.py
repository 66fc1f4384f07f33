# SPDX-License-Identifier: GPL-3.0-or-later
"""A figure as one picture: captioned panels in rows under a title, every pixel of a panel as it is."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ds2c2.pictures.contactsheet import GAP_PIXELS, INK, PAPER

TITLE_PIXELS = 20
TEXT_PIXELS = 15
LINE = 1.25  # height of a line over that of its letters
LEAST_WIDTH = 300  # pixels of a column, so that captions of small pictures can be read


@dataclass(frozen=True)
class CaptionedPicture:
    """A picture ``uint8[H, W, 3]`` and what is written above it; lines end at ``\\n`` and where room ends."""

    caption: str
    picture: np.ndarray


def wrap(text: str, room: int, font) -> list[str]:
    """Lines of a text that fit ``room`` pixels; a word that is longer has a line of its own."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > room:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def draw_sheet(title: str, rows: list[list[CaptionedPicture]]) -> np.ndarray:
    """The sheet, ``uint8[H, W, 3]``. Columns are as wide as their widest panel."""
    columns = max(map(len, rows))
    widths = [
        max([LEAST_WIDTH, *(row[column].picture.shape[1] for row in rows if column < len(row))])
        for column in range(columns)
    ]
    lefts = [GAP_PIXELS + sum(widths[:column]) + column * GAP_PIXELS for column in range(columns)]
    width = lefts[-1] + widths[-1] + GAP_PIXELS
    fonts = {size: ImageFont.load_default(size) for size in (TITLE_PIXELS, TEXT_PIXELS)}
    texts: list[tuple[int, int, str, int]] = []  # left, top, line, size
    pictures: list[tuple[int, int, np.ndarray]] = []

    def write(left: int, top: int, lines: list[str], size: int) -> int:
        for line in lines:
            texts.append((left, top, line, size))
            top += round(LINE * size)
        return top

    top = write(GAP_PIXELS, GAP_PIXELS, wrap(title, width - 2 * GAP_PIXELS, fonts[TITLE_PIXELS]), TITLE_PIXELS)
    for row in rows:
        top += GAP_PIXELS
        captions = [wrap(p.caption, widths[column], fonts[TEXT_PIXELS]) for column, p in enumerate(row)]
        most = max(map(len, captions))
        for column, lines in enumerate(captions):
            # The last line stands next to the picture.
            below = write(lefts[column], top, [""] * (most - len(lines)) + lines, TEXT_PIXELS)
        top = below + GAP_PIXELS // 2
        pictures += [(lefts[column], top, panel.picture) for column, panel in enumerate(row)]
        top += max(panel.picture.shape[0] for panel in row)
    sheet = Image.new("RGB", (width, top + GAP_PIXELS), PAPER)
    draw = ImageDraw.Draw(sheet)
    for left, at, line, size in texts:
        draw.text((left, at), line, fill=INK, font=fonts[size])
    for left, at, picture in pictures:
        sheet.paste(Image.fromarray(picture), (left, at))
    return np.asarray(sheet)
