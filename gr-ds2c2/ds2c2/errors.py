# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that are a user's to mend: one line that names what is wrong and the remedy."""


class UserError(Exception):
    """Base of all errors a command prints as one line; ``exit_code`` is the process's."""

    exit_code = 1


class PictureError(UserError):
    """A picture that cannot be read, or is outside 64x64 to 4096x4096."""

    exit_code = 3


class FormatError(UserError):
    """A stream format that cannot be: rate too low for the base layer, bad block size."""

    exit_code = 4


class WeightsError(UserError):
    """Weights that are missing, truncated, or of another profile."""

    exit_code = 5


class DeviceError(UserError):
    """A device that is asked for and is not there."""

    exit_code = 6


class LinkError(UserError):
    """A link that cannot be opened: port in use, address that is not ours."""

    exit_code = 7
