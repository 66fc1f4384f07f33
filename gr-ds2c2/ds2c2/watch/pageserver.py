# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a reception, and its numbers and pictures by themselves, over HTTP (RFC 9110, 9112).

The standard library's server, a thread a connection: the watchers are few, it needs no package, and its threads wait
for slow clients where nobody else does.
"""

import contextlib
import io
import ipaddress
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import urlsplit

from ds2c2.errors import LinkError
from ds2c2.transport.udp import find_host, is_loopback
from ds2c2.watch.metrics import CONTENT_TYPE, metrics_text
from ds2c2.watch.reception import Reception

MOST_CLIENTS = 32  # connections at a time; a page needs two
MOST_OF_ONE = 24  # of them from one address: one host alone keeps no other from looking
MOST_STREAMS = 24  # of them moving pictures: someone can always ask for numbers
HEAD_SECONDS = 10.0  # a request is whole so long after its connection, or it is let go, however it drips
CLIENT_SECONDS = 10.0  # a client that has not taken an answer, or the next picture, after so long is let go
AGAIN_SECONDS = 2.0  # a picture that stands is sent again, or nobody would notice that a client has gone
CLOSING_SECONDS = 0.1  # the listening thread looks so often whether it is to end
BOUNDARY = "ds2c2-picture"
PAGE_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",  # no other site shows the picture in a page of its own
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def parse_http_address(text: str) -> tuple[str, int]:
    """``127.0.0.1:8080``, ``[::1]:8080`` or ``8080`` to host and port; port 0 is any free one. Raises ``LinkError``."""
    match = re.fullmatch(r"(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:/\[\]]+)):)?([0-9]{1,5})", text)
    if not match or int(match[3]) > 65535:
        raise LinkError(f"--http {text}: no address with a port; write 127.0.0.1:8080")
    return match[1] or match[2] or "127.0.0.1", int(match[3])


class PageServer(ThreadingHTTPServer):
    """Serves a reception from the moment it is made until ``close``.

    A request must name this host as its ``Host``: by an address, as localhost, by the name it was opened with or by
    this machine's. Else a page of somebody's elsewhere could have its own name point here and read along (DNS
    rebinding).

    Args:
        reception: what is shown
        host, port: where to listen
        anyone: others may reach it; without it only a loopback address is taken
        head_seconds: what a client has for its request

    Attributes:
        address: ``http://host:port/``

    Raises ``LinkError``.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(
        self, reception: Reception, host: str, port: int, anyone: bool = False, head_seconds: float = HEAD_SECONDS
    ):
        self.reception = reception
        self.head_seconds = head_seconds
        self.closing = threading.Event()
        self._clients: Counter[str] = Counter()  # by their address; none is kept that has no connection
        # Connections of which no whole request came yet, the oldest first, by their address; and those of them that
        # had to make room and have not ended yet.
        self._asking: dict[socket.socket, str] = {}
        self._leaving: set[socket.socket] = set()
        self._streams = 0
        self._counting = threading.Lock()
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.address_family, *_, self._place = find_host(host, port, socket.SOCK_STREAM)
        except LinkError as error:
            raise LinkError(f"--http {where}: {error}") from None
        if not is_loopback(host) and not anyone:
            raise LinkError(
                f"--http {where}: others can reach it and whoever does sees the pictures; add --http-anyone if meant"
            )
        try:
            super().__init__(self._place[:2], _Handler)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise LinkError(f"--http {where}: cannot listen there ({reason}); choose another port") from None
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self.server_address[1]}/"
        self._names = {"localhost", host.lower(), *_own_names()}
        self._thread = threading.Thread(
            target=self.serve_forever, args=(CLOSING_SECONDS,), name="page-server", daemon=True
        )
        self._thread.start()

    def server_bind(self) -> None:
        """Without asking DNS for the host's name, as the standard library's does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self._place)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def close(self) -> None:
        """Stop listening and let the clients go; it may be called twice."""
        if not self.closing.is_set():
            self.closing.set()
            self.shutdown()
            self._thread.join()
            self.server_close()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def clients(self) -> int:
        """Connections that are open now."""
        return self._clients.total()

    def is_ours(self, host: str) -> bool:
        """Whether a ``Host`` header, a name or address with or without a port, means this host."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return True  # an address is nobody's to point elsewhere
        return name.lower().rstrip(".") in self._names

    def streaming(self, change: int) -> bool:
        """One more stream of pictures (+1), unless there are too many, or one less (-1)."""
        with self._counting:
            if self._streams + change > MOST_STREAMS:
                return False
            self._streams += change
            return True

    def process_request(self, request, client_address) -> None:  # noqa: ANN001 - socketserver's
        address = client_address[0]
        with self._counting:
            if room := self._room_for(address):
                self._clients[address] += 1
                self._asking[request] = address
        if room:
            try:
                super().process_request(request, client_address)
            except RuntimeError:  # no thread to be had
                self._left(request, address)
                self.shutdown_request(request)
            return
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.send(FULL)
        self.shutdown_request(request)

    def process_request_thread(self, request, client_address) -> None:  # noqa: ANN001 - socketserver's
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._left(request, client_address[0])

    def _room_for(self, address: str) -> bool:
        """Whether there is a place for one more connection of an address. Where all are taken, its oldest one that has
        not asked anything yet gives up its place, or where others have the places, the oldest one of whoever has most
        that have not: who only connects, or sends its question byte by byte, keeps nobody out who asks."""
        crowded = self._clients[address] >= MOST_OF_ONE
        if not crowded and self._clients.total() < MOST_CLIENTS:
            return True
        asking = Counter(self._asking.values())
        most = address if crowded or asking[address] else max(asking, key=asking.get, default=address)
        oldest = next((one for one, its in self._asking.items() if its == most), None)
        if oldest is None or len(self._leaving) >= MOST_CLIENTS:
            return False
        self._clients[self._asking.pop(oldest)] -= 1
        self._leaving.add(oldest)
        with contextlib.suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)  # its thread, which waits for more, ends
        return True

    def asked(self, connection: socket.socket) -> None:
        """A whole request came; its connection keeps its place until it is answered."""
        with self._counting:
            self._asking.pop(connection, None)

    def _left(self, connection: socket.socket, address: str) -> None:
        with self._counting:
            self._asking.pop(connection, None)
            if connection in self._leaving:
                self._leaving.remove(connection)
            else:
                self._clients[address] -= 1
            self._clients += Counter()  # drops who has none left

    def handle_error(self, request, client_address) -> None:  # noqa: ANN001 - socketserver's
        """A client that went away is no error of this host's; anything else is shown by socketserver."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name.partition('.')[0]}.local"}


class _Request(io.RawIOBase):
    """What a client sends. All of it has to come in so many seconds together; a timeout a read would let who sends a
    byte now and then stay for ever."""

    def __init__(self, connection: socket.socket, seconds: float):
        self._connection = connection
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "ds2c2", ""
    timeout = CLIENT_SECONDS

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Request(self.connection, self.server.head_seconds))

    def parse_request(self) -> bool:
        sound = super().parse_request()
        self.server.asked(self.connection)
        self.connection.settimeout(CLIENT_SECONDS)  # which ``sendall`` takes for all that it sends
        return sound

    def do_GET(self) -> None:  # noqa: N802 - http.server's
        # A connection is one question: none that idles keeps another out.
        self.close_connection = True
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            return self._say(HTTPStatus.BAD_REQUEST, "a request needs one Host")
        if not self.server.is_ours(hosts[0]):
            return self._say(HTTPStatus.MISDIRECTED_REQUEST, "this host is not called that; ask for its address")
        path = urlsplit(self.path).path
        if path in PAGE_FILES:
            name, kind = PAGE_FILES[path]
            return self._send(files(__package__).joinpath(name).read_bytes(), kind)
        answer: Callable[[], None] | None = {
            "/stats.json": self._stats,
            "/metrics": self._metrics,
            "/picture.png": lambda: self._picture("PNG"),
            "/picture.jpg": lambda: self._picture("JPEG"),
            "/stream.mjpg": self._stream,
        }.get(path)
        if answer is None:
            return self._say(
                HTTPStatus.NOT_FOUND, "there are /, /stats.json, /metrics, /picture.png, /picture.jpg and /stream.mjpg"
            )
        answer()

    do_HEAD = do_GET  # noqa: N815 - http.server's

    def _refuse(self) -> None:
        self.close_connection = True
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse  # noqa: N815 - http.server's

    def _stats(self) -> None:
        stats = self.server.reception.stats() | {"clients": self.server.clients}
        self._send(json.dumps(stats, allow_nan=False).encode(), "application/json")

    def _metrics(self) -> None:
        self._send(metrics_text(self.server.reception, self.server.clients).encode(), CONTENT_TYPE)

    def _picture(self, kind: str) -> None:
        serial, data = self.server.reception.encoded(kind)
        if not data:
            return self._say(HTTPStatus.NOT_FOUND, "no picture yet")
        self._send(data, f"image/{kind.lower()}", {"X-Picture": str(serial)})

    def _stream(self) -> None:
        """Pictures one after the other, each the newest there is: what a client is too slow for it does not get.

        Chromium shows a picture when the next one's headers come, which is one picture late. It is asked for
        ``early`` ones by our page: the headers of the next follow at once, so they cannot say its length.
        """
        if not self.server.streaming(+1):
            return self._say(HTTPStatus.SERVICE_UNAVAILABLE, "too many watch already", {"Retry-After": "5"})
        try:
            self._head(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            if self.command != "HEAD":
                self._pictures()
        finally:
            self.server.streaming(-1)

    def _pictures(self) -> None:
        reception, sent = self.server.reception, 0
        # What a buffer holds the client sees late.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 17)
        early = "early" in urlsplit(self.path).query.split("&")
        kind = "Content-Type: image/jpeg\r\n"
        between = f"\r\n--{BOUNDARY}\r\n" + (f"{kind}\r\n" if early else "")
        self.wfile.write(between[2:].encode())
        while not self.server.closing.is_set():
            reception.next_picture(sent, AGAIN_SECONDS)
            if self.server.closing.is_set():
                return
            serial, data = reception.encoded("JPEG")
            if not data:
                if reception.ended:
                    return
                continue
            head = "" if early else f"{kind}Content-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + between.encode())
            sent = serial
            if reception.ended:
                self.server.closing.wait(AGAIN_SECONDS)

    def _say(self, status: HTTPStatus, words: str, more: dict[str, str] | None = None) -> None:
        self._send(f"{words}\n".encode(), "text/plain; charset=utf-8", more, status)

    def _send(
        self, data: bytes, kind: str, more: dict[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self._head(status, kind, {"Content-Length": str(len(data))} | (more or {}))
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: HTTPStatus, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Connection": "close"} | SAFE_HEADERS | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Nobody reads a line for every number that is asked for."""
