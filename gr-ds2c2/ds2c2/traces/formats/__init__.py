# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of other tools as loss traces: a module for each format, ``table`` names them all."""
