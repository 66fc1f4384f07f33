# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets over UDP on loopback: they arrive, and what is wrong is named."""

import math
import threading

import numpy as np
import pytest

from ds2c2.errors import LinkError
from ds2c2.transport.outbox import Outbox
from ds2c2.transport.sizes import TOLD_APART, OtherSizes
from ds2c2.transport.udp import Multicast, UdpReceiver, UdpSender, is_loopback, parse_address, parse_multicast

PATIENCE = 10.0  # seconds that a datagram may take on a busy machine


def free_receiver(packet_size: int) -> tuple[UdpReceiver, int]:
    """A receiver on a port that the kernel chose."""
    receiver = UdpReceiver("127.0.0.1", 0, packet_size)
    return receiver, receiver._socket.getsockname()[1]


def test_packets_arrive_and_other_lengths_are_counted():
    receiver, port = free_receiver(48)
    sender = UdpSender("127.0.0.1", port, rate=1e6)
    packets = np.random.default_rng(1).integers(0, 256, (100, 48), np.uint8)
    sender.send(packets[:, :20])
    sender.send(packets[:3, :0])
    sender.send(packets)
    received = np.zeros((0, 48), np.uint8)
    while len(received) < 100 and len(more := receiver.read(PATIENCE)):
        received = np.concatenate([received, more])
    sender.close()
    receiver.close()
    assert np.array_equal(received, packets)
    assert (receiver.other_sizes, receiver.empty, receiver.dropped) == ({20: 100}, 3, 0)
    assert (sender.sent, sender.refused) == (203, 0)


def test_other_sizes_in_words():
    """Each number says what it counts; of a flood of sizes no more is kept than bounds allow."""
    sizes = OtherSizes()
    assert sizes.words("PDU", 110) == ""
    sizes.note(1)
    assert sizes.words("PDU", 110) == "1 PDU of 1 byte where 110 are wanted"
    for size in (9000, 9000, 44):
        sizes.note(size)
    assert sizes.words("PDU", 110) == "4 PDUs of 3 sizes, 2 of them of 9000 bytes, where 110 are wanted"
    for size in range(1000):
        sizes.note(size)
    assert len(sizes) == TOLD_APART + 1
    assert sizes.words("PDU", 110) == "1004 PDUs of more than 64 sizes, 2 of them of 1 byte, where 110 are wanted"


def test_silence_is_no_packets():
    receiver, _ = free_receiver(48)
    assert receiver.read(0.0).shape == (0, 48)
    receiver.close()


def test_a_wait_without_end_ends_with_a_packet():
    receiver, port = free_receiver(48)
    sender = UdpSender("127.0.0.1", port)
    later = threading.Timer(0.1, sender.send, [np.ones((1, 48), np.uint8)])
    later.start()
    assert len(receiver.read(math.inf)) == 1
    later.join()
    sender.close()
    receiver.close()


def test_a_port_in_use_is_named():
    receiver, port = free_receiver(48)
    with pytest.raises(LinkError, match=f"udp://127.0.0.1:{port}: cannot listen there"):
        UdpReceiver("127.0.0.1", port, 48)
    receiver.close()


@pytest.mark.parametrize("host", ["a" * 70, "256.256.256.256"])
def test_a_host_that_is_none_is_named(host):
    with pytest.raises(LinkError, match="cannot be reached"):
        UdpSender(host, 5005)


def test_a_host_that_nobody_knows_is_not_listened_at():
    with pytest.raises(
        LinkError, match=r"host nohost\.invalid cannot be found \(.*\); write an address, 127.0.0.1:5005"
    ):
        UdpReceiver("nohost.invalid", 5005, 48)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_none_is_named(rate):
    with pytest.raises(LinkError, match="rate"):
        UdpSender("127.0.0.1", 5005, rate)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("udp://127.0.0.1:5005", ("127.0.0.1", 5005)),
        ("udp://[::1]:9", ("::1", 9)),
        ("udp://localhost:65535", ("localhost", 65535)),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1:5005", "tcp://127.0.0.1:5005", "udp://127.0.0.1", "udp://:5005", "udp://h:70000", "udp://h:x"],
)
def test_what_is_no_address_is_named(text):
    with pytest.raises(LinkError) as error:
        parse_address(text)
    assert repr(text) in str(error.value)
    assert "udp://127.0.0.1:5005" in str(error.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_loopback(host, loopback):
    assert is_loopback(host) is loopback


def test_a_group_reaches_several_receivers_of_one_host():
    """Over loopback alone, so that no packet leaves this host."""
    group, here = "239.255.17.3", "127.0.0.1"
    first = UdpReceiver(group, 0, 48, here)
    port = first._socket.getsockname()[1]
    second = UdpReceiver(group, port, 48, here)
    sender = UdpSender(group, port, 1e6, parse_multicast(f"udp://{group}:{port}?ttl=0&interface={here}"))
    packets = np.random.default_rng(2).integers(0, 256, (50, 48), np.uint8)
    sender.send(packets)
    for receiver in (first, second):
        received = np.zeros((0, 48), np.uint8)
        while len(received) < 50 and len(more := receiver.read(PATIENCE)):
            received = np.concatenate([received, more])
        assert np.array_equal(received, packets)
    for end in (sender, first, second):
        end.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("udp://127.0.0.1:9?ttl=2", "for multicast groups"),
        ("udp://239.1.1.1:9?ttl=256", "write \\?ttl=4"),
        ("udp://239.1.1.1:9?speed=2", "write \\?ttl=4"),
        ("udp://239.1.1.1:9?interface=eth0", "IPv4 address"),
    ],
)
def test_what_is_said_of_a_group_is_checked(text, words):
    with pytest.raises(LinkError, match=words):
        parse_multicast(text)
    assert parse_multicast("udp://239.1.1.1:9?ttl=4&interface=127.0.0.1") == Multicast(4, "127.0.0.1")
    assert parse_multicast("udp://127.0.0.1:9") == Multicast()


def test_groups_of_ipv6_are_named():
    with pytest.raises(LinkError, match="groups of IPv6"):
        parse_address("udp://[ff02::1]:9")


def test_an_outbox_sends_in_order_and_hands_its_error_on():
    sent = []
    with Outbox(sent.append) as outbox:
        for number in range(5):
            outbox.put(np.full((1, 3), number))
    assert [int(packets[0, 0]) for packets in sent] == [0, 1, 2, 3, 4]

    def refuse(packets):
        raise LinkError("no way")

    with pytest.raises(LinkError, match="no way"), Outbox(refuse) as outbox:
        for _ in range(5):
            outbox.put(np.zeros((1, 3)))
