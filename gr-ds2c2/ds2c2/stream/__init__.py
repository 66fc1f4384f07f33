# SPDX-License-Identifier: GPL-3.0-or-later
"""What both ends agree on: stream format, order, packets, and how frames are put together again. Loads no torch."""
