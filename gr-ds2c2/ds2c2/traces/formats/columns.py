# SPDX-License-Identifier: GPL-3.0-or-later
"""CSV and JSON with named columns: every packet with its fate, or only those that arrived, with their numbers.

Columns are known by the names that tools give them; each can be named instead (``Reading``).
"""

import csv
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import compress
from typing import Any

import numpy as np

from ds2c2.traces.formats.arrivals import trace_of
from ds2c2.traces.formats.content import Content, Format, Links, Reading
from ds2c2.traces.packetfates import TraceError, shown

# What tools call them, the surest first; in small letters, with _ for every other sign.
SEQUENCE = (
    "sequence", "seq", "seqno", "seq_no", "seqnum", "seq_num", "sequence_number", "sequencenumber", "rtp_seq",
    "packet_id", "packetid", "pkt_id", "packet_number", "packet_no", "packet", "fcnt", "f_cnt", "counter",
    "frame_counter", "frame_number", "frame", "count", "index", "id",
)  # fmt: skip
LOST = ("lost", "loss", "is_lost", "missing", "missed", "erased", "erasure", "dropped")
RECEIVED = ("received", "is_received", "recv", "arrived", "delivered", "success", "rx_ok", "rx", "ok")
GROUP = (
    "link", "device", "device_id", "deviceid", "device_name", "devicename", "end_device_id", "node", "node_id",
    "nodeid", "dev_id", "dev_eui", "deveui", "dev_addr", "devaddr", "serial", "callsign", "rtp_ssrc", "ssrc", "sender",
    "station",
)  # fmt: skip
TIME = (
    "time", "timestamp", "datetime", "time_s", "time_ms", "time_us", "time_ns", "frame_time_epoch", "received_at",
    "receivedat", "t",
)  # fmt: skip
SNR = ("snr", "snr_db", "lora_snr", "lsnr")
KNOWN = {*SEQUENCE, *LOST, *RECEIVED}
UNITS = {"_ns": 1e-9, "_us": 1e-6, "_ms": 1e-3}  # seconds
TRUE, FALSE = {"1", "true", "yes", "y", "t", "1.0"}, {"0", "false", "no", "n", "f", "0.0"}
MOST_DEPTH = 8  # of objects inside objects; The Things Network's go to 4
SHOWN = 6  # names of columns that an error repeats
MOST_EMPTY = 64  # cells of a table of JSON objects for each one that is there

Columns = dict[str, Sequence[Any]]


def table(content: Content) -> Columns | None:
    """The columns of a file by their names, None where it has none. Raises ``TraceError`` for rows of another
    length than the header, a header alone and names that stand in it twice."""
    found = content.json
    if found is not None:
        return _of_json(found)
    numbered = [
        (number, line) for number, line in enumerate(content.lines, 1) if line.strip() and not line.startswith("#")
    ]
    if not numbered:
        return None
    header = numbered[0][1]
    sign = max(",;\t", key=header.count)
    split = _words if not header.count(sign) else lambda line: next(csv.reader([line], delimiter=sign))
    try:
        names = [name.strip() for name in split(header)]
    except csv.Error:
        return None
    # Names begin with a letter; a row of numbers is no header.
    if not all(name[:1].isalpha() or name[:1] == "_" for name in names if name) or not any(names):
        return None
    if len(numbered) == 1:
        if not {*map(plain, names)} & KNOWN:
            return None  # one line of words may be anything
        raise TraceError(f"{content.path}: a header and no row below it: no packet to read")
    again = next((name for place, name in enumerate(names) if name and name in names[:place]), "")
    if again:
        raise TraceError(f"{content.path}: two columns are called {again!r}: give one of them another name")
    rows = []
    for number, line in numbered[1:]:
        try:
            row = split(line)
        except csv.Error as error:
            raise TraceError(f"{content.path}: line {number}: no row of a table ({error})") from None
        if len(row) != len(names):
            raise TraceError(f"{content.path}: line {number}: {len(row)} fields; the header names {len(names)}")
        rows.append(row)
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def _words(line: str) -> list[str]:
    return line.split()


def _of_json(found: Any) -> Columns | None:
    """Objects in a list, lists in an object, or either one level below."""
    if isinstance(found, dict):
        lists = {name: one for name, one in found.items() if isinstance(one, list) and one}
        if len({len(one) for one in lists.values()}) == 1 and not any(
            isinstance(one[0], dict | list) for one in lists.values()
        ):
            return lists
        inner = [one for one in lists.values() if isinstance(one[0], dict)]
        return _of_json(inner[0]) if len(inner) == 1 else None
    if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
        found = [_flat(one) for one in found]
        names = dict.fromkeys(name for one in found for name in one)
        if len(names) * len(found) > MOST_EMPTY * sum(map(len, found)):
            return None  # objects that have nothing in common are no table
        return {name: [one.get(name) for one in found] for name in names}
    return None


def _flat(one: dict, within: str = "", depth: int = 0) -> dict[str, Any]:
    """An object's values, those of objects inside it by names with dots."""
    if depth == MOST_DEPTH:
        return {}
    flat: dict[str, Any] = {}
    for name, value in one.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{within}{name}.", depth + 1)
        else:
            flat[within + name] = value
    return flat


def plain(name: str) -> str:
    """A column's name as the lists above have it."""
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_")


def last(name: str) -> str:
    """The same of a column's last part, where it was in an object inside another."""
    return plain(name.rpartition(".")[2])


class _Table:
    """Columns of one file, found by what is asked or by known names."""

    def __init__(self, path: Any, columns: Columns):
        self.path, self.columns = path, columns
        self.said: list[str] = []

    def find(self, what: str, asked: str, known: Sequence[str]) -> str:
        """Name of the column for ``what``, empty where there is none. Raises ``TraceError`` for one that is asked
        for and missing."""
        if asked:
            if asked not in self.columns:
                names = ", ".join(list(self.columns)[:SHOWN])
                raise TraceError(f"{self.path}: no column {asked!r}; it has {names}")
            return asked
        # Of an object inside another the last part of its name, if nothing else is called so.
        by_name = {last(name): name for name in reversed(self.columns)}
        by_name |= {plain(name): name for name in reversed(self.columns)}
        found = next((by_name[name] for name in known if name in by_name), "")
        if found:
            self.said.append(f"{what} from column {found} (guessed)")
        return found

    def without_holes(self, name: str) -> None:
        """Leave out the rows that have nothing in this column: other packets of a capture. Raises ``TraceError``
        where no row is left."""
        there = [cell is not None and str(cell).strip() != "" for cell in self.columns[name]]
        if all(there):
            return
        if not any(there):
            raise TraceError(f"{self.path}: column {name} is empty in every row")
        self.columns = {one: list(compress(cells, there)) for one, cells in self.columns.items()}
        self.said.append(f"{there.count(False)} rows without a number in column {name} left out")

    def numbers(self, name: str) -> np.ndarray:
        """Whole numbers. Raises ``TraceError`` with the row."""
        found = []
        for row, cell in enumerate(self.columns[name], 1):
            try:
                # Tables with holes turn whole numbers into 12.0.
                value = int(cell.strip().removesuffix(".0") if isinstance(cell, str) else cell)
                if isinstance(cell, float) and value != cell or not 0 <= value < 1 << 62:
                    raise ValueError
            except (TypeError, ValueError, OverflowError):
                raise TraceError(
                    f"{self.path}: row {row}: {name} {shown(cell)}: a whole number, 0 or more, is wanted"
                ) from None
            found.append(value)
        return np.array(found, np.int64)

    def lost(self, name: str, one_is_lost: bool) -> np.ndarray:
        """``bool[n]`` of a column of 0 and 1, true and false. Raises ``TraceError``."""
        words = [str(cell).strip().lower() for cell in self.columns[name]]
        for row, word in enumerate(words, 1):
            if word not in TRUE | FALSE:
                raise TraceError(f"{self.path}: row {row}: {name} {shown(word)}: 0 or 1, true or false is wanted")
        ones = np.array([word in TRUE for word in words])
        return ones if one_is_lost else ~ones

    def reals(self, name: str) -> np.ndarray:
        """``float[n]``, NaN where nothing is. Raises ``ValueError``."""
        cells = self.columns[name]
        try:
            found = np.array([math.nan if cell is None or not str(cell).strip() else float(cell) for cell in cells])
        except (TypeError, OverflowError) as error:  # JSON has more than numbers and texts
            raise ValueError(error) from None
        if np.isinf(found).any():
            raise ValueError("infinite")
        return found

    def times(self, name: str) -> np.ndarray:
        """Seconds: by the unit in the column's name, else as numbers of seconds or as dates. Raises ``ValueError``."""
        scale = UNITS.get(last(name)[-3:], 1.0)
        try:
            return self.reals(name) * scale
        except ValueError:
            dates = [datetime.fromisoformat(str(cell).strip()) for cell in self.columns[name]]
            return np.array([(one if one.tzinfo else one.replace(tzinfo=UTC)).timestamp() for one in dates])

    def optional(self, what: str, asked: str, known: Sequence[str], convert: Any) -> np.ndarray | None:
        """Times or SNR where there are any. Raises ``TraceError`` only for a column that is asked for."""
        name = self.find(what, asked, known)
        if not name:
            return None
        try:
            return convert(name)
        except ValueError:
            if asked:
                raise TraceError(f"{self.path}: column {name}: numbers are wanted for {what}") from None
            self.said[-1] = f"column {name} left out: no numbers"
            return None


def links_of(path: Any, columns: Columns, reading: Reading) -> Links:
    """The links of a table. Raises ``TraceError``."""
    sheet = _Table(path, columns)
    name = sheet.find("sequence", reading.sequence, SEQUENCE)
    if name:
        sheet.without_holes(name)
    lost = _fates(sheet, reading)
    if not name and lost is None:
        raise TraceError(
            f"{path}: none of its columns ({', '.join(list(columns)[:SHOWN])}) is known to number the packets or to "
            "say which were lost; name them with --sequence and --fate"
        )
    numbers = sheet.numbers(name) if name else None
    times = sheet.optional("time", reading.time, TIME, sheet.times)
    snr = sheet.optional("SNR", reading.snr, SNR, sheet.reals)
    if lost is None:
        sheet.said.append("only packets that arrived: what lies between their numbers was lost")
    links = Links({}, sheet.said)
    for link, rows in _groups(sheet, reading).items():
        trace, words = trace_of(
            numbers[rows] if numbers is not None else np.arange(len(rows)),
            reading,
            lost=lost[rows] if lost is not None else None,
            times=times[rows] if times is not None else None,
            snr_db=snr[rows] if snr is not None else None,
            # Rows that were counted here are no counter.
            wrap=0 if numbers is None else None,
            where=f"{path}: link {link}" if link else str(path),
        )
        links.add(path, link, trace, len(rows))
        sheet.said += [f"link {link}: {one}" if link else one for one in words]
    return links


def _fates(sheet: _Table, reading: Reading) -> np.ndarray | None:
    """What was lost, where the table says it. Raises ``TraceError``."""
    if reading.fate:
        name = sheet.find("fate", reading.fate, ())
        if not reading.lost and plain(name) not in LOST + RECEIVED:
            raise TraceError(f"{sheet.path}: whether 0 or 1 means lost in column {name} is not said: --lost says it")
        return sheet.lost(name, reading.lost == "1" if reading.lost else plain(name) in LOST)
    for known in (LOST, RECEIVED):
        name = sheet.find("losses", "", known)
        if name:
            # The name says what 1 means; an explicit word goes before it.
            return sheet.lost(name, reading.lost == "1" if reading.lost else known is LOST)
    return None


def _groups(sheet: _Table, reading: Reading) -> dict[str, np.ndarray]:
    """Rows of each link."""
    count = len(next(iter(sheet.columns.values())))
    if reading.group == ("",):
        return {"": np.arange(count)}
    names = [sheet.find("link", one, ()) for one in reading.group] or [sheet.find("link", "", GROUP)]
    if not names[0]:
        return {"": np.arange(count)}
    found: dict[str, list[int]] = {}
    parts: dict[str, tuple[str, ...]] = {}
    for row, cells in enumerate(zip(*(sheet.columns[name] for name in names), strict=True)):
        words = tuple(str(cell).strip() for cell in cells)
        link = "/".join(words)
        if parts.setdefault(link, words) != words:
            raise TraceError(
                f"{sheet.path}: row {row + 1}: {' and '.join(map(shown, words))} would be link {shown(link)}, as "
                f"{' and '.join(map(shown, parts[link]))} are: write one of them without /, or name one --group-by"
            )
        found.setdefault(link, []).append(row)
    if len(found) == 1 and not reading.group:
        return {"": np.arange(count)}
    return {link: np.array(rows) for link, rows in found.items()}


def _knows(content: Content) -> bool:
    columns = table(content) if content.text else None
    return columns is not None and (len(columns) > 1 or any(last(name) in KNOWN for name in columns))


def _read(content: Content, reading: Reading) -> Links:
    columns = table(content)
    if columns is None:
        raise TraceError(f"{content.path}: no named columns in it: a header line, or JSON objects, are wanted")
    return links_of(content.path, columns, reading)


FORMAT = Format("columns", "CSV or JSON with named columns", _knows, _read)
