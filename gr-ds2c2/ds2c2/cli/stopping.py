# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending what has no end of its own."""

import signal


class Terminated(KeyboardInterrupt):
    """SIGTERM where it ends a command as Ctrl-C does, with an exit code of its own."""


def interrupt_when_told() -> None:
    """SIGTERM is as Ctrl-C from now on: what was received so far is kept. A second one ends it at once."""

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated

    signal.signal(signal.SIGTERM, stop)


def until_signalled(host) -> None:  # noqa: ANN001 - anything with stop()
    """SIGTERM or Ctrl-C ends it in good order, a second one at once."""

    def stop(number: int, _frame: object) -> None:
        host.stop()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
