# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a receiving command puts pictures: a folder, a film, or before somebody's eyes alone."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from ds2c2.errors import FileError, LinkError
from ds2c2.files import check_folder, kept_if_used
from ds2c2.pictures.filmwriter import DEFAULT_RATE, SUFFIX, FilmWriter
from ds2c2.pictures.moving.film import SUFFIXES as FILMS
from ds2c2.stream.streamformat import StreamFormat


@dataclass(frozen=True)
class PlaceOptions:
    """Options of every command that makes pictures of packets."""

    out: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Where the pictures go: frame-000000.png and so on; a film if it ends in .mp4. What is there is kept.",
        ),
    ] = ""
    frame_rate: Annotated[
        float,
        typer.Option(
            help=f"Of the film, frames a second; default: as they come, or {DEFAULT_RATE:g} where that is not known."
        ),
    ] = 0.0

    @property
    def film(self) -> bool:
        return self.out.lower().endswith(SUFFIX)

    def check(self, shown: bool = False) -> None:
        """Raises ``LinkError`` where pictures would go nowhere (``shown``: somebody watches), and for options that
        do nothing; ``FileError`` where none could be written."""
        if not (self.out or shown):
            raise LinkError("the pictures would go nowhere; give --out FOLDER, or --http 127.0.0.1:8080")
        if self.frame_rate and not self.film:
            raise LinkError(f"--frame-rate {self.frame_rate:g}: there is no film; give --out FILE.mp4, or leave it out")
        if not 0 <= self.frame_rate <= 1000:
            raise LinkError(f"--frame-rate {self.frame_rate:g}: out of range; more than 0, at most 1000")
        if self.out and not self.film:
            if Path(self.out).suffix.lower() in FILMS and not Path(self.out).is_dir():
                raise FileError(f"--out {self.out}: films are written as {SUFFIX} alone; name such a file, or a folder")
            check_folder(self.out)


@dataclass(frozen=True)
class BoundedPlaceOptions(PlaceOptions):
    """The same where what comes may have no end."""

    max_frames: Annotated[int, typer.Option(min=0, help="Stop after so many frames, lost ones among them; 0: any.")] = 0
    max_pictures: Annotated[int, typer.Option(min=0, help="Stop after so many pictures are written; 0: any.")] = 0

    def check(self, shown: bool = False) -> None:
        """Also where the bound is one of what is not written."""
        PlaceOptions.check(self, shown)
        if self.max_pictures and (self.film or not self.out):
            raise LinkError("--max-pictures: none is written into a folder; give --max-frames")


@dataclass
class PicturePlace:
    """Where they go: ``folder``, empty for none, or ``film``; ``words`` names it, ``notes`` are to be said first."""

    folder: str = ""
    film: FilmWriter | None = None
    words: str = ""
    notes: list[str] = field(default_factory=list)
    _began: float | None = None

    def written(self, receiving) -> int:  # noqa: ANN001 - ReceivingEnd
        """Pictures in the folder, frames of the film, which is ended first: nothing is claimed that is not there.
        Raises ``FileError``."""
        if self.film is not None:
            self.film.finish()
        return receiving.written if self.film is None else self.film.frames

    def shown(self, _: object, picture) -> None:  # noqa: ANN001 - uint8[H, W, 3]
        """For ``ReceivingEnd``: every frame is one of the film's, lost ones too, or it would run ahead."""
        if self.film is not None:
            now = time.monotonic()
            self._began = now if self._began is None else self._began
            self.film.write(picture, now - self._began)


@contextmanager
def picture_place(options: PlaceOptions, stream: StreamFormat, live: bool) -> Iterator[PicturePlace]:
    """The place that ``--out`` names; ``live`` frames come at their own speed. Raises ``UserError``s."""
    from ds2c2.ends.session import fresh_folder

    with ExitStack() as opened:
        if options.film:
            rate = options.frame_rate or (None if live else DEFAULT_RATE)
            film = opened.enter_context(FilmWriter(options.out, stream.width, stream.height, rate))
            yield PicturePlace(film=film, words=options.out)
            return
        folder = fresh_folder(options.out)
        other = folder != options.out
        notes = [f"{options.out} has pictures of an earlier run: writing to {folder}"] if other else []
        opened.enter_context(kept_if_used(folder))
        yield PicturePlace(folder=folder, words=folder, notes=notes)
