# SPDX-License-Identifier: GPL-3.0-or-later
"""The perceptual distances that are measured together on request, by the names they have in results."""

# 0 for equal pictures, larger is worse.
DISTANCES = {"lpips_alex": "LPIPS (AlexNet)", "lpips_vgg": "LPIPS (VGG16)", "dists": "DISTS"}


def key(name: str) -> str:
    """A distance's name among CompressAI's: ``lpips-alex``."""
    return name.replace("_", "-")
