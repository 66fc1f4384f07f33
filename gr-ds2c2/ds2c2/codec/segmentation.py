# SPDX-License-Identifier: GPL-3.0-or-later
"""SegNet: who makes the label map s of a picture; two kinds behind one interface.

A text names one: ``segnet:MODEL`` are weights of our small PSPNet, by name from models/ or by
path; ``smp:ENCODER:FILE`` is a PSPNet of segmentation-models-pytorch (an optional extra) with a
user's own checkpoint, the paper's way.
"""

import pickle
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.nn import functional as F

from ds2c2.codec.labels import OURS, SMP
from ds2c2.errors import UserError, WeightsError
from ds2c2.networks.modelfiles import find_weights
from ds2c2.networks.weights import choose_device, load_networks, weights_profile
from ds2c2.pictures.labelsets import LABEL_SETS, LabelSet
from ds2c2.pictures.pictures import to_tensor

FORMS = "segnet:MODEL or smp:ENCODER:FILE"
SMP_STRIDE = 32  # pixels; sides are padded to multiples
# Of ImageNet's colours in [0, 1], which encoders of segmentation-models-pytorch are trained with.
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HEAD = "segmentation_head.0.weight"  # its first dimension is the number of classes
PREFIXES = ("module.", "model.", "net.")  # that training programs put before names


class Segmenter(Protocol):
    """Makes label maps of one label set."""

    def labels(self, picture: np.ndarray) -> np.ndarray:
        """``uint8[H, W, 3]`` to class numbers ``uint8[H, W]``."""


def default_segnet(label_set: str) -> str:
    """The SegNet that is used where none is named: ours for that label set."""
    return f"{OURS}segnet-{label_set}"


def open_segmenter(text: str, label_set: LabelSet, device: str = "auto") -> Segmenter:
    """The SegNet that a text names, for this label set. Raises ``UserError`` and ``WeightsError``."""
    place = choose_device(device)
    if text.startswith(OURS):
        return SmallSegmenter(text.removeprefix(OURS), label_set, place)
    encoder, _, path = text.removeprefix(SMP).partition(":")
    if not text.startswith(SMP) or not encoder or not path:
        raise UserError(f"SegNet {text!r} is not understood; write {FORMS}")
    return SmpSegmenter(encoder, Path(path), label_set, place)


class SmallSegmenter:
    """Our small PSPNet. Raises ``WeightsError``."""

    def __init__(self, model: str, label_set: LabelSet, device: torch.device):
        try:
            path = find_weights(model)
        except WeightsError as error:
            raise WeightsError(
                f"no SegNet makes label maps of {label_set.name} here: give the folder of the label maps, or a "
                f"SegNet as {FORMS} ({error})"
            ) from None
        if weights_profile(path) != "segnet":
            raise WeightsError(f"{path}: weights of profile {weights_profile(path)}, a SegNet's are wanted")
        self.networks = load_networks(path, device)
        if self.networks.shape.label_set != label_set.name:
            raise WeightsError(
                f"{path}: makes label maps of {self.networks.shape.label_set}, wanted are those of {label_set.name}"
            )
        self.device = device

    @torch.inference_mode()
    def labels(self, picture: np.ndarray) -> np.ndarray:
        """``uint8[H, W, 3]`` to class numbers ``uint8[H, W]``."""
        logits = self.networks(to_tensor(picture).to(self.device))
        return logits[0].argmax(0).byte().cpu().numpy()


class SmpSegmenter:
    """PSPNet of segmentation-models-pytorch with a checkpoint (``state_dict``, .pth or .safetensors).

    Raises ``UserError`` when the package is missing, ``WeightsError`` for the checkpoint.
    """

    def __init__(self, encoder: str, path: Path, label_set: LabelSet, device: torch.device):
        try:
            import segmentation_models_pytorch as smp
        except ImportError:
            raise UserError(
                f"{SMP}{encoder} needs the package segmentation-models-pytorch: pip install 'gr-ds2c2[segmentation]'"
            ) from None
        tensors = _read_checkpoint(path)
        classes = len(tensors[HEAD]) if HEAD in tensors else 0
        if classes != label_set.count:
            known = [name for name, s in LABEL_SETS.items() if s.count == classes and classes]
            raise WeightsError(
                f"{path}: a PSPNet of {classes} classes{f' ({known[0]})' if known else ''}, wanted are the "
                f"{label_set.count} of {label_set.name}"
            )
        try:
            networks = smp.PSPNet(encoder, encoder_weights=None, classes=classes)
            networks.load_state_dict(tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            first_line = str(error).partition("\n")[0]
            raise WeightsError(f"{path}: does not fit a PSPNet on {encoder} ({first_line})") from None
        self.networks = networks.eval().requires_grad_(False).to(device)
        self.mean, self.spread = (torch.tensor(t, device=device).view(1, 3, 1, 1) for t in (MEAN, SPREAD))
        self.device = device

    @torch.inference_mode()
    def labels(self, picture: np.ndarray) -> np.ndarray:
        """``uint8[H, W, 3]`` to class numbers ``uint8[H, W]``."""
        x = ((to_tensor(picture).to(self.device) + 1) / 2 - self.mean) / self.spread
        height, width = picture.shape[:2]
        x = F.pad(x, (0, -width % SMP_STRIDE, 0, -height % SMP_STRIDE), mode="replicate")
        return self.networks(x)[0, :, :height, :width].argmax(0).byte().cpu().numpy()


def _read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such checkpoint of a SegNet")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        state = state.get("state_dict", state)
        tensors = {}
        for name, tensor in state.items():
            prefix = next((p for p in PREFIXES if name.startswith(p)), "")
            tensors[name.removeprefix(prefix)] = tensor.float() if tensor.is_floating_point() else tensor
        return tensors
    except (SafetensorError, OSError, RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path}: not a checkpoint of a SegNet ({type(error).__name__})") from None
