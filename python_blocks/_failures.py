# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors inside a flowgraph: one line, the graph ends, the process says so with its exit code.

GNU Radio leaves a graph hanging when a Python ``work`` raises. So every work function is
guarded: the error is written as one line, kept here, and WORK_DONE ends the graph. Scripts
that GRC generates never look; from the first error on, the exit code is therefore set when the process
leaves, unless the errors are cleared. A process in which no block fails is left alone.
"""

import atexit
import functools
import os
import sys
import traceback

from ds2c2.errors import UserError, printable

WORK_DONE = -1

_failures: list[Exception] = []
_raised_later = False


def errors() -> list[Exception]:
    """Errors of blocks in this process, oldest first."""
    return list(_failures)


def exit_code() -> int:
    """Exit code of the first error, 0 when there was none."""
    if not _failures:
        return 0
    first = _failures[0]
    return first.exit_code if isinstance(first, UserError) else 1


def clear_errors(raised_later: bool = False) -> None:
    """Forget the errors: whoever calls this has dealt with them. ``raised_later``: whoever calls this raises the
    first one of those to come, so that it is not said here as well."""
    global _raised_later
    _raised_later = raised_later
    _failures.clear()
    atexit.unregister(_leave)


def say(name: str, message: str) -> None:
    """One line of a block on stderr."""
    print(printable(f"{name}: {message}"), file=sys.stderr, flush=True)


def record(name: str, error: Exception) -> None:
    """Report an error of a block and keep it; what is not a user's to mend shows its traceback."""
    if not _failures:
        # The last to be registered runs first; a process that ends by us has nobody after it.
        atexit.register(_leave)
    _failures.append(error)
    if isinstance(error, UserError):
        if not _raised_later or len(_failures) > 1:
            say(name, str(error))
    else:
        say(name, f"{type(error).__name__}: {error}")
        traceback.print_exception(error)


def guarded(work):
    """Decorate a work function: an error in it ends the flowgraph instead of hanging it."""

    @functools.wraps(work)
    def inner(self, *args):
        try:
            return work(self, *args)
        except Exception as error:
            record(self.name(), error)
            return WORK_DONE

    return inner


def say_uncaught() -> None:
    """From now on a ``UserError`` that nobody catches is one line and its exit code: a constructor of ours has
    raised one."""
    global _previous_hook
    if sys.excepthook is not _hook:
        _previous_hook, sys.excepthook = sys.excepthook, _hook


def _leave() -> None:
    if _failures:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code())


def _hook(kind, error, trace) -> None:
    if isinstance(error, UserError):
        record("ds2c2", error)
    else:
        _previous_hook(kind, error, trace)


_previous_hook = sys.excepthook
