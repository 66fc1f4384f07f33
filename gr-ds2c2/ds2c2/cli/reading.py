# SPDX-License-Identifier: GPL-3.0-or-later
"""How a trace of another tool is read: the options of every command that takes one."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal, get_type_hints

import typer
from rich.console import Console

PANEL = "A trace of another tool (what is not said is guessed and told, but never what 0 and 1 mean)"
MOST_WORDS = 12  # lines about a reading; a folder has many


def _option(kind, help_: str, *names: str, metavar: str | None = None, min: int | None = None):  # noqa: A002 - typer's
    return Annotated[kind, typer.Option(*names, help=help_, rich_help_panel=PANEL, metavar=metavar, min=min)]


@dataclass(frozen=True)
class ReadingOptions:
    """See ``ds2c2.traces.formats.content.Reading``."""

    form: _option(str, "Its format, a name from docs/traces.md.", "--as", metavar="FORMAT") = ""
    lost: _option(Literal["", "0", "1"], "The digit that means lost.", "--lost") = ""
    fate: _option(str, "Column that says whether a packet was lost.", metavar="COLUMN") = ""
    sequence: _option(str, "Column of the packets' numbers.", metavar="COLUMN") = ""
    time: _option(str, "Column of times.", metavar="COLUMN") = ""
    snr: _option(str, "Column of SNRs, dB.", metavar="COLUMN") = ""
    group_by: _option(
        list[str] | None, "Column that tells links apart; may be repeated; '' for none.", metavar="COLUMN"
    ) = None
    wrap: _option(int | None, "Numbers begin anew at 0 after so many; 0: never.", min=0) = None
    step: _option(int | None, "By how much numbers go up a packet.", min=1) = None
    first_number: _option(int | None, "Number of the first packet that was sent.", min=0) = None
    counter: _option(
        str, "Where packets of a capture have their number: byte, length, and le for little-endian.",
        metavar="OFFSET:BYTES[:le]",
    ) = ""  # fmt: skip
    stream_format: _option(str, "Stream format of ds2c2's own packets in a capture.", "--format", metavar="TEXT") = ""
    within: _option(
        Literal["", "start", "spread"], "Where losses of an interval are put of which only the total is known (iperf3)."
    ) = ""
    link: _option(str, "Which link, where there are several.", metavar="NAME") = ""
    total: _option(int | None, "Packets in all, of a list of lost ones.", min=1) = None

    def reading(self):  # noqa: ANN201 - Reading; numpy is not imported here
        """As the library takes it."""
        from ds2c2.traces.losstrace import Reading

        names = {"group_by": "group", "first_number": "first"}
        values = {names.get(one.name, one.name): getattr(self, one.name) for one in fields(ReadingOptions)}
        return Reading(**values | {"group": tuple(values["group"] or ())})

    def words(self) -> list[str]:
        """The options again, as a command line has them."""
        found = []
        for one, kind in get_type_hints(ReadingOptions, include_extras=True).items():
            value = getattr(self, one)
            names = kind.__metadata__[0].param_decls or (f"--{one.replace('_', '-')}",)
            for each in value if isinstance(value, list) else [] if value in ("", None) else [value]:
                found += [names[0], str(each)]
        return found


def say(console: Console, said: list[str]) -> None:
    """What was guessed, counted and left out."""
    for words in said[:MOST_WORDS]:
        console.print(words, markup=False)
    if len(said) > MOST_WORDS:
        console.print(f"and {len(said) - MOST_WORDS} lines more of that kind")


def read_one(path: str, options: ReadingOptions, console: Console):  # noqa: ANN201
    """The one link that is asked for, and tells what was guessed. Raises ``TraceError``."""
    from ds2c2.traces.losstrace import read_links, single

    links = read_links(path, options.reading())
    trace = single(path, links)
    say(console, links.said)
    return trace
