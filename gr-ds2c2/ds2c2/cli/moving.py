# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``send`` is given to send: still pictures, or what moves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ds2c2.cli.terminal import Terminal
from ds2c2.errors import PictureError
from ds2c2.stream.streamformat import StreamFormat

if TYPE_CHECKING:
    from ds2c2.ends.movingfeed import MovingFeed
    from ds2c2.ends.session import PictureFeed

PANEL = "Sources"
# Packets of a picture are spread over this share of its time: the rest is for what a busy host lets wait.
SPREAD = 0.8


def _option(kind, help_: str, *names: str, min: float | None = None):  # noqa: A002 - typer's
    return Annotated[kind, typer.Option(*names, help=help_, rich_help_panel=PANEL, min=min)]


@dataclass(frozen=True)
class SourceOptions:
    """How pictures are taken from their source."""

    frame_rate: _option(
        float, "Pictures a second at most; of a film those that are shown at that rate. 0: the film's own.", min=0.0
    ) = 0.0
    repeat: _option(bool, "Start over until Ctrl-C, or --count.", "--repeat") = False
    count: _option(int, "End after so many pictures; 0: any.", min=0) = 0
    follow: _option(bool, "A folder that grows: send what is there, then what comes.", "--follow") = False
    live: _option(
        bool,
        "Drop the pictures of a film, a pipe or a growing folder that are late, as a camera's are.",
        "--live",
    ) = False

    def open(
        self, names: list[str], strict: bool, fit: str, stream: Callable[[Callable[[], tuple[int, int]]], StreamFormat]
    ) -> tuple[StreamFormat, "PictureFeed | MovingFeed"]:
        """The stream format, which ``stream`` makes for the size of the first picture if it needs that, and the
        pictures. Raises ``PictureError`` and ``UserError``."""
        from ds2c2.ends.movingfeed import MovingFeed
        from ds2c2.ends.session import PictureFeed, common_size
        from ds2c2.pictures.moving.sources import check_names, moves, open_sources, waiting_lines
        from ds2c2.pictures.pictures import check_size, list_pictures

        if not (self.follow or moves(names)):
            if self.live:
                raise PictureError("--live: still pictures are never late; leave it out, or add --follow")
            check_names(names)
            form = stream(lambda: common_size(list_pictures(names)))
            return form, PictureFeed(names, form.width, form.height, fit, self.repeat, strict, self.count)
        for line in waiting_lines(names):
            Terminal(stderr=True).print(line, markup=False)
        source = open_sources(names, self.follow, strict)

        def size() -> tuple[int, int]:
            width, height = source.size()
            check_size(height, width, " ".join(names))
            return width, height

        form = stream(size)
        return form, MovingFeed(
            source, form.width, form.height, fit, self.frame_rate, self.repeat, self.count, self.live
        )

    def check_recording(self) -> None:
        """Raises ``PictureError`` for a speed where nothing has one: still pictures into a file."""
        if self.frame_rate:
            raise PictureError(
                f"--frame-rate {self.frame_rate:g}: a recording of still pictures has none; leave it out"
            )

    def speed(self, feed: "PictureFeed | MovingFeed") -> float:
        """Pictures a second that are sent at most, 0 for no limit."""
        return feed.rate if feed.moving else self.frame_rate


def packet_rate(stream: StreamFormat, speed: float) -> float:
    """Packets a second that carry so many pictures a second with some room."""
    return stream.blocks * speed / SPREAD
