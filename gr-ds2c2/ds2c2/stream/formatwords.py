# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a stream format's text form: numbers as they are written there, and what differs between two texts."""

import re
from fractions import Fraction


def whole(text: str) -> int:
    """A whole number in ASCII digits: ``int`` takes those of other scripts too, and 1_000. Raises ``ValueError``."""
    if not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError
    return int(text)


def number(text: str) -> float:
    """The same of ``float``, which takes nan, too. Raises ``ValueError``."""
    if not re.fullmatch(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", text):
        raise ValueError
    return float(text)


def exact(value: float) -> Fraction:
    """The decimal that the text form shows: both ends count blocks from it without rounding."""
    return Fraction(f"{value:.6g}")


READERS = {int: whole, float: number, str: str}


def differences(text: str, other: str) -> str:
    """The words in which two text forms differ: ``seed=1 and not seed=2``."""
    mine, theirs = text.split(), other.split()
    one, two = ([word for word in words if word not in those] for words, those in ((mine, theirs), (theirs, mine)))
    return f"{' '.join(one) or 'nothing more'} and not {' '.join(two) or 'nothing more'}"
