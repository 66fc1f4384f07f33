# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of each packet of a link, and the models of its losses."""
