# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending what has no end of its own."""

import signal


def until_signalled(host) -> None:  # noqa: ANN001 - anything with stop()
    """SIGTERM or Ctrl-C ends it in good order, a second one at once."""

    def stop(number: int, _frame: object) -> None:
        host.stop()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
