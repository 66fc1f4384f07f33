# SPDX-License-Identifier: GPL-3.0-or-later
"""A table with its panels, its caption and its files: Markdown to read, JSON to compute with."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from ds2c2.files import write_text

Cell = str | float | int | None
NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A heading, and how numbers are written, as ``format`` has it; None becomes a dash."""

    heading: str
    form: str = ""


@dataclass(frozen=True)
class Panel:
    """Rows under one set of headings."""

    title: str
    columns: tuple[Column, ...]
    rows: list[list[Cell]]

    def texts(self) -> list[list[str]]:
        """Rows as they are shown."""
        return [
            [
                NOTHING if cell is None else cell if isinstance(cell, str) else format(cell, column.form)
                for cell, column in zip(row, self.columns, strict=True)
            ]
            for row in self.rows
        ]


@dataclass(frozen=True)
class PaperTable:
    """One of the paper's tables, measured.

    Args:
        name: of its files
        title: in words
        panels: ours first; the paper's own figures in panels of their own
        notes: what must be known to read it, a sentence or two each
        plots: PNG files that belong to it
    """

    name: str
    title: str
    panels: list[Panel]
    notes: list[str] = field(default_factory=list)
    plots: list[Path] = field(default_factory=list)

    def markdown(self, caption: list[str]) -> str:
        lines = [f"# {self.title}", ""]
        for panel in self.panels:
            lines += [f"## {panel.title}", ""]
            lines.append(f"| {' | '.join(column.heading for column in panel.columns)} |")
            lines.append("|---" * len(panel.columns) + "|")
            lines += [f"| {' | '.join(row)} |" for row in panel.texts()]
            lines.append("")
        for plot in self.plots:
            lines += [f"![{self.title}]({plot.name})", ""]
        lines += [f"* {note}" for note in [*self.notes, *caption]]
        return "\n".join([*lines, ""])

    def as_dict(self, caption: list[str]) -> dict:
        panels = [{"title": p.title, "headings": [c.heading for c in p.columns], "rows": p.rows} for p in self.panels]
        return {"name": self.name, "title": self.title, "panels": panels, "notes": [*self.notes, *caption]}

    def write(self, folder: Path, caption: list[str]) -> list[Path]:
        """Write ``NAME.md`` and ``NAME.json``, each whole or not at all. Raises ``FileError``."""
        texts = {
            ".md": self.markdown(caption),
            ".json": json.dumps(self.as_dict(caption), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        }
        written = []
        for suffix, text in texts.items():
            written.append(write_text(folder / f"{self.name}{suffix}", text))
        return [*written, *self.plots]
