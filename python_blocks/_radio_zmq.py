# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples between two processes over ZeroMQ PUSH and PULL.

Messages are plain ``complex64`` samples, those of GNU Radio's ``zeromq.push_sink`` and
``pull_source``, which may be at the other end. What theirs do not have: an empty message says that
the sender has ended, and a sender that ends stays until its receiver has left. (A connection that is
closed loses what a slow receiver's host holds of it, at the receiver: libzmq 4.3 throws it away.)
"""

import time

import numpy as np
import zmq
from gnuradio import gr
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from ds2c2.errors import LinkError
from ds2c2.links.radiosettings import ReceiveSettings, TransmitSettings
from ds2c2.serve.keys import load_keys
from ds2c2.serve.pipe import end_context

from ._backend import RecordingNote
from ._failures import WORK_DONE, guarded, say
from ._lasting import Lasting
from ._waiting import POLL_SECONDS, Patience

MESSAGE_SAMPLES = 1 << 15  # at most
# Messages that wait at each end: a virtual radio must not hold minutes of air.
HIGH_WATER = 4
# That a receiver has to take what is left when the sender has ended; GNU Radio's own one never leaves.
DRAIN_SECONDS = 30.0
SAMPLE_BYTES = 8


def sink(settings: TransmitSettings, note: RecordingNote):
    """A block that sends to another process. Raises ``LinkError``."""
    return zmq_sink(settings.address, settings.timeout, settings.keys)


def source(settings: ReceiveSettings):
    """A block that hears what such a one sends. Raises ``LinkError``."""
    return zmq_source(settings.address, settings.timeout, settings.keys, settings.peer)


class zmq_sink(Lasting, gr.sync_block):
    """Complex samples to whoever connects; waits while nobody does."""

    def __init__(self, endpoint: str, timeout: float, keys: str = ""):
        ring = load_keys(keys) if keys else None
        gr.sync_block.__init__(self, name="radio_sink", in_sig=[np.complex64], out_sig=None)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, HIGH_WATER)
        self._receivers: set[int] = set()  # connections, those that are turned away for a moment too
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._authenticator = None
        try:
            if ring:
                # Without one, a listening socket lets in every key.
                self._authenticator = ThreadAuthenticator(self._context)
                self._authenticator.start()
                self._authenticator.configure_curve(domain="*", location=str(ring.folder))
                self._socket.curve_publickey, self._socket.curve_secretkey = ring.public, ring.secret
                self._socket.curve_server = True
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._close()
            raise LinkError(f"radio zmq: cannot send at {endpoint} ({error.strerror}); choose another") from None
        self.endpoint = self._socket.get(zmq.LAST_ENDPOINT).decode().rstrip("\0")
        self._told_of_two = False
        keys_too = " whose key is known here" if ring else ""
        self._patience = Patience(timeout, f"nobody takes samples at {endpoint}; is a receiver running{keys_too}?")

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        samples = input_items[0][:MESSAGE_SAMPLES]
        ready = self._socket.poll(int(1000 * POLL_SECONDS), zmq.POLLOUT)
        self._patience.check(ready)
        if not ready:
            return 0
        self._look_for_receivers(0)
        if len(self._receivers) > 1 and not self._told_of_two:
            self._told_of_two = True
            say(
                "radio_sink",
                f"{len(self._receivers)} receivers take samples at {self.endpoint}, so each gets a part of them and "
                "none a signal; leave one, or send packets to several by a multicast group, udp://239...",
            )
        self._socket.send(samples.tobytes())
        return len(samples)

    def stop(self) -> bool:
        if not self._socket.closed:
            self._look_for_receivers(0)
            until = time.monotonic() + DRAIN_SECONDS
            told = False
            # Ends when everything is taken: then whoever reads the end leaves.
            while self._receivers and time.monotonic() < until:
                if not told and self._socket.poll(int(1000 * POLL_SECONDS), zmq.POLLOUT):
                    self._socket.send(b"")
                    told = True
                self._look_for_receivers(POLL_SECONDS if told else 0)
            self._close()
            say("radio_sink", f"{self.nitems_read(0)} samples sent to {self.endpoint}")
        return True

    def _close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close()
        if self._authenticator is not None:
            self._authenticator.stop()
        end_context(self._context)

    def _look_for_receivers(self, wait: float) -> None:
        while self._monitor.poll(int(1000 * wait)):
            news = recv_monitor_message(self._monitor)
            change = self._receivers.add if news["event"] == zmq.EVENT_ACCEPTED else self._receivers.discard
            change(news["value"])


class zmq_source(Lasting, gr.sync_block):
    """Complex samples from a sender that may start later, or anew; ends when it has ended."""

    def __init__(self, endpoint: str, timeout: float, keys: str = "", peer: str = ""):
        ring = load_keys(keys) if keys else None
        server_key = ring.other(peer) if ring else None
        gr.sync_block.__init__(self, name="radio_source", in_sig=None, out_sig=[np.complex64])
        self.malformed = 0  # messages that are no samples
        self._endpoint = endpoint
        self._pending = np.zeros(0, np.complex64)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RCVHWM, HIGH_WATER)
        try:
            if ring:
                self._socket.curve_publickey, self._socket.curve_secretkey = ring.public, ring.secret
                self._socket.curve_serverkey = server_key
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._socket.close()
            raise LinkError(f"radio zmq: cannot listen to {endpoint} ({error.strerror})") from None
        keys_too = " that knows this host's key" if ring else ""
        self._patience = Patience(timeout, f"no samples come from {endpoint}; is a sender running{keys_too}?")

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        out = output_items[0]
        if not len(self._pending):
            ready = self._socket.poll(int(1000 * POLL_SECONDS), zmq.POLLIN)
            self._patience.check(ready)
            if not ready:
                return 0
            message = self._socket.recv()
            if not message:
                return WORK_DONE
            if len(message) % SAMPLE_BYTES:
                self.malformed += 1
                return 0
            self._pending = np.frombuffer(message, np.complex64)
        count = min(len(out), len(self._pending))
        out[:count], self._pending = self._pending[:count], self._pending[count:]
        return count

    def stop(self) -> bool:
        if not self._socket.closed:
            self._socket.close(0)
            end_context(self._context)
            malformed = f", {self.malformed} messages that are no samples" if self.malformed else ""
            say("radio_source", f"{self.nitems_written(0)} samples came from {self._endpoint}{malformed}")
        return True
