# SPDX-License-Identifier: GPL-3.0-or-later
"""A reception while it runs: its numbers, and the page that shows them, over real sockets."""

import contextlib
import http.client
import io
import json
import re
import select
import socket
import threading
from dataclasses import fields
from importlib import resources

import numpy as np
import pytest
from PIL import Image

from ds2c2.errors import LinkError
from ds2c2.stream.assembler import LinkCounts
from ds2c2.transport.fates import FATES, TURNED_AWAY
from ds2c2.transport.packetsource import Arrivals
from ds2c2.watch.metrics import metrics_text
from ds2c2.watch.pageserver import BOUNDARY, MOST_CLIENTS, MOST_OF_ONE, PageServer, parse_http_address
from ds2c2.watch.reception import HISTORY_SECONDS, SILENT_SECONDS
from told import STREAM, came, frame, picture

# The text format 0.0.4: a sample is a name, labels, and a number as Go writes it.
SAMPLE = re.compile(r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (-?[0-9.e+-]+)')


@pytest.fixture
def page(reception):
    with PageServer(reception, "127.0.0.1", 0) as server:
        yield server


def ask(page: PageServer, path: str, method: str = "GET", host: str | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*page.server_address[:2], timeout=60)
    connection.putrequest(method, path, skip_host=host is not None)
    if host:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    answer.data = b"" if path == "/stream.mjpg" and answer.status == 200 else answer.read()
    return answer


def test_numbers_before_anything_came(reception, clock):
    clock.now += 7.5
    stats = reception.stats()
    assert stats["signal"] == {"ever": False, "silent_s": 7.5, "present": False}
    assert stats["frame"] is None and stats["history"] == [] and stats["now"]["per"] is None
    assert reception.encoded("PNG") == (0, b"")


def test_losses_now_and_over_time(reception, clock):
    """A frame a second, the third of which nothing came; then silence."""
    for second, lost in enumerate((0, 8, STREAM.blocks, 4)):
        reception.shown(frame(second, lost, nothing=lost == STREAM.blocks), picture(second), 0.25, "DL0ABC")
        reception.arrived(*came(100 * (second + 1)))
        clock.now += 1
    stats = reception.stats()
    expected = [0, 8 / STREAM.blocks, 1, 4 / STREAM.blocks]
    assert stats["history"] == [[second, round(share, 5)] for second, share in enumerate(expected)]
    assert stats["now"]["per"] == round(sum(expected) / 4, 5)
    assert stats["now"]["frames_per_s"] == 1.0 and stats["now"]["packets_per_s"] == 100.0
    assert stats["now"]["bits_per_s"] == 800 * STREAM.packet_bytes
    assert stats["frames"] == {"received": 3, "concealed": 0, "lost": 1, "shown": 4}
    assert stats["frame"]["number"] == 3 and stats["frame"]["delay_s"] == 0.25 and stats["station"] == "DL0ABC"
    assert stats["signal"] == {"ever": True, "silent_s": 1.0, "present": True}
    clock.now += SILENT_SECONDS
    assert not reception.stats()["signal"]["present"]
    clock.now += 20
    stats = reception.stats()
    assert stats["now"]["frames_per_s"] == 0 and stats["now"]["per"] == expected[-1]  # the last that was seen
    clock.now += 2 * HISTORY_SECONDS
    reception.shown(frame(4), picture(4))
    assert len(reception.stats()["history"]) == 1


def test_silence_stands_still_while_pictures_are_made(reception, clock):
    reception.arrived(*came(1))
    clock.now += 1
    with reception.working():
        clock.now += 60
        assert reception.silence == 1.0 and reception.stats()["signal"]["present"]
    assert reception.silence == 61.0


def test_packets_of_others_are_no_signal(reception, clock):
    reception.arrived(*came(5))
    clock.now += 10
    reception.arrived(
        Arrivals(np.zeros((0, STREAM.packet_bytes), np.uint8)), LinkCounts(received=99, used=5, forged=94)
    )
    assert reception.silence == 10.0 and reception.stats()["packets"]["forged"] == 94


def test_what_a_radio_knows(reception):
    packets = np.zeros((3, STREAM.packet_bytes), np.uint8)
    points = np.array([1 + 1j, -1 - 1j], np.complex64)
    heard = Arrivals(
        packets, np.zeros(3), np.array([10, 14, np.nan]), np.full(3, 1e-5), np.array([True, False, True]), 2,
        (("overrun", 0.0), ("overrun", 1.0)), points,
    )  # fmt: skip
    reception.arrived(heard, LinkCounts(received=2, used=2))
    stats = reception.stats()
    assert stats["link"] == {"snr_db": 12.0, "cfo": 1e-5} and stats["host"] == {"overrun": 2}
    assert (stats["packets"]["failed_crc"], stats["packets"]["unreadable"]) == (1, 2)
    assert stats["constellation"] == [[1.0, 1.0], [-1.0, -1.0]]


def test_metrics_are_of_the_text_format(reception):
    reception.shown(frame(7, 8, psnr=31.5, ms_ssim=float("nan")), picture(1))
    reception.arrived(*came(12, forged=3))
    text = metrics_text(reception, clients=2)
    assert text.endswith("\n")
    types, values = {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in types
        elif line.startswith("# TYPE "):
            assert line.split()[2] == name
            types[name] = line.split()[3]
        else:
            match = SAMPLE.fullmatch(line)
            assert match and match[1] == name, line
            values[match[1], match[2]] = float(match[3])
    assert set(types.values()) == {"counter", "gauge"}
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in types.items())
    assert values["ds2c2_packets_total", 'fate="forged"'] == 3 and values["ds2c2_packets_total", 'fate="used"'] == 12
    assert values["ds2c2_frame_psnr_decibels", None] == 31.5 and values["ds2c2_http_clients", None] == 2
    assert values["ds2c2_frame_loss_ratio", None] == round(8 / STREAM.blocks, 5)
    assert "ds2c2_frame_ms_ssim" not in types and "ds2c2_snr_decibels" not in types  # not known
    assert 'source="udp://127.0.0.1:4000 \\"a\\\\b\\""' in text


def test_every_fate_is_shown_and_all_together_are_what_came(reception):
    """Whoever counts a packet: a count that ``LinkCounts`` gets and nobody shows is found here."""
    beside = {"received", "missing", "frames", "lost_frames", "resyncs"}  # of other things than packets that came
    fates = {field.name for field in fields(LinkCounts)} - beside
    assert set(FATES) == fates | {"failed_crc", "unreadable", "unread", *TURNED_AWAY}
    counts = LinkCounts(received=1000, **{name: 1 << place for place, name in enumerate(sorted(fates))})
    nothing = np.zeros((5, STREAM.packet_bytes), np.uint8)
    heard = Arrivals(nothing, intact=np.zeros(5, bool), unreadable=7)
    reception.arrived(heard, counts, dict.fromkeys(TURNED_AWAY, 1 << 20))
    shown = reception.stats()["packets"]
    assert shown["received"] == sum(shown[name] for name in FATES) == (1 << len(fates)) - 1 + 12 + (3 << 20)
    samples = [SAMPLE.fullmatch(line) for line in metrics_text(reception).splitlines() if not line.startswith("#")]
    by_fate = {one[2]: float(one[3]) for one in samples if one[1] == "ds2c2_packets_total"}
    assert by_fate == {f'fate="{name}"': shown[name] for name in FATES}
    (total,) = [float(one[3]) for one in samples if one[1] == "ds2c2_packets_received_total"]
    assert total == sum(by_fate.values())
    script = (resources.files("ds2c2.watch") / "page.js").read_text()
    listed = re.search(r"const FATES = \{(.*?)\n\};", script, re.DOTALL)[1]
    assert set(re.findall(r"(\w+): \[", listed)) == {*FATES, "missing"}


def test_every_address_of_the_page(reception, page):
    assert ask(page, "/picture.png").status == 404
    reception.shown(frame(3), picture(77))
    reception.arrived(*came(5))
    kinds = {
        "/": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8",
        "/page.js": "text/javascript; charset=utf-8", "/icon.svg": "image/svg+xml", "/stats.json": "application/json",
        "/metrics": "text/plain; version=0.0.4; charset=utf-8", "/picture.png": "image/png",
        "/picture.jpg": "image/jpeg", "/stream.mjpg": f"multipart/x-mixed-replace; boundary={BOUNDARY}",
    }  # fmt: skip
    for path, kind in kinds.items():
        for method in ("GET", "HEAD"):
            answer = ask(page, f"{path}?now", method) if path != "/stream.mjpg" else ask(page, path, "HEAD")
            assert (answer.status, answer.getheader("Content-Type")) == (200, kind), path
            assert answer.getheader("X-Content-Type-Options") == "nosniff"
            assert answer.getheader("Cross-Origin-Resource-Policy") == "same-origin"
            assert bool(answer.data) == (method == "GET" and path != "/stream.mjpg")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(ask(page, "/picture.png").data))), picture(77))
    stats = json.loads(ask(page, "/stats.json").data)
    assert stats["frame"]["number"] == 3 and stats["packets"]["used"] == 5 and stats["clients"] == 1
    assert ask(page, "/../etc/passwd").status == ask(page, "/page.html").status == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        refused = ask(page, "/stats.json", method)
        assert refused.status == 405 and refused.getheader("Allow") == "GET, HEAD"


def test_the_page_asks_nobody_else(page):
    """It works without a network, and tells nobody that it is looked at."""
    page_files = b"".join(ask(page, path).data for path in ("/", "/page.css", "/page.js", "/icon.svg"))
    outside = re.findall(rb"(?:https?:)?//[\w.]+\.[a-z]+[^\s\"']*", page_files)
    assert set(outside) <= {b"http://www.w3.org/2000/svg"}  # the name of a language


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost:9999", 200), ("LOCALHOST.", 200), ("[::1]:8080", 200), ("192.0.2.7:80", 200),
        (f"{socket.gethostname()}:1", 200), ("rebound.example", 421), ("localhost.rebound.example:8080", 421),
        ("127.0.0.1.rebound.example", 421), ("[::1", 421), ("", 400),
    ],
)  # fmt: skip
def test_a_name_that_points_here_from_elsewhere_is_refused(page, host, status):
    assert ask(page, "/stats.json", host=host).status == status


def parts_of(file) -> bytes:  # noqa: ANN001 - a socket's file
    """The next picture of a stream."""
    headers = {}
    while (line := file.readline().strip()) != b"":
        name, _, value = line.partition(b": ")
        headers[name] = value
    data = file.read(int(headers[b"Content-Length"]))
    assert headers[b"Content-Type"] == b"image/jpeg"
    assert file.readline() == b"\r\n" and file.readline() == f"--{BOUNDARY}\r\n".encode()
    return data


def test_a_slow_client_gets_the_newest_and_holds_nobody_up(reception, page):
    """One that never reads, while another reads all that comes."""
    noise = np.random.default_rng(1).integers(0, 256, (200, STREAM.height, STREAM.width, 3), np.uint8)
    with socket.create_connection(page.server_address) as slow, socket.create_connection(page.server_address) as quick:
        for one in (slow, quick):
            one.settimeout(60)
            one.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        file = quick.makefile("rb")
        while file.readline().strip() != b"":
            pass
        assert file.readline() == f"--{BOUNDARY}\r\n".encode()
        for number, pixels in enumerate(noise):
            reception.shown(frame(number), pixels)
        reception.shown(frame(200), picture(200))
        seen = []
        while not seen or seen[-1] != reception.encoded("JPEG")[1]:
            seen.append(parts_of(file))
        assert np.asarray(Image.open(io.BytesIO(seen[-1]))).mean() == pytest.approx(200, abs=1)
        assert len(seen) <= 201


def test_a_browser_gets_the_next_pictures_headers_early(reception, page):
    """Else it shows each picture when the next one comes."""
    reception.shown(frame(0), picture(50))
    data = reception.encoded("JPEG")[1]
    with socket.create_connection(page.server_address) as browser:
        browser.settimeout(60)
        browser.sendall(b"GET /stream.mjpg?early&1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        file = browser.makefile("rb")
        while file.readline().strip() != b"":
            pass
        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
        expected = head + data + b"\r\n" + head
        assert file.read(len(expected)) == expected


def connected(page: PageServer, count: int, address: str) -> list[socket.socket]:
    return [socket.create_connection(page.server_address, source_address=(address, 0)) for _ in range(count)]


def answered(page: PageServer, address: str) -> bytes:
    """How the page answers somebody who asks from an address."""
    with connected(page, 1, address)[0] as asking:
        asking.settimeout(60)
        with contextlib.suppress(ConnectionError):
            asking.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return asking.recv(100)[:13]
    return b""


def test_who_only_connects_keeps_nobody_out_who_asks(reception, page):
    """Its oldest connection gives up its place, the others stay; and the reception is kept out of nothing."""
    mine, theirs = connected(page, MOST_OF_ONE, "127.0.0.1"), connected(page, MOST_CLIENTS - MOST_OF_ONE, "127.0.0.2")
    left = threading.Event()
    while page.clients < MOST_CLIENTS and not left.wait(0.01):
        pass
    mine[1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
    for place, address in enumerate(("127.0.0.1", "127.0.0.1", "127.0.0.3")):
        # No place is free again yet when the next one asks.
        assert answered(page, address) == b"HTTP/1.1 200 ", place
        mine += connected(page, 1, "127.0.0.1")
    # What can be read of who never asked is the end of its connection.
    gone, _, _ = select.select([*mine, *theirs], [], [], 0)
    assert mine[0] in gone and mine[0].recv(100) == b"" and not set(theirs) & set(gone)
    for one in (*mine, *theirs):
        one.close()
    while page.clients and not left.wait(0.01):
        pass
    assert ask(page, "/metrics").status == 200


def test_no_more_are_answered_at_a_time_than_are_allowed(reception, page):
    """Those who have asked keep their places, one address alone only from itself."""
    watching = connected(page, MOST_OF_ONE, "127.0.0.1")
    for one in watching:
        one.settimeout(60)
        one.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert one.recv(13) == b"HTTP/1.1 200 "
    assert answered(page, "127.0.0.1") in (b"HTTP/1.1 503 ", b"")  # or reset, since the question was not read
    assert answered(page, "127.0.0.2") == b"HTTP/1.1 200 "
    for one in watching:
        one.close()


@pytest.mark.parametrize("begin", [b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_request_that_drips_is_let_go(reception, begin):
    """However often a byte of it comes: it ends when the server closes the connection."""
    with PageServer(reception, "127.0.0.1", 0, head_seconds=0.3) as page:
        with socket.create_connection(page.server_address) as dripping:
            dripping.sendall(begin)
            dripping.settimeout(0.02)  # between two bytes, far less than the server waits for
            with contextlib.suppress(ConnectionError):
                while True:
                    try:
                        assert dripping.recv(100) == b""
                        break
                    except TimeoutError:
                        dripping.sendall(b"a")
        left = threading.Event()
        while page.clients and not left.wait(0.01):
            pass
        assert ask(page, "/metrics").status == 200


def test_closing_ends_streams_and_frees_the_port(reception):
    reception.shown(frame(0), picture(1))
    page = PageServer(reception, "localhost", 0)
    with socket.create_connection(page.server_address[:2]) as watching:
        watching.settimeout(60)
        watching.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        watching.recv(10)
        reception.end()
        page.close()
        page.close()
        while watching.recv(1 << 16):
            pass
    with PageServer(reception, "127.0.0.1", page.server_address[1]):
        pass


def test_where_a_page_may_be(reception, page):
    assert parse_http_address("8080") == ("127.0.0.1", 8080)
    assert parse_http_address("[::1]:80") == ("::1", 80)
    for wrong in ("", "http://a:80", "a:b:80", "localhost", "127.0.0.1:99999", "127.0.0.1:80/"):
        with pytest.raises(LinkError, match="write 127.0.0.1:8080"):
            parse_http_address(wrong)
    with pytest.raises(LinkError, match=r"--http 0\.0\.0\.0:0: others can reach it.*--http-anyone"):
        PageServer(reception, "0.0.0.0", 0)
    with pytest.raises(LinkError, match="cannot listen there"):
        PageServer(reception, *page.server_address)
    with pytest.raises(LinkError, match="cannot listen there"):
        PageServer(reception, "192.0.2.1", 8080, anyone=True)  # of a network that is nobody's (RFC 5737)
    with PageServer(reception, "0.0.0.0", 0, anyone=True) as open_:
        assert ask(open_, "/metrics").status == 200


@pytest.mark.parametrize("anyone", [False, True])
def test_a_page_at_a_host_that_nobody_knows(reception, anyone):
    with pytest.raises(LinkError, match=r"--http nohost\.invalid:8080: host nohost\.invalid cannot be found"):
        PageServer(reception, "nohost.invalid", 8080, anyone)
    with pytest.raises(LinkError, match="no address with a port"):
        parse_http_address("nohost.invalid")
