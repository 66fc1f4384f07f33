# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, ``ds2c2``: one command a file, each a thin hand on the library."""
