# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss traces in and out: of a file of any known format, of a folder of them, and to our own format.

``formats.table`` has every format that is read; docs/traces.md has a table of them.
"""

from dataclasses import replace
from pathlib import Path

from ds2c2.errors import printable
from ds2c2.files import make_folder, write_text
from ds2c2.traces.formats.content import Content, Links, Reading
from ds2c2.traces.formats.own import KEY, MAGIC, VERSION, as_text
from ds2c2.traces.formats.table import FORMATS
from ds2c2.traces.packetfates import (
    COLUMNS,
    CRC_FAIL,
    DUPLICATE,
    HOST_DROP,
    MISSED,
    OK,
    REALS,
    STATUSES,
    LossTrace,
    TraceError,
)

# The trace's own names too: scripts import all from here.
__all__ = [
    "COLUMNS",
    "CRC_FAIL",
    "DUPLICATE",
    "FORMATS",
    "HOST_DROP",
    "KEY",
    "MAGIC",
    "MISSED",
    "OK",
    "REALS",
    "STATUSES",
    "VERSION",
    "Links",
    "LossTrace",
    "Reading",
    "TraceError",
    "read_links",
    "read_trace_file",
    "single",
    "write_trace",
]
LIST = "; a list of the lost packets' numbers is read with --total PACKETS"
NAMED = 5  # links that an error names


def write_trace(path: str | Path, trace: LossTrace) -> Path:
    """Write a trace, whole or not at all. Raises ``TraceError`` for keys, ``FileError`` for the place."""
    path = Path(path)
    text = as_text(path, trace)
    make_folder(path.parent)
    return write_text(path, text)


def read_links(path: str | Path, reading: Reading | None = None) -> Links:
    """Every link in a file of any format of ``formats.table``, or in the files of a folder, by their names.

    What had to be guessed, left out or counted is in ``said``. Raises ``TraceError`` that names the file and,
    where one is to blame, its line.
    """
    reading = reading or Reading()
    path = Path(path)
    if path.is_dir():
        return _folder(path, reading)
    if reading.form and reading.form not in FORMATS:
        raise TraceError(f"format {reading.form!r} of a loss trace is unknown; choose one of {', '.join(_names())}")
    content = Content(path)
    # Nothing but a list of lost packets leaves their number open.
    form = reading.form or ("indices" if reading.total is not None else "")
    if form:
        links = FORMATS[form].read(content, reading)
    else:
        found = next((form for form in FORMATS.values() if form.knows(content)), None)
        if found is None:
            if content.data and not content.text:
                raise TraceError(f"{path}: neither text nor {_known()}")
            if not content.text.strip():
                raise TraceError(f"{path}: is empty; a trace of at least one packet is wanted")
            raise TraceError(f"{path}: a loss trace holds 0 (arrived) and 1 (lost), one a line, or is {_known()}{LIST}")
        links = found.read(content, reading)
        if found.name != "trace":
            links.said.insert(0, f"read as {found.what}")
    for trace in links.traces.values():
        if links.said:
            trace.about = {"source": printable(path.name)} | trace.about
    if reading.link:
        if reading.link not in links.traces:
            raise TraceError(f"{path}: no link {reading.link!r} in it; it has {_named(links)}")
        links.traces = {reading.link: links.traces[reading.link]}
    return links


def read_trace_file(path: str | Path, reading: Reading | None = None) -> LossTrace:
    """The one link of a file as ``read_links`` finds it.

    Raises ``TraceError``, also where there are several and ``reading.link`` names none.
    """
    return single(path, read_links(path, reading))


def single(path: str | Path, links: Links) -> LossTrace:
    """The only link. Raises ``TraceError`` where there are several."""
    if len(links.traces) > 1:
        raise TraceError(
            f"{path}: {len(links.traces)} links in it: {_named(links)}; choose one with --link, or make a trace of it "
            "with `ds2c2 trace convert --link NAME`"
        )
    return next(iter(links.traces.values()))


def _names() -> list[str]:
    """Of the formats that are read."""
    return [name for name in FORMATS if name != "totals"]


def _known() -> str:
    return f"in one of these formats: {', '.join(_names())}"


def _named(links: Links) -> str:
    names = [name or "one without a name" for name in links.traces]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _folder(folder: Path, reading: Reading) -> Links:
    """The links of all files in a folder that can be read."""
    found = Links({})
    inner = replace(reading, link="")
    files = sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))
    failed = []
    for file in files:
        try:
            links = read_links(file, inner)
        except TraceError as error:
            failed.append(str(error))
            continue
        found.said += [f"{file.name}: {words}" for words in links.said]
        for place, (name, trace) in enumerate(links.traces.items()):
            name = "/".join(part for part in (file.name, name) if part)
            found.add(folder, name, trace, 0 if place else links.read)
    if not found.traces:
        why = f"; the first: {failed[0]}" if failed else ""
        raise TraceError(f"{folder}: no loss trace in this folder of {len(files)} files{why}")
    found.said += [f"left out: {words}" for words in failed]
    if reading.link:
        if reading.link not in found.traces:
            raise TraceError(f"{folder}: no link {reading.link!r} in it; it has {_named(found)}")
        found.traces = {reading.link: found.traces[reading.link]}
    return found
