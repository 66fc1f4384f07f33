# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of a stream: pictures to packets, packets to pictures."""
