# SPDX-License-Identifier: GPL-3.0-or-later
"""Pipes with real sockets and real keys: who gets in, who comes back, and what is not lost."""

import threading
import time
from types import SimpleNamespace

import pytest

import ds2c2.serve.pipe as pipe_module
from ds2c2.errors import LinkError
from ds2c2.serve.keys import load_keys, make_keys
from ds2c2.serve.pipe import Address, Inbox, Pipe
from freeport import free_port

DEADLINE = 30.0  # seconds: far above what any of these takes


def free_address() -> Address:
    return Address.parse(f"tcp://127.0.0.1:{free_port()}")


def deliver(sender, message):
    until = time.monotonic() + DEADLINE
    news = []
    while not sender.send(message, 0.05):
        news += sender.news()
        assert time.monotonic() < until, news
    return news


def take(receiver):
    until = time.monotonic() + DEADLINE
    while (message := receiver.receive(0.05)) is None:
        receiver.news()
        assert time.monotonic() < until
    return message


def news_until(pipe, word):
    """News up to the line that has this word; fails when it does not come."""
    until, lines = time.monotonic() + DEADLINE, []
    while not any(word in line for line in lines):
        assert time.monotonic() < until, lines
        lines += pipe.news()
        time.sleep(0.01)
    return lines


@pytest.fixture
def opened():
    """Open pipes; those that are left are closed."""
    pipes = []

    def open_(*arguments, **options):
        pipes.append(Pipe(*arguments, **options))
        return pipes[-1]

    yield open_
    for pipe in pipes:
        if not pipe.closed:
            pipe.close()


@pytest.fixture
def rings(tmp_path):
    """Key folders of a GPU host and a radio host that know each other, and of a stranger who knows them."""
    public = {name: make_keys(tmp_path / name, name)[0] for name in ("gpu", "radio", "stranger")}
    for owner, others in (("gpu", ["radio"]), ("radio", ["gpu"]), ("stranger", ["gpu"])):
        for other in others:
            (tmp_path / owner / f"{other}.key").write_bytes(public[other].read_bytes())
    return {name: load_keys(tmp_path / name) for name in public}


@pytest.mark.parametrize(
    "text", ["", "5601", "udp://127.0.0.1:5601", "tcp://127.0.0.1", "tcp://:1", "tcp://a:0", "tcp://a:b"]
)
def test_what_is_no_address(text):
    with pytest.raises(LinkError, match="tcp://127.0.0.1:5601"):
        Address.parse(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "gpu.example"])
def test_beyond_loopback_needs_keys(host):
    with pytest.raises(LinkError, match="ds2c2 serve keys"):
        Pipe(Address.parse(f"tcp://{host}:5601"), sends=True, listens=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_messages_in_order_and_the_last_ones_too(opened, host):
    """What a sender that is closed has sent is not lost, however slow the receiver."""
    address = Address.parse(free_address().text.replace("127.0.0.1", host))
    sender = opened(address, sends=True, listens=True)
    receiver = opened(address, sends=False, listens=False)
    sent = [bytes([number]) * 100_000 for number in range(10)]
    inbox = Inbox(receiver)
    for message in sent:
        deliver(sender, message)
    sender.close(DEADLINE)
    got = []
    until = time.monotonic() + DEADLINE
    while len(got) < len(sent) and time.monotonic() < until:
        item = inbox.get(0.1)
        if isinstance(item, bytes):
            got.append(item)
    inbox.close()
    assert got == sent


def test_closing_ends_even_if_zeromq_does_not(opened, monkeypatch):
    """A context that never ends is left alone, and not waited for."""
    monkeypatch.setattr(pipe_module, "END_SECONDS", 0.1)
    released, ended = threading.Event(), threading.Event()
    pipe = opened(free_address(), sends=True, listens=True)
    end = pipe._context.term

    def term():
        released.wait(DEADLINE)
        end()
        ended.set()

    monkeypatch.setattr(pipe, "_context", SimpleNamespace(term=term))
    pipe.close()
    assert pipe.closed and not ended.is_set()
    released.set()
    assert ended.wait(DEADLINE)


def test_nothing_is_sent_to_nobody(opened):
    """Neither side that sends counts a message as sent while nobody is there."""
    address = free_address()
    for listens in (True, False):
        assert not opened(address, sends=True, listens=listens).send(b"message", 0.05)


def test_a_receiver_that_comes_back(opened):
    """It is told, and what is sent from then on arrives."""
    address = free_address()
    sender = opened(address, sends=True, listens=True)
    first = opened(address, sends=False, listens=False)
    deliver(sender, b"one")
    assert take(first) == b"one"
    first.close()
    assert any("connected" in line for line in news_until(sender, "disconnected"))
    assert sender.peers == 0
    second = opened(address, sends=False, listens=False)
    news_until(sender, "connected")
    deliver(sender, b"two")
    assert take(second) == b"two"
    assert sender.peers == 1


def test_a_sender_that_comes_back(opened):
    address = free_address()
    receiver = opened(address, sends=False, listens=False)
    for message in (b"one", b"two"):
        sender = opened(address, sends=True, listens=True)
        deliver(sender, message)
        assert take(receiver) == message
        sender.close()
        news_until(receiver, "disconnected")


def test_a_second_receiver_is_told_of(opened):
    address = free_address()
    sender = opened(address, sends=True, listens=True)
    for _ in range(2):
        opened(address, sends=False, listens=False)
    news_until(sender, "dealt out")


def test_an_inbox_does_not_read_further_ahead_than_its_limit(opened):
    address = free_address()
    sender = opened(address, sends=True, listens=True)
    inbox = Inbox(opened(address, sends=False, listens=False), limit=1)
    size = 4 << 20  # far more than the sockets' own buffers hold of them
    sent = 0
    while sent < 20 and (sender.send(bytes(size), 0.5) or sender.news()):
        sent += 1
    inbox.close()
    assert inbox.waiting == 1
    # What is under way is with the sender, with the receiver's socket, and in the kernel.
    assert sent < 20


def test_port_in_use(opened):
    address = free_address()
    opened(address, sends=True, listens=True)
    with pytest.raises(LinkError, match="in use"):
        Pipe(address, sends=True, listens=True)


def test_hosts_that_know_each_other(opened, rings):
    address = free_address()
    for sends in (True, False):
        here = opened(address, sends=sends, listens=True, keys=rings["gpu"])
        there = opened(address, sends=not sends, listens=False, keys=rings["radio"])
        sender, receiver = (here, there) if sends else (there, here)
        deliver(sender, b"message")
        assert take(receiver) == b"message"
        there.close()
        here.close()


def test_strangers_are_turned_away(opened, rings):
    """With another key, with none, and with the wrong host's: no message, and both sides say why."""
    address = free_address()
    sender = opened(address, sends=True, listens=True, keys=rings["gpu"])
    with pytest.raises(LinkError, match="does not know our key"):
        news_until(opened(address, sends=False, listens=False, keys=rings["stranger"]), "never")
    with pytest.raises(LinkError, match="--keys"):
        news_until(opened(address, sends=False, listens=False), "never")
    assert "is not in" in news_until(sender, "key in")[0]
    assert sender.turned_away >= 2
    assert not sender.send(b"message", 0.05)
    known = opened(address, sends=False, listens=False, keys=rings["radio"])
    deliver(sender, b"message")
    assert take(known) == b"message"


def test_the_wrong_host(opened, rings):
    """A host that is not the one whose key we have gets nothing from us."""
    address = free_address()
    opened(address, sends=False, listens=True, keys=rings["stranger"])
    sender = opened(address, sends=True, listens=False, keys=rings["radio"])
    news_until(sender, "its key is not the one in")
    assert not sender.send(b"message", 0.05)


def test_a_host_without_keys(opened, rings):
    address = free_address()
    opened(address, sends=False, listens=True)
    with pytest.raises(LinkError, match="uses no keys"):
        news_until(opened(address, sends=True, listens=False, keys=rings["radio"]), "never")


def test_secret_keys_are_their_owner_s(tmp_path):
    public, secret = make_keys(tmp_path / "keys", "gpu")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert b"secret-key" not in public.read_bytes()
    secret.chmod(0o644)
    with pytest.raises(LinkError, match="chmod 600"):
        load_keys(tmp_path / "keys")


def test_keys_are_never_replaced(tmp_path):
    _, secret = make_keys(tmp_path, "gpu")
    before = secret.read_bytes()
    for name in ("gpu", "other"):
        with pytest.raises(LinkError, match="already"):
            make_keys(tmp_path, name)
    assert secret.read_bytes() == before
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "radio.key").write_text("another host's")
    with pytest.raises(LinkError, match="another host"):
        make_keys(tmp_path / "new", "radio")


@pytest.mark.parametrize("name", ["", "../gpu", ".gpu", "g p u"])
def test_what_is_no_name(tmp_path, name):
    with pytest.raises(LinkError, match="no name"):
        make_keys(tmp_path, name)


def test_key_folders_that_will_not_do(tmp_path):
    with pytest.raises(LinkError, match="no secret key"):
        load_keys(tmp_path / "nowhere")
    make_keys(tmp_path, "gpu")
    with pytest.raises(LinkError, match="no other host"):
        load_keys(tmp_path)
    (tmp_path / "radio.key").write_text("nonsense")
    with pytest.raises(LinkError, match="not a key file"):
        load_keys(tmp_path)


def test_which_host_s_key(rings):
    assert rings["radio"].other() == rings["radio"].other("gpu") == rings["gpu"].public
    with pytest.raises(LinkError, match="known: gpu"):
        rings["radio"].other("gqu")
    rings["radio"].others["third"] = b""
    with pytest.raises(LinkError, match="--peer"):
        rings["radio"].other()
