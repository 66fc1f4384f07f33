# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks small enough for tests, the real structure with few channels, and files of their random weights."""

from pathlib import Path

BINARY = {
    "fine_width": 8,
    "fine_blocks": 1,
    "widths": (8, 8, 8),
    "encoder_blocks": (0, 1, 1),
    "decoder_blocks": (1, 1, 1),
    "sum_width": 4,
    "sum_blocks": 1,
}
CODED = {
    "fine_width": 8,
    "fine_blocks": 1,
    "luma": 24,
    "chroma": 8,
    "widths": (8, 8, 8),
    "encoder_blocks": (1, 1, 1),
    "decoder_blocks": (1, 1, 1),
    "scale_width": 16,
}
# 0.25 bit per pixel in cells of 8 pixels.
PAPER = {
    "label_set": "camvid",
    "width": 4,
    "fine_blocks": 1,
    "depth": 3,
    "channels": 16,
    "latent_width": 8,
    "sum_width": 4,
    "sum_blocks": 1,
    "disc_width": 4,
}
SEGNET = {"widths": (4, 4, 8), "blocks": (1, 1, 1)}


def write_tiny_models(folder: Path) -> Path:
    """``binary``, ``coded``, ``paper`` and ``segnet-camvid`` of random weights, always the same."""
    import torch

    from ds2c2.networks.binary import BinaryNetworks, BinaryShape
    from ds2c2.networks.coded import CodedNetworks, CodedShape
    from ds2c2.networks.paper import PaperNetworks, PaperShape
    from ds2c2.networks.segnet import SegNet, SegNetShape
    from ds2c2.networks.weights import save_weights

    for name, networks, shape in (
        ("binary", BinaryNetworks, BinaryShape(**BINARY)),
        ("coded", CodedNetworks, CodedShape(**CODED)),
        ("paper", PaperNetworks, PaperShape(**PAPER)),
        ("segnet-camvid", SegNet, SegNetShape(**SEGNET)),
    ):
        torch.manual_seed(1)
        save_weights(folder / f"{name}.safetensors", networks(shape), {})
    return folder
