# SPDX-License-Identifier: GPL-3.0-or-later
"""What to change where a stream format does not fit: each change alone, and no more of it than helps."""

import itertools
from collections.abc import Callable, Iterable

RISING = ("bpp",)  # helps by more of it; all else by less


def changes_that_fit(now: dict[str, float], tried: dict[str, Iterable[float]], fits: Callable[..., bool]) -> list[str]:
    """Words for every name in ``tried`` of which some value fits.

    Args:
        now: the values as they are
        tried: for each name round values, from the smallest change to the largest
        fits: whether a format with that one value, given by its name, fits

    Of each name the value nearest to what is now is said, beyond which all others that were tried fit too.
    """
    words = []
    for name, values in tried.items():
        more = name in RISING
        further = [value for value in values if (value > now[name] if more else value < now[name])]
        fitting = itertools.takewhile(lambda value, name=name: fits(**{name: value}), reversed(further))
        if nearest := list(fitting)[-1:]:
            words.append(f"{name} {nearest[0]:g} or {'more' if more else 'less'}")
    return words
