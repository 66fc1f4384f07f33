# SPDX-License-Identifier: GPL-3.0-or-later
"""The reproduction of the paper: its networks' training, tables, ablations and figures."""
