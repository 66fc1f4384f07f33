# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and levels that both ends share, whatever the networks between them."""

# One latent vector, or one transform, covers a cell of CELL x CELL pixels.
CELL = 16
# c, the small picture of the base layer, is this many times smaller each way.
REDUCTION = 8
# 8-bit levels per unit of a pixel in [-1, 1].
LEVELS = 127.5
# What a receiver shows that has nothing: the middle of the scale, in 8-bit levels.
MID_GREY = 128
