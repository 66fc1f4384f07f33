# SPDX-License-Identifier: GPL-3.0-or-later
"""A port of loopback that nobody uses."""

import socket


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
