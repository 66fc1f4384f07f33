# SPDX-License-Identifier: GPL-3.0-or-later
"""Emulated losses, of packets and of symbols."""
