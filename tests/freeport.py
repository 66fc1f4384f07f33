# SPDX-License-Identifier: GPL-3.0-or-later
"""A port of loopback that nobody uses, and nobody gets before the test that asked has it."""

import itertools
import os
import socket

# Below the ports that Linux gives away by itself (32768 to 60999): no sender anywhere gets one of these.
FIRST, PLACES = 20_000, 1_500
# Worker n of a run takes every eighth port: workers never meet. Where a process begins hangs on its
# number, so that two runs hardly ever do.
WORKERS = 8
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
_places = itertools.cycle((os.getpid() + place) % PLACES for place in range(PLACES))


def free_port() -> int:
    """For TCP and for UDP; the same one again only after 1500 others."""
    for place in itertools.islice(_places, PLACES):
        port = FIRST + WORKERS * place + _worker
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise AssertionError(f"no free port from {FIRST} on")
