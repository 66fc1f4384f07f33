# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights files: safetensors only, self-describing, with a digest; in half precision or 8 bits."""

import json
import math
import re
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.overrides import TorchFunctionMode

from ds2c2.errors import DeviceError, UserError, WeightsError
from ds2c2.files import is_file, make_folder, write_bytes
from ds2c2.networks.modelfiles import (
    PART_VERSION,
    REST_NOTE,
    SUFFIX,
    WEIGHTS_VERSIONS,
    find_weights,
    read_metadata,
    weights_digest,
    weights_profile,
)
from ds2c2.networks.profiles import PROFILES, ProfileSpec
from ds2c2.networks.weightstorage import from_stored, to_stored
from ds2c2.stream.streamformat import DIGEST_HEX, MODEL_NAME

STORAGE_NOTE = "storage"  # of a file's metadata; the first files had none and half precision
# What networks may take beyond their files, where a number is a byte at the least; and what a tensor counts at the
# least, so that layers of nothing are counted too.
SPARE_BYTES, TENSOR_BYTES = 64 << 20, 1 << 14
FLOAT_BYTES = 4
MAKERS = ("empty", "zeros", "ones", "full", "eye", "rand", "randn", "arange")


def save_weights(
    path: str | Path,
    networks: nn.Module,
    notes: dict[str, str],
    storage: str = "float16",
    part_of: str = "",
    rest_from: str = "",
) -> Path:
    """Write weights with profile, shape, storage and notes in the file's own metadata.

    ``storage``: one of ``ds2c2.networks.weightstorage.STORAGES``. With ``part_of`` only tensors whose names
    begin so; the rest is that of the weights ``rest_from``, ``name@digest``. Raises ``FileError``.
    """
    path = Path(path)
    make_folder(path.parent)
    tensors = {name: t for name, t in to_stored(networks, storage).items() if name.startswith(part_of)}
    if rest_from:
        notes = notes | {REST_NOTE: rest_from}
    metadata = {
        **notes,
        "profile": networks.profile,
        "version": PART_VERSION if rest_from else WEIGHTS_VERSIONS[storage],
        "shape": json.dumps(networks.shape.as_dict()),
        STORAGE_NOTE: storage,
    }
    return write_bytes(path, _sorted_header(save(tensors, metadata=metadata)))


def _sorted_header(data: bytes) -> bytes:
    """A file's bytes with its header in one order: safetensors writes metadata in another one each time,
    and the digest that names the weights would differ for the same ones.

    The layout: 8 bytes with the header's length (little-endian), JSON, padded with spaces to a
    multiple of 8, the tensors. https://github.com/huggingface/safetensors, "Format".
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The file's tensors by name, float32 whatever they are stored in, tables as they are; with the
    rest of a file that holds a part of its networks.

    Raises ``WeightsError``.
    """
    rest_from = read_metadata(path).get(REST_NOTE)
    rest = read_tensors(_find_rest(path, rest_from)) if rest_from else {}
    try:
        tensors = from_stored(load_file(path))
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise ValueError(f"{name} holds numbers that are not finite")
        return rest | tensors
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _no_fit(path, error) from None


def _find_rest(path: Path, rest_from: str) -> Path:
    """The weights that a partial file needs: beside it, or where models are."""
    name, _, digest = rest_from.partition("@")
    if not re.fullmatch(MODEL_NAME, name) or name.endswith(SUFFIX):
        raise WeightsError(f"{path}: names {rest_from!r} as the weights with its rest, which is no model's name")
    beside = path.with_name(f"{name}{SUFFIX}")
    try:
        found = beside if is_file(beside) else find_weights(name)
    except WeightsError:
        raise WeightsError(
            f"{path}: holds a part of its networks, the rest is in {rest_from}, which is not here; put "
            f"{name}{SUFFIX} beside it"
        ) from None
    if weights_digest(found)[:DIGEST_HEX] != digest or read_metadata(found).get(REST_NOTE):
        raise WeightsError(
            f"{path}: goes with {rest_from}, and {found} is {name}@{weights_digest(found)[:DIGEST_HEX]}; take the "
            "file that it was trained from"
        )
    return found


def _no_fit(path: Path, error: Exception) -> WeightsError:
    first_line = str(error).partition("\n")[0]
    return WeightsError(f"{path}: weights do not fit their networks ({first_line}); fetch them again")


def weights_storage(model: str | Path) -> str:
    """What a model's weights are stored in, one of ``STORAGES``. Raises ``WeightsError``."""
    return read_metadata(find_weights(model)).get(STORAGE_NOTE, "float16")


def resolve_interleave(interleave: str, model: str | Path) -> str:
    """``auto`` to what the model's profile wants; anything else is left as it is.

    ``model`` is a name, with or without a digest, or a file. Raises ``WeightsError``.
    """
    if interleave != "auto":
        return interleave
    name = model.partition("@")[0] if isinstance(model, str) else model
    return codec_profile(name).interleave


def codec_profile(model: str | Path) -> ProfileSpec:
    """The profile of weights that must be a codec's. Raises ``WeightsError`` for others, a SegNet's."""
    profile = PROFILES[weights_profile(model)]
    if not profile.codec:
        raise WeightsError(f"model {model}: weights of a SegNet, which makes label maps; choose a codec's")
    return profile


class _Room(TorchFunctionMode):
    """Networks are made as their metadata say, before their weights are read: here they get no more room than goes
    with the files' size. Raises ``ValueError`` within."""

    def __init__(self, stored: int):
        super().__init__()
        self.left = SPARE_BYTES + 2 * FLOAT_BYTES * stored

    def __torch_function__(self, function, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name in MAKERS:
            given = args[0] if args else kwargs.get("size", ())
            sides = given if isinstance(given, (tuple, list)) else args
            sides = [side for side in sides if isinstance(side, int)]
            numbers = math.prod(sides) * (sides[0] if name == "eye" and len(sides) == 1 else 1)
            self.left -= max(TENSOR_BYTES, FLOAT_BYTES * numbers)
            if self.left < 0:
                raise ValueError("they are far larger than the file")
        return function(*args, **kwargs)


def load_networks(model: str | Path, device: torch.device | str = "cpu") -> nn.Module:
    """Networks with weights, as their profile names them, in evaluation mode, float32. Raises ``WeightsError``."""
    path = find_weights(model)
    try:
        metadata = read_metadata(path)
        profile = PROFILES[metadata["profile"]]
        shape = profile.load("shape").from_dict(json.loads(metadata["shape"]))
        # Not on the device "meta": there arange and eye import sympy and torch._dynamo, 2 s. What is
        # drawn here and overwritten below (0.6 s for 100 million weights) is no draw of the caller's.
        tensors = read_tensors(path)
        stored = sum(tensor.numel() for tensor in tensors.values())
        with torch.random.fork_rng(devices=[]), _Room(stored), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # layers of nothing: what is wrong is said below
            networks = profile.load("networks")(shape)
        networks.load_state_dict(tensors, assign=True)
    except UserError as error:
        # A shape's own words for what it cannot be.
        raise error if isinstance(error, WeightsError) else _no_fit(path, error) from None
    except (RuntimeError, AttributeError, LookupError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise _no_fit(path, error) from None
    return networks.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``. Raises ``DeviceError``."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is unknown; choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"device {name!r} is not there: torch {torch.__version__} sees {torch.cuda.device_count()} GPUs; "
            "use --device cpu"
        )
    return device
