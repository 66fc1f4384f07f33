# SPDX-License-Identifier: GPL-3.0-or-later
"""How a reception can be watched: the options of every command that receives live."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated

import typer

from ds2c2.errors import LinkError
from ds2c2.watch.pageserver import PageServer, parse_http_address
from ds2c2.watch.reception import Reception
from ds2c2.watch.window import Window

PANEL = "Watching"


def _option(kind, help_: str, *names: str, metavar: str | None = None):
    return Annotated[kind, typer.Option(*names, help=help_, rich_help_panel=PANEL, metavar=metavar)]


@dataclass(frozen=True)
class WatchOptions:
    """See docs/live.md."""

    http: _option(
        str, "Show pictures and numbers as a page there, with /stats.json, /metrics and /stream.mjpg.",
        metavar="HOST:PORT",
    ) = ""  # fmt: skip
    http_anyone: _option(bool, "The page may be at an address that others reach.", "--http-anyone") = False
    view: _option(bool, "Show pictures and numbers in a window; closing it ends the reception.", "--view") = False

    def check_used(self) -> None:
        """Raises ``LinkError`` for what would do nothing."""
        if self.http_anyone and not self.http:
            raise LinkError("--http-anyone: there is no page; add --http HOST:PORT, or leave it out")
        if self.http:
            parse_http_address(self.http)

    @property
    def any(self) -> bool:
        """Somebody may watch."""
        return bool(self.http) or self.view


class Watching:
    """Who watches a reception."""

    def __init__(self) -> None:
        self.page: PageServer | None = None
        self.window: Window | None = None

    @property
    def lines(self) -> list[str]:
        """What is to be said of it at the start."""
        return [f"page at {self.page.address}"] if self.page else []

    @property
    def left(self) -> bool:
        """Whoever watched has closed the window."""
        return self.window is not None and self.window.closed

    def linger(self) -> None:
        """What was shown last stays until the window is closed, or Ctrl-C."""
        if self.window is not None:
            with suppress(KeyboardInterrupt):
                self.window.wait()


@contextmanager
def watching(options: WatchOptions, reception: Reception) -> Iterator[Watching]:
    """Opens what is asked for. Raises ``LinkError``."""
    with ExitStack() as stack:
        watching = Watching()
        if options.http:
            watching.page = PageServer(reception, *parse_http_address(options.http), options.http_anyone)
            stack.callback(watching.page.close)
        if options.view:
            watching.window = Window(reception)
            stack.callback(watching.window.close)
        stack.callback(reception.end)
        yield watching
