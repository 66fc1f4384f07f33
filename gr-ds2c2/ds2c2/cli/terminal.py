# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands print: no name of a file and no word of a peer or a file moves the cursor or forges a line."""

from typing import Any

from rich import console, table
from rich.text import Text

from ds2c2.errors import printable


class Terminal(console.Console):
    """Prints a string as the one line that it is: control characters escaped, brackets no markup unless asked."""

    def __init__(self, stderr: bool = False, **more: Any):
        console.Console.__init__(self, stderr=stderr, **{"highlight": False, "soft_wrap": True} | more)

    def print(self, *objects: Any, markup: bool = False, **more: Any) -> None:
        shown = (printable(one) if isinstance(one, str) else one for one in objects)
        console.Console.print(self, *shown, markup=markup, **more)


class Table(table.Table):
    """The same of its title, caption, headings and cells; a cell may have several lines."""

    def __init__(self, *headers: str, title: str | None = None, caption: str | None = None, **more: Any):
        told = {
            name: text and Text(printable(text), style=f"table.{name}")
            for name, text in (("title", title), ("caption", caption))
        }
        table.Table.__init__(self, **told | more)
        for header in headers:  # rich takes no Text among its own headings
            self.add_column(header)

    def add_column(self, header: Any = "", *parts: Any, **more: Any) -> None:
        table.Table.add_column(self, _cell(header), *parts, **more)

    def add_row(self, *cells: Any, **more: Any) -> None:
        table.Table.add_row(self, *map(_cell, cells), **more)


def _cell(content: Any) -> Any:
    lines = content.split("\n") if isinstance(content, str) else None
    return content if lines is None else Text("\n".join(map(printable, lines)))
