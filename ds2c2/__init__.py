# SPDX-License-Identifier: GPL-3.0-or-later
"""DS²C²: pictures over packet links that degrade gently. See docs/ for the manual."""

__version__ = "0.1.0"
