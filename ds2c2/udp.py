# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets over UDP (RFC 768): one packet a datagram, nothing repeated, losses are real."""

import ipaddress
import socket
import threading
import time
from urllib.parse import urlsplit

import numpy as np

from ds2c2.errors import LinkError

RECEIVE_BUFFER = 4 << 20  # bytes asked of the kernel, which may grant less
DEFAULT_RATE = 2000.0  # packets per second; 1.6 Mbit/s with blocks of 100 bytes
LONGEST_DATAGRAM = 65536
# The reader's thread holds at most so many packets while pictures are decoded.
QUEUE_PACKETS = 1 << 20
SLICE_PACKETS = 32  # packets sent between two looks at the clock
POLL_SECONDS = 0.2


def parse_address(text: str) -> tuple[str, int]:
    """``udp://host:port`` to host and port. Raises ``LinkError``."""
    try:
        parts = urlsplit(text)
        if parts.scheme != "udp" or not parts.hostname or not parts.port:
            raise ValueError
        return parts.hostname, parts.port
    except ValueError:
        raise LinkError(f"{text!r} is no address; write udp://127.0.0.1:5005") from None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class UdpSender:
    """Sends packets at a steady rate in packets per second. Raises ``LinkError``."""

    def __init__(self, host: str, port: int, rate: float = DEFAULT_RATE):
        if not 0 < rate < float("inf"):
            raise LinkError(f"rate {rate:g} is out of range: packets per second, more than 0")
        self.rate = rate
        self.sent = 0
        self.refused = 0
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.connect(address)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise LinkError(f"udp://{host}:{port}: cannot be reached ({reason})") from None

    def send(self, packets: np.ndarray) -> None:
        """Send ``uint8[n, b]``. ``refused`` counts datagrams that the host turned away,
        as when nobody listens on loopback."""
        due = time.monotonic()
        for start in range(0, len(packets), SLICE_PACKETS):
            piece = packets[start : start + SLICE_PACKETS]
            for packet in piece:
                try:
                    self._socket.send(packet.tobytes())
                except OSError:
                    self.refused += 1
            self.sent += len(piece)
            due += len(piece) / self.rate
            time.sleep(max(0.0, due - time.monotonic()))

    def close(self) -> None:
        self._socket.close()


class UdpReceiver:
    """Collects datagrams in a thread, so that none is lost while a picture is decoded.

    ``wrong_size`` counts datagrams of another length, ``dropped`` those that found the queue
    full. Raises ``LinkError`` when the port is taken or the address is not this host's.
    """

    def __init__(self, host: str, port: int, packet_size: int):
        self.packet_size = packet_size
        self.wrong_size = 0
        self.dropped = 0
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._socket.bind(address)
        except (OSError, UnicodeError) as error:
            raise LinkError(
                f"udp://{host}:{port}: cannot listen there ({getattr(error, 'strerror', None) or error}); "
                "is the port in use? choose another"
            ) from None
        self._socket.settimeout(POLL_SECONDS)
        self._lock = threading.Lock()
        self._packets: list[bytes] = []
        self._closing = False
        self._thread = threading.Thread(target=self._collect, name="udp-receiver", daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        while not self._closing:
            try:
                data = self._socket.recv(LONGEST_DATAGRAM)
            except TimeoutError:
                continue
            except OSError:
                return
            with self._lock:
                if len(data) != self.packet_size:
                    self.wrong_size += 1
                elif len(self._packets) >= QUEUE_PACKETS:
                    self.dropped += 1
                else:
                    self._packets.append(data)

    def read(self, wait: float) -> np.ndarray:
        """Packets that have come, ``uint8[n, packet_size]``; n = 0 after ``wait`` seconds."""
        until = time.monotonic() + wait
        while True:
            with self._lock:
                packets, self._packets = self._packets, []
            if packets or time.monotonic() >= until:
                return np.frombuffer(b"".join(packets), np.uint8).reshape(-1, self.packet_size)
            time.sleep(0.005)

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        self._socket.close()
