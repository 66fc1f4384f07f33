# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole flowgraphs for programs: they run to their end and say how it went."""
