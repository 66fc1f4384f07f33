# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluation: the codec behind emulated channels, measured."""
