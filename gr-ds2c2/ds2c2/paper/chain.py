# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture through the paper's networks step by step, without packets: c and s arrive as they are.

Judging, tables and figures are made with it. c and s are counted as the base layer codes them
without loss; r takes exactly C / 4^d bit per pixel.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ds2c2.codec.labelcoder import encode_labels
from ds2c2.codec.smallpicture import encode_lossless
from ds2c2.networks.binarizer import binarize
from ds2c2.networks.layers import clamp_pixels
from ds2c2.networks.paper import PaperNetworks
from ds2c2.pictures.pictures import to_picture, to_tensor

BITS_A_BYTE = 8
NO_LIMIT = 1 << 30  # bytes for a label map


@dataclass(frozen=True)
class SentPicture:
    """What the sender has of a picture.

    Args:
        original: x, ``uint8[H, W, 3]``
        labels: s, ``uint8[H, W]``, what belongs to no class is void
        small: c as a picture, ``uint8[H/8, W/8, 3]``
        steps: c' and x'_1, x'_2, ..., each ``(1, 3, H, W)`` in [-1, 1]; the last one is x'
        symbols: ``(1, C, H/2^d, W/2^d)`` in {-1, +1}
        c_bits, s_bits: of c and s coded without loss; 0 where x-hat does not depend on them
    """

    original: np.ndarray
    labels: np.ndarray
    small: np.ndarray
    steps: list[Tensor]
    symbols: Tensor
    c_bits: int
    s_bits: int

    @property
    def base(self) -> Tensor:
        """x'"""
        return self.steps[-1]

    @property
    def r_bits(self) -> int:
        return self.symbols.numel()

    @property
    def bits(self) -> int:
        """Of c, s and r."""
        return self.c_bits + self.s_bits + self.r_bits


@dataclass(frozen=True)
class ReceivedPicture:
    """What the receiver has: r-hat ``(1, 3, H, W)``; x' + r-hat, which is SumNet's start, and x-hat,
    both as pictures ``uint8[H, W, 3]``."""

    residual: Tensor
    sum: np.ndarray
    picture: np.ndarray


@torch.inference_mode()
def send_picture(networks: PaperNetworks, picture: np.ndarray, labels: np.ndarray) -> SentPicture:
    """Encode ``uint8[H, W, 3]`` with its label map ``uint8[H, W]``; sides multiples of ``shape.cell``."""
    device = next(networks.parameters()).device
    pixels = to_tensor(picture).to(device)
    known = networks.one_hot(torch.tensor(labels)[None].to(device))
    small = networks.small(known, pixels)
    steps = networks.base_pictures(known, small)
    symbols = binarize(networks.latents(pixels, steps[-1]).float())
    c = to_picture(small)
    shape = networks.shape
    c_bits = BITS_A_BYTE * len(encode_lossless(c)) if shape.needs_base else 0
    s_bits = BITS_A_BYTE * len(encode_labels(labels, NO_LIMIT)) if shape.needs_base and shape.classes else 0
    return SentPicture(picture, labels, c, steps, symbols, c_bits, s_bits)


@torch.inference_mode()
def receive_picture(networks: PaperNetworks, sent: SentPicture, received: Tensor) -> ReceivedPicture:
    """Decode received symbols in {-1, 0, +1}, of the shape of ``sent.symbols``."""
    residual = networks.residual(received, sent.base)
    picture = to_picture(networks.picture(residual, sent.base))
    return ReceivedPicture(residual, to_picture(clamp_pixels(sent.base + residual)), picture)
