# SPDX-License-Identifier: GPL-3.0-or-later
"""Quality of a received picture: PSNR (scikit-image) and MS-SSIM (pytorch-msssim)."""

import numpy as np

# Five scales of an 11-tap window need more than (11 - 1) * 2^4 pixels a side.
MS_SSIM_MIN_SIDE = 161


def psnr(original: np.ndarray, received: np.ndarray) -> float:
    """PSNR in dB over all samples of two ``uint8[H, W, 3]``; infinite for equal pictures."""
    from skimage.metrics import peak_signal_noise_ratio

    if np.array_equal(original, received):
        return float("inf")
    return float(peak_signal_noise_ratio(original, received, data_range=255))


def ms_ssim(original: np.ndarray, received: np.ndarray) -> float:
    """MS-SSIM of two ``uint8[H, W, 3]`` on RGB (Wang, Simoncelli, Bovik 2003); not a number
    for pictures with a side below 161 pixels, where its five scales do not exist."""
    import torch
    from pytorch_msssim import ms_ssim as compute

    if min(original.shape[:2]) < MS_SSIM_MIN_SIDE:
        return float("nan")
    first, second = (torch.tensor(p).permute(2, 0, 1)[None].float() for p in (original, received))
    return float(compute(first, second, data_range=255))
