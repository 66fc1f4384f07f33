# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets over UDP (RFC 768): one packet a datagram, nothing repeated, losses are real."""

import contextlib
import ipaddress
import socket
import sys
import threading
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from ds2c2.errors import LinkError
from ds2c2.transport.sizes import OtherSizes

RECEIVE_BUFFER = 4 << 20  # bytes asked of the kernel, which may grant less
DEFAULT_RATE = 2000.0  # packets per second; 1.6 Mbit/s with blocks of 100 bytes
LONGEST_DATAGRAM = 65536
# The reader's thread holds at most so many packets, and so many bytes of them, while pictures are decoded.
QUEUE_PACKETS = 1 << 18
QUEUE_BYTES = 64 << 20
# Drops that lie closer together are one event.
DROP_SECONDS = 0.01
# A sender that is ahead of its rate by less does not sleep: the kernel's own delay is a quarter of it.
LEAST_NAP = 0.0002  # seconds
DEFAULT_TTL = 1  # of multicast: this network, and no router passes it on
MOST_TTL = 255
# Linux gives each datagram the number that the socket's full buffer has dropped before it
# (socket(7)); Python has no name for the option.
SO_RXQ_OVFL = 40
IP_MULTICAST_ALL = 49  # ip(7); no name in Python either
ANCILLARY_BYTES = socket.CMSG_SPACE(4)
CLOSING_SECONDS = 0.2  # the reader's thread looks so often whether it is to end
GATHER_SECONDS = 0.005  # packets so close together are read together: a call costs more than a packet


def parse_address(text: str) -> tuple[str, int]:
    """``udp://host:port`` to host and port. Raises ``LinkError``."""
    try:
        parts = urlsplit(text)
        if parts.scheme != "udp" or not parts.hostname or not parts.port:
            raise ValueError
        if ":" in parts.hostname and ipaddress.ip_address(parts.hostname.partition("%")[0]).is_multicast:
            raise LinkError(
                f"{text}: groups of IPv6 are not known here; take one of IPv4, 239.0.0.0 to 239.255.255.255"
            )
        return parts.hostname, parts.port
    except ValueError:
        raise LinkError(f"{text!r} is no address; write udp://127.0.0.1:5005") from None


@dataclass(frozen=True)
class Multicast:
    """How packets to a group go and come (RFC 1112): through how many routers, and by which network.

    Args:
        ttl: 1 stays in this network
        interface: this host's address there, empty for what the system chooses
    """

    ttl: int = DEFAULT_TTL
    interface: str = ""


def parse_multicast(text: str) -> Multicast:
    """What follows the port: ``udp://239.1.2.3:5005?ttl=4&interface=192.168.1.2``. Raises ``LinkError``, also where
    the host is no group and nothing would heed it."""
    parts = urlsplit(text)
    words = dict(parse_qsl(parts.query, keep_blank_values=True))
    ttl, interface = words.pop("ttl", str(DEFAULT_TTL)), words.pop("interface", "")
    if words or not (ttl.isascii() and ttl.isdecimal()) or int(ttl) > MOST_TTL:
        raise LinkError(f"{text!r}: write ?ttl=4, ?interface=192.168.1.2 or both with & behind a group's port")
    if parts.query and not is_group(parts.hostname or ""):
        raise LinkError(f"{text!r}: ttl and interface are for multicast groups, 224.0.0.0 to 239.255.255.255")
    if interface:
        try:
            socket.inet_aton(interface)
        except OSError:
            raise LinkError(f"{text!r}: interface is this host's IPv4 address in that network") from None
    return Multicast(int(ttl), interface)


def is_group(host: str) -> bool:
    """Whether it is a multicast group's address, of IPv4."""
    try:
        return ipaddress.IPv4Address(host).is_multicast
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_host(host: str, port: int, kind: int = socket.SOCK_DGRAM) -> tuple:
    """Where a host is, as ``socket.getaddrinfo`` says it. Raises ``LinkError`` for a name that nobody knows."""
    try:
        return socket.getaddrinfo(host, port, type=kind)[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LinkError(f"host {host} cannot be found ({reason}); write an address, 127.0.0.1:{port}") from None


class UdpSender:
    """Sends packets at a steady rate, each by itself, in packets per second; to a multicast group too. Raises
    ``LinkError``."""

    def __init__(self, host: str, port: int, rate: float = DEFAULT_RATE, multicast: Multicast = Multicast()):  # noqa: B008
        if not 0 < rate < float("inf"):
            raise LinkError(f"rate {rate:g} is out of range: packets per second, more than 0")
        self.rate = rate
        self.sent = 0
        self.refused = 0
        self._due = 0.0  # monotonic seconds
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            if is_group(host):
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, multicast.ttl)
                if multicast.interface:
                    here = socket.inet_aton(multicast.interface)
                    self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
            self._socket.connect(address)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise LinkError(f"udp://{host}:{port}: cannot be reached ({reason})") from None

    def send(self, packets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Send ``uint8[n, b]``. Gives when each was sent, ``float[n]`` on the monotonic clock, and which of them the
        host turned away, as when nobody listens on loopback, ``bool[n]``; ``refused`` counts them."""
        times, refused = np.empty(len(packets)), np.zeros(len(packets), bool)
        # What was not sent while nothing was there is not made up for.
        self._due = max(self._due, time.monotonic())
        for place, packet in enumerate(packets):
            ahead = self._due - time.monotonic()
            if ahead > LEAST_NAP:
                time.sleep(ahead)
            times[place] = time.monotonic()
            try:
                self._socket.send(packet.tobytes())
            except OSError:
                refused[place] = True
                self.refused += 1
            self.sent += 1
            self._due += 1.0 / self.rate
        return times, refused

    def close(self) -> None:
        self._socket.close()


class UdpReceiver:
    """Collects datagrams in a thread, so that none is lost while a picture is decoded.

    A datagram holds one packet or, as GNU Radio's UDP Sink can send them, several whole ones. ``other_sizes`` counts
    datagrams of other lengths by their bytes, ``empty`` those without any, as a UDP Sink sends at its end, ``dropped``
    packets that found the queue full, ``overflowed`` datagrams that the kernel had no room for (known on Linux only).
    A multicast group is joined by ``interface``, this host's
    address in that network. Raises ``LinkError`` when the port is taken or the address
    is not this host's.
    """

    def __init__(self, host: str, port: int, packet_size: int, interface: str = ""):
        self.packet_size = packet_size
        self.other_sizes = OtherSizes()
        self.empty = 0
        self.dropped = 0
        self.overflowed = 0
        family, kind, protocol, _, address = find_host(host, port)
        try:
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if is_group(host):
                self._join(host, interface)
            self._socket.bind(address)
        except (OSError, UnicodeError) as error:
            raise LinkError(
                f"udp://{host}:{port}: cannot listen there ({getattr(error, 'strerror', None) or error}); "
                "is the port in use? choose another"
            ) from None
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        self._socket.settimeout(CLOSING_SECONDS)
        self._came = threading.Condition()
        self._began = time.monotonic()
        self._packets: list[bytes] = []
        self._times: list[float] = []
        self._room = min(QUEUE_PACKETS, QUEUE_BYTES // packet_size)
        self._drops: list[float] = []
        self._closing = False
        self._thread = threading.Thread(target=self._collect, name="udp-receiver", daemon=True)
        self._thread.start()

    def _join(self, group: str, interface: str) -> None:
        """Become a member of a group: of this one only, and as one of several receivers on this host."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        here = socket.inet_aton(interface or "0.0.0.0")
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + here)
        with contextlib.suppress(OSError):
            # Else Linux hands on what other programs of this host have joined on other networks.
            self._socket.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)

    def _collect(self) -> None:
        while not self._closing:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(LONGEST_DATAGRAM, ANCILLARY_BYTES)
            except TimeoutError:
                continue
            except OSError:
                return
            now = time.monotonic() - self._began
            lost = [int.from_bytes(v, sys.byteorder) for _, kind, v in ancillary if kind == SO_RXQ_OVFL]
            with self._came:
                if lost and lost[0] != self.overflowed:
                    self.overflowed = lost[0]
                    self._note_drop(now)
                count, rest = divmod(len(data), self.packet_size)
                if not data:
                    self.empty += 1
                elif rest:
                    self.other_sizes.note(len(data))
                elif len(self._times) + count > self._room:
                    self.dropped += count
                    self._note_drop(now)
                else:
                    self._packets.append(data)
                    self._times += [now] * count
                self._came.notify()

    def _note_drop(self, now: float) -> None:
        if not self._drops or now - self._drops[-1] >= DROP_SECONDS:
            self._drops.append(now)

    def read(self, wait: float) -> np.ndarray:
        """Packets that have come, ``uint8[n, packet_size]``; n = 0 after ``wait`` seconds."""
        return self.read_timed(wait)[0]

    def read_timed(self, wait: float) -> tuple[np.ndarray, np.ndarray, list[float]]:
        """The same with each packet's time, ``float64[n]`` in seconds since the receiver began, and
        the times at which this host dropped some."""
        with self._came:
            waited = not (self._packets or self._drops)
            came = self._came.wait_for(lambda: self._packets or self._drops, min(wait, threading.TIMEOUT_MAX))
        if waited and came:
            time.sleep(GATHER_SECONDS)
        with self._came:
            packets, self._packets = self._packets, []
            times, self._times = self._times, []
            drops, self._drops = self._drops, []
        return np.frombuffer(b"".join(packets), np.uint8).reshape(-1, self.packet_size), np.array(times), drops

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        self._socket.close()
