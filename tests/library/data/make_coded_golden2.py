# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes coded-v2.bin: parts of code blocks of wire format 2 whose every byte must stay readable.

Symbols and tables are those of make_coded_golden.py. Run once; the file is kept, and
tests/library/test_coded_golden2.py decodes it for ever.
"""

import runpy
from pathlib import Path

from ds2c2.codec.impliedblocks import pack
from ds2c2.codec.symboltables import SymbolTables, laplace_rows

BEFORE = runpy.run_path(str(Path(__file__).with_name("make_coded_golden.py")))
# Bytes of each block beside its share of the base layer, which is not always the same.
ROOMS = [60, 52, 60, 52, 60, 60, 52, 60, 52, 60, 60, 52, 60, 52]


def main() -> None:
    index = BEFORE["golden_tables"](BEFORE["golden_networks"]()).reshape(-1)
    tables = index[index >= 0]
    parts, unit, sent = pack(BEFORE["golden_symbols"](tables), tables, SymbolTables(laplace_rows()), ROOMS)
    assert sent == len(tables), (sent, len(tables))
    path = Path(__file__).with_name("coded-v2.bin")
    padded = b"".join(part.ljust(room, b"\0") for part, room in zip(parts, ROOMS, strict=True))
    path.write_bytes(unit.to_bytes(2, "big") + padded)
    print(f"wrote {path}: {len(tables)} symbols, unit {unit}, {sum(map(bool, parts))} of {len(ROOMS)} blocks used")


if __name__ == "__main__":
    main()
