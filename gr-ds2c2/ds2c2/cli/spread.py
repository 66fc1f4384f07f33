# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands take, as value objects: each option stands once, in a dataclass.

The fields of such a dataclass are annotated as typer wants it. A command that is decorated with ``takes`` has all of
them on its command line and gets them as one object, so a new option is a new field and no command changes.
"""

import copy
import functools
import inspect
from collections.abc import Callable
from dataclasses import field, fields, make_dataclass
from typing import Annotated, Any, get_args


def takes(**kinds: type) -> Callable:
    """Give a command the options of each kind, which it gets in the argument of that name:
    ``@takes(stream=StreamOptions)`` for ``def command(stream: StreamOptions)``."""

    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)
        def run(*args, **values):
            made = {
                name: kind(**{entry.name: values.pop(entry.name) for entry in fields(kind)})
                for name, kind in kinds.items()
            }
            return command(*args, **values, **made)

        own = [each for each in inspect.signature(command).parameters.values() if each.name not in kinds]
        theirs = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for kind in kinds.values()
            for each in inspect.signature(kind).parameters.values()
        ]
        run.__signature__ = inspect.Signature([*own, *theirs])
        run.__annotations__ = {each.name: each.annotation for each in (*own, *theirs)} | {"return": None}
        return run

    return decorate


def changed(
    kind: type, without: tuple[str, ...] = (), more_help: dict[str, str] | None = None, **defaults: Any
) -> type:
    """Options of a kind for a command that has other defaults, says more of some, or has some in a way of its own."""
    more_help = more_help or {}
    kept = [
        (
            entry.name,
            _saying(entry.type, more_help.get(entry.name, "")),
            field(default=defaults.get(entry.name, entry.default)),
        )
        for entry in fields(kind)
        if entry.name not in without
    ]
    methods = {
        name: value
        for base in reversed(kind.__mro__[:-1])
        for name, value in vars(base).items()
        if inspect.isfunction(value) and not name.startswith("__")
    }
    return make_dataclass(kind.__name__, kept, namespace=methods, frozen=True)


def _saying(annotated: Any, more: str) -> Any:
    """The annotation of an option with more in its help."""
    if not more:
        return annotated
    kind, option = get_args(annotated)
    option = copy.copy(option)
    option.help = f"{option.help} {more}"
    return Annotated[kind, option]
