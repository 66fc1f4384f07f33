# SPDX-License-Identifier: GPL-3.0-or-later
"""One end of a ZeroMQ PUSH/PULL pipe: opened safely, watched, closed without losing what was sent."""

import threading
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from ds2c2.errors import LinkError
from ds2c2.serve.keys import PUBLIC, Keys
from ds2c2.transport.udp import is_loopback

POLL_SECONDS = 0.2  # between two looks at whether to stop
# Between two tries to connect, more and more.
RECONNECT_MS, RECONNECT_MOST_MS = 100, 1_000
# A peer that is gone without a word (power, network) is noticed after these.
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 5_000, 15_000
END_SECONDS = 5.0  # that ZeroMQ gets to close what nothing waits for; it takes milliseconds
# Messages that wait in a socket and bytes in the kernel: what is under way when a receiver stops is lost.
SOCKET_MESSAGES = 2
SOCKET_BYTES = 1 << 16
# A peer whose message is larger is disconnected before room is made for it: the soft bits of four pictures of
# 4096x4096 at 1 bit per pixel, and GNU Radio's buffers hold less.
MOST_MESSAGE_BYTES = 1 << 26
# Bytes that a receiver reads ahead. GNU Radio's ZMQ PUSH Sink throws away what has not left it one second
# after its flowgraph has ended, so it must not be kept waiting for a codec.
READ_AHEAD = 1 << 30


@dataclass(frozen=True)
class Address:
    """``tcp://host:port``; ``keys`` where others can reach it."""

    text: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises ``LinkError``."""
        try:
            parts = urlsplit(text)
            if parts.scheme != "tcp" or not parts.hostname or not parts.port or parts.path:
                raise ValueError
            return cls(text, parts.hostname, parts.port)
        except ValueError:
            raise LinkError(f"{text!r} is no address; write tcp://127.0.0.1:5601") from None

    def guard(self, keys: Keys | None) -> None:
        """Raises ``LinkError`` for an address beyond loopback without keys."""
        if keys is None and not is_loopback(self.host):
            raise LinkError(
                f"{self.text}: others can reach it; give --keys (`ds2c2 serve keys` makes them), or stay on 127.0.0.1 "
                "and let ssh carry it: docs/serve.md"
            )

    @property
    def endpoint(self) -> str:
        host = "127.0.0.1" if self.host == "localhost" else self.host
        return f"tcp://[{host}]:{self.port}" if ":" in host else f"tcp://{host}:{self.port}"


def end_context(context: zmq.Context, linger: float = 0) -> None:
    """End a context whose sockets are closed, with ``linger`` seconds at most for what they had to send.

    libzmq 4.3.5 was seen to wait for ever, once and in none of 28000 tries to see it again, with nothing
    left to send and no socket open: then the context is left to the process's end.
    """
    ending = threading.Thread(target=context.term, name="end of a ZeroMQ context", daemon=True)
    ending.start()
    ending.join(None if linger == float("inf") else linger + END_SECONDS)


class Pipe:
    """A PUSH (``sends``) or PULL socket, listening or connecting, with CURVE where it has keys.

    With keys, who listens lets in the hosts whose public keys it has, and who connects wants the host of
    the key ``peer``. ``peers`` are those connected now. Raises ``LinkError``.
    """

    def __init__(self, address: Address, *, sends: bool, listens: bool, keys: Keys | None = None, peer: str = ""):
        address.guard(keys)
        self.address, self.sends, self.listens, self.keys = address, sends, listens, keys
        self.peers = 0
        self.turned_away = 0  # connections that failed to show the right key
        self._failing = 0
        self._told: set[str] = set()
        server_key = keys.other(peer) if keys and not listens else None
        self._context = zmq.Context()
        self._authenticator = None
        self._socket = self._context.socket(zmq.PUSH if sends else zmq.PULL)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_DISCONNECTED
        )
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLOUT if sends else zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            self._open(server_key)
        except zmq.ZMQError as error:
            self.close(0)
            verb = "cannot listen there" if listens else "cannot be reached"
            hint = "; is the port in use, or the address another host's?" if listens else ""
            raise LinkError(f"{address.text}: {verb} ({error.strerror}){hint}") from None

    def _open(self, server_key: bytes | None) -> None:
        socket, keys = self._socket, self.keys
        socket.ipv6 = ":" in self.address.host
        socket.reconnect_ivl, socket.reconnect_ivl_max = RECONNECT_MS, RECONNECT_MOST_MS
        socket.heartbeat_ivl, socket.heartbeat_timeout = HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS
        if self.sends:
            socket.sndhwm, socket.sndbuf = SOCKET_MESSAGES, SOCKET_BYTES
            socket.immediate = True  # nothing counts as sent while nobody is there
        else:
            socket.rcvhwm = SOCKET_MESSAGES
            if self.listens:  # who connects would never try again
                socket.maxmsgsize = MOST_MESSAGE_BYTES
        if keys:
            socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
            if self.listens:
                # Without one, a listening socket lets in every key.
                self._authenticator = ThreadAuthenticator(self._context)
                self._authenticator.start()
                self._authenticator.configure_curve(domain="*", location=str(keys.folder))
                socket.curve_server = True
            else:
                socket.curve_serverkey = server_key
        (socket.bind if self.listens else socket.connect)(self.address.endpoint)

    def send(self, message: bytes, wait: float) -> bool:
        """True when the message is on its way; False after ``wait`` seconds, or when there are news."""
        if not self._ready(wait):
            return False
        try:
            self._socket.send(message, zmq.DONTWAIT)
        except zmq.Again:  # the peer has just left
            return False
        return True

    def receive(self, wait: float) -> bytes | None:
        """The next message; None after ``wait`` seconds, or when there are news."""
        return self._socket.recv() if self._ready(wait) else None

    def _ready(self, wait: float) -> bool:
        return self._socket in dict(self._poller.poll(wait * 1000))

    def news(self) -> list[str]:
        """What happened to the connections since the last call, a line each. Raises ``LinkError`` when
        the host that this end connects to will never do."""
        lines = []
        while self._monitor.poll(0):
            lines += self._take(recv_monitor_message(self._monitor)["event"])
        return lines

    def _take(self, event: int) -> list[str]:
        where = self.address.text
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.peers += 1
            if self.sends and self.peers > 1:
                return [f"{self.peers} are connected to {where}: pictures are dealt out among them"]
            return [f"connected: {where}"]
        if event == zmq.EVENT_DISCONNECTED:
            # That of a failed handshake follows it at once.
            if self._failing:
                self._failing -= 1
                return []
            self.peers -= 1
            return [f"disconnected: {where}; waiting for it to come back"]
        self._failing += 1
        self.turned_away += 1
        line, hopeless = self._why_not(event)
        if hopeless:
            raise LinkError(line)
        if line in self._told:
            return []
        self._told.add(line)
        return [line]

    def _why_not(self, event: int) -> tuple[str, bool]:
        """Why a handshake failed, and whether it always will."""
        where, keys, unknown = self.address.text, self.keys, event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
        if self.listens:
            reason = "its key is not in" if unknown else "it does not use the key in"
            return f"turned away a connection to {where}: " + (
                f"{reason} {keys.folder}" if keys else "no ZeroMQ"
            ), False
        if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            # So does a tunnel with nothing at its other end, and a host that goes just now.
            other = f", or its key is not the one in {keys.folder}" if keys else ""
            return f"{where} ends every connection at once: nobody there yet{other}", False
        if unknown:
            return f"{where} does not know our key: copy {keys.folder / keys.name}{PUBLIC} there, start it again", True
        return f"{where}: " + ("it uses no keys" if keys else "no ZeroMQ, or it wants keys (--keys)"), True

    @property
    def closed(self) -> bool:
        return self._socket.closed

    def close(self, linger: float = 0) -> None:
        """Close; up to ``linger`` seconds for what was sent to leave, and ``END_SECONDS`` for ZeroMQ."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(-1 if linger == float("inf") else int(linger * 1000))
        if self._authenticator:
            self._authenticator.stop()
        end_context(self._context, linger)


class Inbox:
    """Reads a pipe in a thread, ahead of who takes the messages, up to ``limit`` bytes."""

    def __init__(self, pipe: Pipe, limit: int = READ_AHEAD):
        self.pipe, self.limit = pipe, limit
        self.bytes = 0  # that wait
        self._queue: deque[bytes | str | LinkError] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._read, name="inbox", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Messages that have come and were not taken."""
        with self._changed:
            return sum(isinstance(item, bytes) for item in self._queue)

    def get(self, wait: float) -> bytes | str | None:
        """The next message, or a line of news (``str``) between two; None after ``wait`` seconds.
        Raises ``LinkError`` as ``Pipe.news`` does."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._queue, wait):
                return None
            item = self._queue.popleft()
            if isinstance(item, bytes):
                self.bytes -= len(item)
                self._changed.notify_all()
        if isinstance(item, LinkError):
            raise item
        return item

    def _read(self) -> None:
        try:
            while not self._closing:
                message = None
                with self._changed:
                    room = self._changed.wait_for(lambda: self.bytes < self.limit or self._closing, POLL_SECONDS)
                if room and not self._closing:
                    message = self.pipe.receive(POLL_SECONDS)
                with self._changed:
                    self._queue.extend(self.pipe.news())
                    if message is not None:
                        self._queue.append(message)
                        self.bytes += len(message)
                    self._changed.notify_all()
        except LinkError as error:
            with self._changed:
                self._queue.append(error)
                self._changed.notify_all()

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        self.pipe.close()
