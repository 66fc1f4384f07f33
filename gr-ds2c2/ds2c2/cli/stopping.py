# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending what has no end of its own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ds2c2.errors import ExitCode


class _Terminated(KeyboardInterrupt):
    """SIGTERM where it ends a command as Ctrl-C does, with an exit code of its own."""


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM is as Ctrl-C within: what was received so far is kept. A second one ends it at once."""

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except _Terminated:
        raise typer.Exit(ExitCode.TERMINATED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def until_signalled(host) -> None:  # noqa: ANN001 - anything with stop()
    """SIGTERM or Ctrl-C ends it in good order, a second one at once."""

    def stop(number: int, _frame: object) -> None:
        host.stop()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
