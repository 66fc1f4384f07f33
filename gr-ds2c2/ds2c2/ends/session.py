# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of a stream around the codec: pictures in with their numbers, pictures out with
their quality. Flowgraph blocks and commands share it, so both give the same pictures."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ds2c2.codec.codec import Codec, DecodedPicture, EncodedPicture, grey_picture
from ds2c2.codec.inflight import in_order
from ds2c2.codec.labels import FavourMaps, fitted_labels, names_segmenter
from ds2c2.codec.segmentation import default_segnet, open_segmenter
from ds2c2.ends.movingfeed import MovingFeed
from ds2c2.errors import FormatError, PictureError
from ds2c2.files import make_folder
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.pictures.metrics import ms_ssim, psnr
from ds2c2.pictures.pictures import check_size, find_pictures, fit_picture, read_picture, write_picture


def common_size(paths: list[Path]) -> tuple[int, int]:
    """Width and height of a stream for these pictures: that of the first one that can be sent. Raises the first
    one's ``PictureError`` where none can."""
    first: PictureError | None = None
    for path in paths:
        try:
            height, width = _sendable(path).shape[:2]
            return width, height
        except PictureError as error:
            first = first or error
    raise first or PictureError("no pictures are named; give files, folders or globs")


def _sendable(path: Path) -> np.ndarray:
    picture = read_picture(path)
    check_size(*picture.shape[:2], str(path))
    return picture


class PictureFeed:
    """Pictures of files, folders and globs, fitted to one size; ``repeat`` starts over for ever.

    Every file is checked before the first is sent: a typo must not end a stream midway. Those of folders and globs
    that cannot be sent are left out unless ``strict``, and ``skipped`` says why. ``count``: end after so many
    pictures, 0 for no limit. Raises ``PictureError``.
    """

    moving = False

    def __init__(
        self,
        sources: list[str],
        width: int,
        height: int,
        fit: str = "pad",
        repeat: bool = False,
        strict: bool = False,
        count: int = 0,
    ):
        self.width, self.height, self.fit, self.repeat, self.count = width, height, fit, repeat, count
        self.stopped = False
        fit_picture(np.zeros((1, 1, 3), np.uint8), width, height, fit)  # an unknown way is no picture's fault
        self.paths: list[Path] = []
        self.skipped: list[PictureError] = []
        for path, named in find_pictures(sources):
            try:
                read_picture(path)
                self.paths.append(path)
            except PictureError as error:
                if strict or named:
                    raise
                self.skipped.append(error)
        if not self.paths:
            raise PictureError(f"{len(self.skipped)} files, none of which can be sent; the first is {self.skipped[0]}")

    @property
    def skipped_lines(self) -> list[str]:
        """What is to be said of ``skipped``, nothing where nothing was."""
        if not self.skipped:
            return []
        count = len(self.skipped)
        total = f"{count} file{'' if count == 1 else 's'} of {count + len(self.paths)} skipped"
        return [*(f"skipped {error}" for error in self.skipped), total]

    @property
    def frames(self) -> int | None:
        """How many are sent, None for as long as nobody stops it."""
        if self.repeat:
            return self.count or None
        return min(self.count or len(self.paths), len(self.paths))

    def over(self, frame: int) -> bool:
        """Nothing is sent as this frame and later ones."""
        return self.stopped or (self.frames is not None and frame >= self.frames)

    def stop(self) -> None:
        """End with the frame that was sent last."""
        self.stopped = True

    def picture(self, frame: int) -> np.ndarray:
        """The picture that is sent as this frame, ``uint8[height, width, 3]``."""
        path = self.paths[frame % len(self.paths)]
        return fit_picture(read_picture(path), self.width, self.height, self.fit)

    def name(self, frame: int) -> str:
        return self.paths[frame % len(self.paths)].stem

    def __iter__(self) -> Iterator[np.ndarray]:
        frame = 0
        while not self.over(frame):
            yield self.picture(frame)
            frame += 1


class LabelMaps:
    """The label maps s that a model of profile paper sends: of a folder, a PNG for each picture with
    its stem, or made by a SegNet (``ds2c2.codec.segmentation`` says how one is named; by default ours).

    All files are read once, and the SegNet is loaded, before the first picture is sent. Raises
    ``PictureError``, ``WeightsError`` and ``UserError``.
    """

    def __init__(self, codec: Codec, feed: PictureFeed | MovingFeed, labels: str):
        self.feed = feed
        self.label_set = label_set_of(codec.label_set)
        labels = labels or default_segnet(self.label_set.name)
        self.folder = None if names_segmenter(labels) else Path(labels)
        if self.folder is None:
            self.segmenter = open_segmenter(labels, self.label_set, str(codec.device))
        elif feed.moving:
            raise PictureError(f"labels {labels}: label maps have their pictures' names, and a film has none")
        else:
            for place in range(len(feed.paths)):
                self.of(place, None)

    def of(self, place: int, picture: np.ndarray | None) -> np.ndarray:
        """Class numbers ``uint8[height, width]`` of the picture at this place."""
        feed = self.feed
        if self.folder is None:
            return self.segmenter.labels(picture)
        void = self.label_set.void
        return fitted_labels(self.folder, feed.paths[place], feed.width, feed.height, feed.fit, void)


class SendingEnd:
    """Encodes a feed frame by frame; what a repeated feed has encoded once is kept. Files are encoded ahead,
    ``codec.usual_at_once`` together unless with an effort; a feed that moves waits for nothing.

    ``favour``: regions to be sent finer than the rest, as ``ds2c2.codec.labels`` reads them, and
    ``labels``, the folder with the pictures' label maps; for a model that sends label maps,
    ``labels`` is where they come from (``LabelMaps``). ``effort``: steps of refinement a picture
    (``Codec.encode``). Raises ``FormatError`` and ``PictureError``.
    """

    KEPT_BYTES = 64 << 20

    def __init__(
        self,
        codec: Codec,
        feed: PictureFeed | MovingFeed,
        favour: Sequence[str] = (),
        labels: str = "",
        effort: int = 0,
    ):
        if effort:
            codec.check_effort(effort)
        self.codec = codec
        self.effort = effort
        self.feed = feed
        self.labels = None if codec.label_set == "none" else LabelMaps(codec, feed, labels)
        by_class = labels if self.labels is None else ""
        self.favours = FavourMaps(favour, by_class, feed.paths, feed.width, feed.height, feed.fit)
        if feed.moving and self.favours.by_class:
            raise FormatError("favoured classes need label maps, which have their pictures' names, and a film has none")
        self.frame = 0
        self.small_bytes = 0  # of c in the frame sent last
        self.captured = 0.0  # when its picture was there, seconds since 1970
        self._kept: dict[int, EncodedPicture] = {}
        # No file twice at a time; and an effort takes minutes, in which a process should end when it is told to.
        at_once = 1 if effort else min(codec.usual_at_once, len(feed.paths))
        self._files = in_order(self._file, self._places(), at_once)

    def next_frame(self) -> EncodedPicture | None:
        """The next picture's blocks, None at the end of the feed. Waits for a picture of a feed that moves."""
        feed, self.captured = self.feed, time.time()
        if feed.moving:
            picture = feed.take()
            if picture is None:
                return None
            self.captured = feed.captured
            encoded = self._encode(0, picture)
        # None where an error has ended them before.
        elif feed.over(self.frame) or (encoded := next(self._files, None)) is None:
            return None
        self.frame += 1
        self.small_bytes = encoded.small_bytes
        return encoded

    @property
    def last(self) -> bool:
        """The frame that came last is the stream's last. A feed whose end nobody knows may end without it."""
        return self.feed.over(self.frame)

    def _places(self) -> Iterator[int]:
        """Of the files, in the order of sending."""
        frame = 0
        while not self.feed.over(frame):
            yield frame % len(self.feed.paths)
            frame += 1

    def _file(self, place: int) -> EncodedPicture:
        encoded = self._kept.get(place) or self._encode(place, self.feed.picture(place))
        if self.feed.repeat and (len(self._kept) + 1) * encoded.blocks.nbytes < self.KEPT_BYTES:
            self._kept[place] = encoded
        return encoded

    def _encode(self, place: int, picture: np.ndarray) -> EncodedPicture:
        labels = self.labels.of(place, picture) if self.labels is not None else None
        return self.codec.encode(picture, favour=self.favours.of(place), labels=labels, effort=self.effort)


@dataclass(frozen=True)
class FrameResult:
    """What became of a frame. PSNR in dB and MS-SSIM are None where no original is known,
    those of the base picture also where the base layer was lost. ``path`` is the file written; ``nothing`` came
    of a frame where all of its blocks were lost. The counts are those of ``ds2c2.codec.codec.DecodedPicture``."""

    frame: int
    concealed: bool
    base_repaired: int
    base_damaged: int
    base_lost: int
    enhancement_lost: int
    enhancement_damaged: int
    psnr: float | None
    ms_ssim: float | None
    base_psnr: float | None
    base_ms_ssim: float | None
    path: Path | None
    nothing: bool = False

    @property
    def lost(self) -> int:
        """Code blocks that did not arrive."""
        return self.base_lost + self.enhancement_lost

    @property
    def damaged(self) -> int:
        """Code blocks that arrived changed, as far as that can be told."""
        return self.base_damaged + self.enhancement_damaged


def fresh_folder(out: str) -> str:
    """``out``, or where pictures of an earlier run lie in it, the first of its folders ``run-2``, ``run-3`` … without
    any: what was received cannot be received again."""
    folder, runs = Path(out), 1
    while out and folder.is_dir() and next(folder.glob("frame-*.png"), None):
        runs += 1
        folder = Path(out) / f"run-{runs}"
    return str(folder) if runs > 1 else out


KEPT_RESULTS = 1 << 16  # of frames, about 1 kB each


class ReceivingEnd:
    """Decodes frames, writes the pictures to a folder, measures them where originals are known.

    A frame of which nothing came is concealed, counted and measured, and not written. Of the results the last ones
    are kept, between half of ``kept`` and so many. File names are ``frame-000012.png``; those of a sender that
    restarted and counts anew go into folders ``stream-2``, ``stream-3`` within, and unless ``replace`` those whose
    names were there before too.
    ``originals`` is a feed like the sender's. ``shown`` is called with each frame's result and the picture that
    stands then, lost frames among them; nobody changes that picture later. Raises ``FileError`` when the folder
    cannot be made.
    """

    def __init__(
        self,
        codec: Codec,
        folder: str | Path | None = None,
        originals: PictureFeed | None = None,
        replace: bool = True,
        shown: Callable[[FrameResult, np.ndarray], None] | None = None,
        kept: int = KEPT_RESULTS,
    ):
        self.codec = codec
        self._shown = shown
        self.kept = kept
        self.folder: Path | None = None
        if folder:
            # Now and not with the first picture: a stream must not end for a typo.
            self.write_into(folder)
        self._replace = replace
        self._top, self._streams = self.folder, 1
        self.originals = originals
        self.results: list[FrameResult] = []
        self.frames = 0  # released so far, lost ones among them
        self.concealed = 0  # of them without a base layer
        self.lost = 0  # of them without anything
        self.written = 0  # pictures
        self.picture: np.ndarray | None = None
        self.base_picture: np.ndarray | None = None

    def write_into(self, folder: str | Path) -> None:
        """Write pictures there from now on. Raises ``FileError``."""
        self.folder = make_folder(folder)
        self._newest = -1  # frame that was written there; of all names together memory would grow with the days

    def path_of(self, frame: int) -> Path:
        """Where the picture of this frame is written."""
        return self.folder / f"frame-{frame:06d}.png"

    def take(self, frame: int, soft: np.ndarray) -> FrameResult:
        """Decode soft bits ``int8[N, 8 * block_size]`` of a frame. Raises ``PictureError``
        when the picture cannot be written."""
        return next(self.take_many([(frame, soft)], together=False))

    def take_many(self, frames: Iterable[tuple[int, np.ndarray | None]], together: bool) -> Iterator[FrameResult]:
        """As ``take``, or where nothing came (None) ``lose``, of each frame's number and soft bits in turn;
        ``together``: some are decoded at a time."""
        numbers: deque[int] = deque()

        def arrived() -> Iterator[np.ndarray | None]:
            for number, soft in frames:
                numbers.append(number)
                yield soft

        for decoded in in_order(self._decode, arrived(), self.codec.usual_at_once if together else 1):
            number = numbers.popleft()
            yield self.lose(number) if decoded is None else self._show(number, decoded)

    def _decode(self, soft: np.ndarray | None) -> DecodedPicture | None:
        """None where nothing came."""
        return self.codec.decode(soft) if soft is not None and soft.any() else None

    def lose(self, frame: int) -> FrameResult:
        """Nothing came of a frame."""
        stream = self.codec.stream
        lost = {"base_lost": stream.base_blocks, "enhancement_lost": stream.enhancement_blocks}
        self.lost += 1
        return self._show(frame, DecodedPicture(None, None, base_repaired=0, base_damaged=0, **lost), write=False)

    def _show(self, frame: int, decoded: DecodedPicture, write: bool = True) -> FrameResult:
        # A lost base layer is concealed by the picture before, the first of all by grey.
        if decoded.picture is not None:
            self.picture = decoded.picture
        elif self.picture is None:
            self.picture = grey_picture(self.codec.stream)
        self.base_picture = decoded.base_picture
        path = self._write(frame) if self.folder and write else None
        quality = dict.fromkeys(("psnr", "ms_ssim", "base_psnr", "base_ms_ssim"))
        if self.originals is not None:
            original = self.originals.picture(frame)
            quality.update(psnr=psnr(original, self.picture), ms_ssim=ms_ssim(original, self.picture))
            if decoded.base_picture is not None:
                quality.update(
                    base_psnr=psnr(original, decoded.base_picture), base_ms_ssim=ms_ssim(original, decoded.base_picture)
                )
        result = FrameResult(
            frame=frame,
            concealed=decoded.concealed,
            base_repaired=decoded.base_repaired,
            base_damaged=decoded.base_damaged,
            base_lost=decoded.base_lost,
            enhancement_lost=decoded.enhancement_lost,
            enhancement_damaged=decoded.enhancement_damaged,
            path=path,
            nothing=not write,
            **quality,
        )
        self.frames += 1
        self.concealed += result.concealed
        self.results.append(result)
        if len(self.results) > self.kept:
            del self.results[: -(self.kept // 2) or None]
        if self._shown is not None:
            self._shown(result, self.picture)
        return result

    def _taken(self, frame: int) -> bool:
        return frame <= self._newest or (not self._replace and self.path_of(frame).exists())

    def _write(self, frame: int) -> Path:
        while self._taken(frame):
            self._streams += 1
            self.write_into((self._top or self.folder) / f"stream-{self._streams}")
        path = write_picture(self.path_of(frame), self.picture)
        self._newest = frame
        self.written += 1
        return path
