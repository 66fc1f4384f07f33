# SPDX-License-Identifier: GPL-3.0-or-later
"""Modems and radios in plain numpy, without GNU Radio: parameters, bursts, frames, recordings of samples."""
