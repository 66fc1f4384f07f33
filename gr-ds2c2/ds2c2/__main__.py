# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m ds2c2``."""

from ds2c2.cli.program import main

main()
