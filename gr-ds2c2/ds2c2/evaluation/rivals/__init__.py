# SPDX-License-Identifier: GPL-3.0-or-later
"""The codecs that ours is measured against."""
