# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 key``: a secret for both ends of a stream whose packets are signed."""

from typing import Annotated

import typer

from ds2c2.cli.terminal import Terminal
from ds2c2.files import check_place
from ds2c2.stream.packetcheck import key_id
from ds2c2.stream.packetkey import make_key, read_key

console = Terminal()


def key(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where the key goes; brought to the other end by hand.")],
    show: Annotated[bool, typer.Option("--show", help="Say what names the key that is there.")] = False,
) -> None:
    """Make a key: who has not got it can make no packet that a receiver takes."""
    if not show:
        check_place(file)
    made = read_key(file) if show else make_key(file)
    if not show:
        console.print(f"wrote {file}, readable by you alone; give it to both ends with --key", markup=False)
    console.print(f"stream formats name it key={key_id(made)}", markup=False)
