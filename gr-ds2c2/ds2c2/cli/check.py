# SPDX-License-Identifier: GPL-3.0-or-later
"""One finding of the doctor's, and what the findings together are worth."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One finding.

    Args:
        name: what was looked at
        ok: nothing is to be mended here
        found: what is there, or the cause of what is not
        remedy: what to do, empty when ``ok``
        required: the module does not work without it
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    required: bool = True


def exit_code(checks: Iterable[Check]) -> int:
    """0 when everything required is there, else 1."""
    return int(any(check.required and not check.ok for check in checks))
