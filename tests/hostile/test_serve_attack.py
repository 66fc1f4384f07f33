# SPDX-License-Identifier: GPL-3.0-or-later
"""A few hostile peers of every kind at a host with keys; ``serve_attack.py`` sends thousands to the commands."""

import time

import pytest
from serve_attack import KINDS, Attack, rings

from ds2c2.serve import pipe as pipe_module
from ds2c2.serve.pipe import Address, Inbox, Pipe
from freeport import free_port

ROUNDS = 3
DEADLINE = 60.0  # seconds: far above what any of these takes


@pytest.fixture
def keys(tmp_path):
    return rings(tmp_path)


@pytest.fixture
def address():
    return Address.parse(f"tcp://127.0.0.1:{free_port()}")


def deliver(pipe, message):
    until = time.monotonic() + DEADLINE
    while not pipe.send(message, 0.1):
        pipe.news()
        assert time.monotonic() < until, "nobody took it"


def everything(inbox, count):
    """Messages until ``count`` have come, and lines of news."""
    messages, lines, until = [], [], time.monotonic() + DEADLINE
    while len(messages) < count and time.monotonic() < until:
        item = inbox.get(0.1)
        if item is not None:
            (messages if isinstance(item, bytes) else lines).append(item)
    return messages, lines


def test_a_receiver_takes_nothing_from_strangers_and_everything_from_its_peer(address, keys):
    inbox = Inbox(Pipe(address, sends=False, listens=True, keys=keys["gpu"]))
    attack = Attack(address, keys["stranger"], sends=True)
    attack.run(ROUNDS)
    genuine = Pipe(address, sends=True, listens=False, keys=keys["radio"])
    sent = [bytes([number]) * 1000 for number in range(5)]
    for message in sent:
        deliver(genuine, message)
    attack.run(1)
    messages, lines = everything(inbox, len(sent))
    genuine.close(10)
    attack.close()
    inbox.close()
    assert messages == sent
    assert attack.made == (ROUNDS + 1) * len(KINDS) and not attack.refused
    assert inbox.pipe.turned_away >= 3 * ROUNDS  # those that say something
    # A line for each kind of them and not for each of them.
    assert len([line for line in lines if "turned away" in line]) <= 2


def test_a_sender_gives_nothing_to_strangers_and_everything_to_its_peer(address, keys):
    sender = Pipe(address, sends=True, listens=True, keys=keys["gpu"])
    attack = Attack(address, keys["stranger"], sends=False)
    attack.run(ROUNDS)
    assert not sender.send(b"for nobody", 0.05)
    inbox = Inbox(Pipe(address, sends=False, listens=False, keys=keys["radio"]))
    sent = [bytes([number]) * 1000 for number in range(5)]
    for message in sent:
        deliver(sender, message)
    messages, _ = everything(inbox, len(sent))
    attack.close()
    inbox.close()
    sender.close()
    assert messages == sent


def test_no_room_is_made_for_a_message_of_any_size(address, monkeypatch):
    monkeypatch.setattr(pipe_module, "MOST_MESSAGE_BYTES", 10_000)
    inbox = Inbox(Pipe(address, sends=False, listens=True))
    sender = Pipe(address, sends=True, listens=False)
    deliver(sender, bytes(10_001))
    until = time.monotonic() + DEADLINE
    while not any("disconnected" in line for line in sender.news()):
        assert time.monotonic() < until
        time.sleep(0.01)
    deliver(sender, b"small")
    messages, _ = everything(inbox, 1)
    inbox.close()
    sender.close()
    assert messages == [b"small"]
