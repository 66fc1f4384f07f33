# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that come one after the other: films, cameras, addresses, the standard input, folders that grow."""
