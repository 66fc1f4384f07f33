# SPDX-License-Identifier: GPL-3.0-or-later
"""How tensors lie in a weights file: in half precision, or convolutions in 8 bits.

``int8`` keeps the weight of a convolution as whole numbers -127 to 127 beside a scale for each of
its output channels, symmetric: Krishnamoorthi, "Quantizing deep convolutional networks for
efficient inference", 2018 (arXiv 1806.08342), section 2. Biases, GDN's roots, gains and norms are
few and stay in half precision; tables of whole numbers keep their type. Networks compute in
float32 whichever it was.
"""

import torch
from torch import Tensor, nn

STORAGES = ("float16", "int8")
IN_WORDS = {"float16": "half precision", "int8": "convolutions in 8 bits, the rest in half precision"}
SCALE = ".scale"  # NAME.scale belongs to NAME
MOST = 127
# The dimension that counts a convolution's outputs.
OUTPUTS = {nn.Conv2d: 0, nn.ConvTranspose2d: 1}


def to_stored(networks: nn.Module, storage: str) -> dict[str, Tensor]:
    """The networks' tensors as they lie in a file.

    What ``from_stored`` makes of them gives the same again: a scale is a bfloat16, so that 127
    times it is a float32 without rounding.
    """
    dimensions = {}
    if storage == "int8":
        modules = [(name, module) for name, module in networks.named_modules() if type(module) in OUTPUTS]
        dimensions = {f"{name}.weight": OUTPUTS[type(module)] for name, module in modules}
    stored = {}
    for name, tensor in networks.state_dict().items():
        tensor = tensor.detach().cpu()
        if name in dimensions:
            stored[name], stored[f"{name}{SCALE}"] = _quantized(tensor.float(), dimensions[name])
        else:
            # contiguous: safetensors takes nothing else
            stored[name] = (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
    return stored


def _quantized(tensor: Tensor, outputs: int) -> tuple[Tensor, Tensor]:
    others = [d for d in range(tensor.dim()) if d != outputs]
    peak = tensor.abs().amax(others, keepdim=True)
    scale = torch.where(peak > 0, peak / MOST, 1.0).bfloat16()
    whole = (tensor / scale.float()).round().clamp(-MOST, MOST)
    return whole.to(torch.int8).contiguous(), scale


def from_stored(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors for ``load_state_dict``, float32. Raises ``ValueError`` for 8 bits without a
    fitting scale."""
    tensors = {}
    for name, tensor in stored.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in stored:
            continue
        scale = stored.get(f"{name}{SCALE}")
        if scale is not None or tensor.dtype == torch.int8:
            if scale is None or tensor.dtype != torch.int8 or scale.dim() != tensor.dim() or not scale.isfinite().all():
                raise ValueError(f"{name}: 8 bits and their scale do not fit")
            tensors[name] = tensor.float() * scale.float()
        else:
            tensors[name] = tensor.float() if tensor.is_floating_point() else tensor
    return tensors


def round_as_stored(networks: nn.Module, storage: str) -> None:
    """Give networks the weights that they will have after they were written and read."""
    networks.load_state_dict(from_stored(to_stored(networks, storage)))
