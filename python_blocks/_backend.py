# SPDX-License-Identifier: GPL-3.0-or-later
"""How Radio Sink and Radio Source open a back end: each brings libraries that the others do not need."""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from ds2c2.links.radiobackends import RadioBackend


@dataclass(frozen=True)
class RecordingNote:
    """What a recording says of its samples: the stream format's text form, or empty, and the configuration."""

    stream_format: str
    about: dict[str, str]


def open_backend(backend: RadioBackend) -> ModuleType:
    """The module with a back end's ``sink`` and ``source``: of this package, or a whole name elsewhere."""
    name = backend.module
    return import_module(f".{name}", __package__) if name.startswith("_") else import_module(name)


def first_line(error: Exception) -> str:
    """UHD and SoapySDR explain in many lines; the first one says it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip(" ->:").removesuffix(" for")
