# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets in and out: sockets, recordings, and the sources that receivers read."""
