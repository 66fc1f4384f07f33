# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures: read, write, fit to a stream's size, pad for the networks, normalise.

Between modules a picture is ``uint8[H, W, 3]``, sRGB. Networks see ``float32[1, 3, H, W]``
in [-1, 1] ("better when normalised to [-1, 1]", the paper).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from ds2c2.errors import PictureError
from ds2c2.files import make_folder, missing, whole

if TYPE_CHECKING:
    import torch

MIN_SIDE = 64  # pixels; below it c has fewer than 8x8 pixels
MAX_SIDE = 4096  # pixels; a frame then has 21 000 blocks of 100 bytes at 1 bpp
# What Pillow reads, AVIF from 11.3 on; and HEIC, which it does not, to be named and not passed over silently.
SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".avif",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".heic",
    ".heif",
)
UNREAD = {".heic": "HEIC", ".heif": "HEIC", ".avif": "AVIF"}
FITS = ("pad", "scale")
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")  # in scikit-image's wheel
ROWS_AT_ONCE = 64

# Pillow's guard against decompression bombs, set to what we accept anyway.
Image.MAX_IMAGE_PIXELS = 4 * MAX_SIDE * MAX_SIDE
# Bytes of one text in a PNG, and below Pillow's 64 MiB of all: editors leave megabytes of their own notes there.
PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20


def read_picture(path: str | Path) -> np.ndarray:
    """Read a file as ``uint8[H, W, 3]``: EXIF rotation applied, grey and palette expanded,
    alpha laid over white, 16 bits reduced to 8.

    Raises ``PictureError`` when the file is missing or is not a picture.
    """
    path = Path(path)
    check_file(path)
    return decode_picture(path, str(path))


def decode_picture(file: Path | BinaryIO, name: str) -> np.ndarray:
    """The same of an open file; ``name`` is what it is called in errors. Raises ``PictureError``."""
    try:
        with Image.open(file) as image:
            image.load()
            return _as_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        if kind := UNREAD.get(Path(name).suffix.lower()):
            raise PictureError(f"{name}: {kind}, which Pillow does not read here; save it as PNG or JPEG") from None
        raise PictureError(f"{name}: not a picture that Pillow can read, whatever its name says") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(f"{name}: damaged or unreadable picture ({error}); save it anew") from None


def check_file(path: Path) -> None:
    """Raise ``PictureError`` for what is not there, and for what is no file: a pipe gives nothing until somebody
    writes to it."""
    try:
        if path.is_file():
            return
        there = path.exists()
    except (OSError, ValueError) as error:
        raise PictureError(f"{path}: cannot be looked at ({error})") from None
    if not there:
        raise PictureError(f"{path}: {missing(path)}; give a picture, a folder or a glob")
    raise PictureError(f"{path}: a {'folder' if path.is_dir() else 'pipe or device'} and no file; give a picture")


def _as_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        # 16-bit grey arrives as I;16 or I; Pillow's own conversion would clip it to white.
        samples = np.nan_to_num(np.asarray(image).astype(np.float64))
        full_scale = _full_scale(image.mode, samples.max(initial=0))
        grey = np.clip(np.rint(samples * (255.0 / full_scale)), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.asarray(image.convert("RGB"))


def _full_scale(mode: str, highest: float) -> float:
    """The level that is white: by the mode where it says so, else by the samples."""
    if mode.startswith("I;16"):
        return 65535.0
    if mode == "F" and highest <= 1.0:
        return 1.0
    return 65535.0 if highest > 255 else 255.0


def check_size(height: int, width: int, name: str = "picture") -> None:
    """Raise ``PictureError`` for sizes that no stream has, outside 64x64 to 4096x4096."""
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_SIDE:
        raise PictureError(
            f"{name}: {width}x{height} pixels; sides must be {MIN_SIDE} to {MAX_SIDE}: give a stream's size, to which "
            f"it is fitted, or {'enlarge' if min(height, width) < MIN_SIDE else 'reduce'} it first"
        )


def fit_picture(
    picture: np.ndarray,
    width: int,
    height: int,
    how: str = "pad",
    resample: Image.Resampling = Image.Resampling.LANCZOS,
    edge: int = 0,
) -> np.ndarray:
    """Bring a picture to a stream's one size, ``uint8[height, width, 3]``, or a map of labels
    ``uint8[h, w]`` to ``uint8[height, width]``.

    ``pad`` keeps the shape of things: reduced or enlarged until one side fits, centred, edges filled
    with ``edge``, black for pictures. ``scale`` stretches to the size. What fits exactly is returned
    as it is.
    """
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(picture)
    if how == "scale":
        return np.asarray(image.resize((width, height), resample))
    if how != "pad":
        raise PictureError(f"fit {how!r} is unknown; choose one of {', '.join(FITS)}")
    image = ImageOps.contain(image, (width, height), resample)
    canvas = Image.new(image.mode, (width, height), edge)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return np.asarray(canvas)


def pad_to_multiple(picture: np.ndarray, multiple: int) -> np.ndarray:
    """Repeat the last row and column until both sides are multiples; crop undoes it."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")


def to_tensor(picture: np.ndarray) -> torch.Tensor:
    """``uint8[H, W, 3]`` to ``float32[1, 3, H, W]`` in [-1, 1]."""
    import torch  # here: stream formats and link blocks read this module and need no networks

    pixels = torch.tensor(picture).permute(2, 0, 1)[None].float()
    return pixels.div_(127.5).sub_(1.0)


def to_picture(pixels: torch.Tensor) -> np.ndarray:
    """``[1, 3, H, W]`` in [-1, 1] to ``uint8[H, W, 3]``, rounded and clamped."""
    picture = np.empty((*pixels.shape[2:], 3), np.uint8)
    # Some rows at a time, which stay in the processor's cache.
    for first in range(0, len(picture), ROWS_AT_ONCE):
        levels = pixels[0, :, first : first + ROWS_AT_ONCE].float() + 1.0
        levels = levels.mul_(127.5).round_().clamp_(0, 255).byte().cpu().numpy()
        # Plane by plane: numpy walks along the rows of both then, and takes half as long.
        for colour, plane in enumerate(levels):
            picture[first : first + ROWS_AT_ONCE, :, colour] = plane
    return picture


def write_picture(path: str | Path, picture: np.ndarray) -> Path:
    """Write a PNG, or what the suffix says, whole or not at all. Raises ``FileError``, and ``PictureError`` for a
    suffix that cannot be written."""
    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower(), "PNG")
    make_folder(path.parent)
    try:
        with whole(path) as part:
            Image.fromarray(picture).save(part, format=kind)
    except (KeyError, ValueError):
        raise PictureError(f"{path}: Pillow reads {kind} but cannot write it; use .png") from None
    return path


def sample_photographs() -> list[str]:
    """Paths of scikit-image's own photographs; they come with its wheel, nothing is fetched or loaded."""
    folder = Path(find_spec("skimage").origin).parent / "data"
    return [str(folder / name) for name in PHOTOGRAPHS]


def _pictures_among(
    paths: Iterable[Path], folder: Path | None = None, suffixes: tuple[str, ...] = SUFFIXES
) -> Iterator[Path]:
    """Those with a known suffix, none hidden: macOS lays ``._x.png`` beside x.png, and within a folder there are
    hidden ones with thumbnails."""

    def hidden(path: Path) -> bool:
        return any(part.startswith(".") for part in (path.relative_to(folder).parts if folder else (path.name,)))

    return (path for path in paths if path.suffix.lower() in suffixes and not hidden(path) and path.is_file())


def pictures_below(folder: Path) -> Iterator[Path]:
    """Picture files in a folder and those within it, in no order."""
    return _pictures_among(folder.rglob("*"), folder)


def list_pictures(sources: list[str]) -> list[Path]:
    """``find_pictures`` without the difference between what is named and what is found."""
    return [path for path, _ in find_pictures(sources)]


def find_pictures(sources: list[str]) -> list[tuple[Path, bool]]:
    """Files, folders (recursively) and globs to a sorted list of picture files per source, and whether each is
    named itself.

    A file that is named is taken whatever its suffix; in folders and globs only files with
    a known suffix count, and no hidden ones. Raises ``PictureError`` when a source gives nothing.
    """
    found: list[tuple[Path, bool]] = []
    for source in sources:
        named = _is_named(source)
        matches = sorted(matching(source))
        if not matches:
            raise _no_pictures(source)
        found += [(path, named) for path in matches]
    return found


def check_sources(sources: list[str]) -> None:
    """Raises ``PictureError`` where ``list_pictures`` would, and looks no further than the first picture of each
    source."""
    for source in sources:
        if next(matching(source), None) is None:
            raise _no_pictures(source)


def _is_named(source: str) -> bool:
    """Whether it is a file itself, not a folder or a glob."""
    path = Path(source).expanduser()
    return not path.is_dir() and (path.exists() or not any(sign in source for sign in "*?["))


def matching(source: str, suffixes: tuple[str, ...] = SUFFIXES) -> Iterator[Path]:
    """Files that a file's name, a folder or a glob stands for, those of the last two by their suffix. Raises
    ``PictureError``."""
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _pictures_among(path.rglob("*"), path, suffixes)
    elif not _is_named(source):
        folder = Path(path.anchor) if path.is_absolute() else Path()
        pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else source
        try:
            yield from _pictures_among(folder.glob(pattern), suffixes=suffixes)
        except ValueError as error:
            raise PictureError(f"{source}: not a glob ({error}); ** stands alone between slashes") from None
    else:
        if not path.exists():
            raise PictureError(f"{source}: {missing(path)}; give a picture, a folder or a glob")
        yield path


def _no_pictures(source: str) -> PictureError:
    return PictureError(f"{source}: no pictures there; looked for {', '.join(SUFFIXES)}")
