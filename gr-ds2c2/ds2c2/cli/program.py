# SPDX-License-Identifier: GPL-3.0-or-later
"""All commands together, and what becomes of their errors."""

import errno
import gc
import logging
import sys
from typing import Annotated

import typer

from ds2c2 import __version__
from ds2c2.cli import (
    benchmark,
    compare,
    demo,
    doctor,
    evaluate,
    info,
    key,
    merge,
    pack,
    receive,
    report,
    send,
    serve,
    study,
    sweep,
    trace,
    traceconvert,
    tracefit,
    tracemerge,
    train,
    trunks,
    update,
)
from ds2c2.cli.terminal import Terminal
from ds2c2.errors import ExitCode, UserError
from ds2c2.files import no_room, unwritable

# Of names that are given to be read: too long, or in a folder that is closed to us.
NO_NAMES = {errno.ENAMETOOLONG, errno.EACCES}


def say_version(asked: bool) -> None:
    """For a report of what went wrong, and for packagers."""
    if asked:
        typer.echo(f"ds2c2 {__version__}")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=say_version, help="Print the version, and end.")
    ] = False,
) -> None:
    """Pictures over packet links that degrade gently (DS²C²)."""


for command in (
    demo.demo, send.send, receive.receive, merge.merge, info.info, key.key, doctor.doctor, train.train, update.update,
    pack.pack, trunks.trunks, evaluate.evaluate, benchmark.benchmark, report.report, compare.compare, sweep.sweep,
    study.study,
):  # fmt: skip
    app.command()(command)
app.add_typer(serve.serve_app, name="serve")
# Commands of a group stand in modules of their own, which put them there when they are imported.
for module in (tracefit, traceconvert, tracemerge):
    assert module.trace_app is trace.trace_app
app.add_typer(trace.trace_app, name="trace")


def main() -> None:
    """Run a command; a ``UserError`` becomes one line on stderr and its exit code."""
    logging.getLogger("ds2c2").handlers = [LogLines()]
    code = _run()
    # What a failed command had open goes before Python ends: a progress bar that is closed only then waits for its
    # thread, which from 3.13 on fails or never returns.
    gc.collect()
    sys.exit(code)


class LogLines(logging.Handler):
    """What the library says that is no error, a line each on the standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        Terminal(stderr=True).print(record.getMessage(), markup=False)


def _run() -> int:
    """The exit code of a command that failed; one that did not ends the program itself."""
    try:
        app(prog_name="ds2c2")  # run as a module, too: completion is for the command
    except UserError as error:
        Terminal(stderr=True).print(f"ds2c2: {error}", markup=False)
        return error.exit_code
    except ModuleNotFoundError as error:
        # Ours is a fault of ours; anyone else's is a package that this installation lacks.
        if (error.name or "ds2c2").partition(".")[0] == "ds2c2":
            raise
        Terminal(stderr=True).print(
            f"ds2c2: no Python package {error.name!r} here; `ds2c2 doctor` says how to get what is missing",
            markup=False,
        )
        return ExitCode.OTHER
    except OSError as error:
        if no_room(error):
            line = str(unwritable(error.filename or "a file", error))
        elif error.errno in NO_NAMES and error.filename:
            line = f"{error.filename}: cannot be looked at ({error.strerror}); name another file"
        else:
            raise
        Terminal(stderr=True).print(f"ds2c2: {line}", markup=False)
        return ExitCode.PLACE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return 0
