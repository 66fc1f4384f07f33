# SPDX-License-Identifier: GPL-3.0-or-later
"""The name that scripts and flowgraphs made with version 0.1 import; see ``ds2c2.transport.packetsource``."""

from ds2c2.transport.packetsource import *  # noqa: F403
