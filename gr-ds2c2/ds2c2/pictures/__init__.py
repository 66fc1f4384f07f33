# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures in and out: files, quality, contact sheets, what label maps mean."""
