# SPDX-License-Identifier: GPL-3.0-or-later
"""The same pictures through a recorded link and through its emulations."""
