# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that are a user's to mend: one line that names what is wrong and the remedy; and all exit codes."""

import unicodedata
from enum import IntEnum


def printable(text: str) -> str:
    """What others named or sent, for a terminal or a log: control characters, line ends, and what turns or hides text
    are escaped as Python writes them, and bytes of a name that are no text too."""
    return "".join(
        sign if sign.isprintable() or unicodedata.category(sign) == "Zs" else ascii(sign)[1:-1] for sign in text
    )


class ExitCode(IntEnum):
    """What a command ends with, each for one kind of cause; docs/exit-codes.md has the same table."""

    DONE = 0
    OTHER = 1  # what none of the others says; also doctor's, where something required is missing
    USAGE = 2  # words of the command line that are not understood
    PICTURE = 3
    FORMAT = 4
    WEIGHTS = 5
    DEVICE = 6
    PLACE = 7  # a file, port or address that cannot be opened, read or written
    LOSSES = 8  # a trace, an emulated channel, a model of losses
    NOTHING_RECEIVED = 9
    RADIO = 10  # settings of a radio, a modem or the simulated air
    MEASUREMENT = 11
    TRAINING = 12
    INTERRUPTED = 130  # the shell's code for SIGINT
    TERMINATED = 143  # the shell's code for SIGTERM


class UserError(Exception):
    """Base of all errors a command prints as one line; ``exit_code`` is the process's."""

    exit_code = ExitCode.OTHER


class PictureError(UserError):
    """A picture that cannot be read, or is outside 64x64 to 4096x4096."""

    exit_code = ExitCode.PICTURE


class FormatError(UserError):
    """A stream format that cannot be: rate too low for the base layer, bad block size."""

    exit_code = ExitCode.FORMAT


class WeightsError(UserError):
    """Weights that are missing, truncated, or of another profile."""

    exit_code = ExitCode.WEIGHTS


class DeviceError(UserError):
    """A device that is asked for and is not there."""

    exit_code = ExitCode.DEVICE


class LinkError(UserError):
    """A link that cannot be opened: port in use, address that is not ours."""

    exit_code = ExitCode.PLACE


class NothingReceived(LinkError):
    """A receiving end that got no packet of its stream, or none at all."""

    exit_code = ExitCode.NOTHING_RECEIVED


class FileError(UserError):
    """A file that cannot be written: no such folder, no right to, no space left."""

    exit_code = ExitCode.PLACE
