# SPDX-License-Identifier: GPL-3.0-or-later
"""Training: crops of a folder's pictures, draws of rate and loss, the loop, the card."""
