# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reception looks like while it runs: for a page, a window, and whoever counts."""
