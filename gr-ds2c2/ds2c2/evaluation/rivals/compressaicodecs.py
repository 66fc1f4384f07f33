# SPDX-License-Identifier: GPL-3.0-or-later
"""CompressAI's codecs as rivals, with the weights that its authors publish, trained for MSE.

J. Bégaint, F. Racapé, S. Feltman, A. Pushparaja, "CompressAI: a PyTorch library and evaluation
platform for end-to-end compression research" (2020). The files of weights are never fetched: they
lie where torch's hub keeps them, or in the folder that ``$DS2C2_COMPRESSAI`` names, under the names
they are published with, ``NAME-QUALITY-DIGITS.pth.tar``, DIGITS the first eight of their SHA-256.

Here a file is the quality (a byte), height and width (two bytes each, big end first), for a codec
of two strings the length of the first (four bytes), then the strings that its entropy coder wrote.
"""

import contextlib
import hashlib
import importlib.util
import os
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ds2c2.evaluation.rivals.rivalcodec import Encodings, Rival, RivalError, ladder

FOLDER_VARIABLE = "DS2C2_COMPRESSAI"
HEAD = struct.Struct(">BHH")
LENGTH = struct.Struct(">I")
SIDE = 64  # pixels that sides are padded to a multiple of, right and below, by the last pixel


@dataclass(frozen=True)
class Codec:
    """What a codec is called, how its files of weights begin, its qualities 1, 2, ..., how many strings
    its entropy coder writes, and the pixels of a cell of the coarsest string."""

    label: str
    file: str
    qualities: int
    strings: int
    cell: int


# By their names in compressai.zoo.
CODECS = {
    "bmshj2018-factorized": Codec("factorized prior", "bmshj2018-factorized-prior", 8, 1, 16),
    "bmshj2018-hyperprior": Codec("scale hyperprior", "bmshj2018-hyperprior", 8, 2, 64),
    "mbt2018-mean": Codec("mean-scale hyperprior", "mbt2018-mean", 8, 2, 64),
    "cheng2020-attn": Codec("Cheng 2020 with attention", "cheng2020_attn-mse", 6, 2, 64),
}


def folder() -> Path:
    """Where weights are looked for."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def _weights(name: str, quality: int) -> Path | None:
    return next(iter(sorted(folder().glob(f"{CODECS[name].file}-{quality}-{'[0-9a-f]' * 8}.pth.tar"))), None)


def _missing(name: str) -> str:
    if not importlib.util.find_spec("compressai"):
        return "the package compressai is not installed: pip install 'gr-ds2c2[compressai]'"
    codec = CODECS[name]
    if absent := [quality for quality in range(1, codec.qualities + 1) if not _weights(name, quality)]:
        return (
            f"no weights {codec.file}-{absent[0]}-*.pth.tar in {folder()} "
            f"({len(absent)} of {codec.qualities} are missing); "
            f"put CompressAI's published files there, or name their folder in ${FOLDER_VARIABLE}"
        )
    return ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Old calls of torch in CompressAI warn at every use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@lru_cache(maxsize=2)
def _network(name: str, path: Path):
    """A codec with its weights, and their digits. Raises ``RivalError``."""
    import torch

    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    if not path.name.endswith(f"-{digits}.pth.tar"):
        raise RivalError(f"{path}: its SHA-256 begins {digits}, not as its name says; fetch it anew")
    with _quiet():
        try:
            from compressai.zoo import load_state_dict
            from compressai.zoo.image import model_architectures
        except ImportError as error:
            raise RivalError(f"the package compressai cannot be imported ({error}); install it anew") from None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            network = model_architectures[name].from_state_dict(load_state_dict(state)).eval()
        except (RuntimeError, KeyError, AttributeError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise RivalError(f"{path}: no weights of CompressAI's {name} ({reason}); fetch it anew") from None
        except Exception as error:  # pickle's, of a file that is something else
            raise RivalError(f"{path}: not a file of weights ({type(error).__name__}); fetch it anew") from None
        network.update()  # the entropy coder's tables; published files bring them along
    return network, digits


def _load(name: str, quality: int):
    path = _weights(name, quality)
    if path is None:
        raise RivalError(f"{name}: {_missing(name)}")
    return _network(name, path)


def _encode(name: str, quality: int, picture: np.ndarray) -> bytes:
    import torch

    network, _ = _load(name, quality)
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % SIDE), (0, -width % SIDE), (0, 0)), mode="edge")
    pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode(), _quiet():
        strings = [of_batch[0] for of_batch in network.compress(pixels)["strings"]]
    lengths = [LENGTH.pack(len(string)) for string in strings[:-1]]
    return b"".join([HEAD.pack(quality, height, width), *lengths, *strings])


def _decode(name: str, data: bytes) -> np.ndarray:
    import torch

    codec = CODECS[name]
    quality, height, width = HEAD.unpack_from(data)
    network, _ = _load(name, quality)
    at = HEAD.size
    parts = []
    if codec.strings == 2:
        (first,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        parts.append([data[at : at + first]])
        at += first
    parts.append([data[at:]])
    shape = tuple((side + -side % SIDE) // codec.cell for side in (height, width))
    with torch.inference_mode(), _quiet():
        pixels = network.decompress(parts, shape)["x_hat"][0, :, :height, :width]
    return (pixels.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def _encodings(name: str, picture: np.ndarray, budgets: list[int]) -> Encodings:
    steps = (
        (f"quality {quality}, weights {_load(name, quality)[1]}", partial(_encode, name, quality, picture))
        for quality in range(1, CODECS[name].qualities + 1)
    )
    yield from ladder(steps, max(budgets))


# Tol's muted colours.
STYLES = {
    "bmshj2018-factorized": ("#999933", "<"),
    "bmshj2018-hyperprior": ("#44AA99", ">"),
    "mbt2018-mean": ("#882255", "p"),
    "cheng2020-attn": ("#661100", "h"),
}
RIVALS = {
    name: Rival(
        f"{codec.label} ({name}, CompressAI)",
        partial(_encodings, name),
        partial(_decode, name),
        partial(_missing, name),
        optional=True,
        rank=20 + place,
        colour=STYLES[name][0],
        marker=STYLES[name][1],
        packages=("compressai",),
    )
    for place, (name, codec) in enumerate(CODECS.items())
}
