# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a radio's samples go to and come from: the table of back ends. Imports no GNU Radio and no driver.

To add one takes three things: ``python_blocks/_radio_x.py`` with the functions ``sink`` and ``source``, an entry here,
and a paragraph in docs/radio.md. What an entry names is imported when the back end is first opened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ds2c2.transport.udp import is_loopback

# Settings that say something to every back end, and to real radios only.
COMMON_FIELDS = frozenset({"address", "rate", "scale", "air"})
RADIO_FIELDS = COMMON_FIELDS | {
    "frequency", "lo_offset", "gain", "antenna", "bandwidth", "subdevice", "clock_source", "time_source",
    "lock_timeout", "continuous", "transmit", "max_duration",
}  # fmt: skip

# What UHD's devices call their clocks and their time (its manual, "Synchronization", and the pages of X410 and E31x).
UHD_CLOCK_SOURCES = frozenset({"internal", "external", "mimo", "gpsdo", "mboard", "nsync"})
UHD_TIME_SOURCES = frozenset({"none", *UHD_CLOCK_SOURCES, "_external_", "gps", "pps", "sfp0", "qsfp0"})


def _no_trouble(address: str, keys: str) -> str:
    return ""


@dataclass(frozen=True)
class RadioBackend:
    """One back end.

    Args:
        module: in ``gnuradio.ds2c2``, with ``sink(settings, note)`` and ``source(settings)``, which open it and
            return a block; ``note`` is what a recording says of its samples, text form and configuration
        words: what it is, for help texts
        hardware: a real radio, which must be allowed to send and has an air of its own
        address: where it is when nobody says
        fields: settings that it uses
        between_processes: its two ends need not be in one process
        trouble: what is wrong with an address (and a folder of keys), and the remedy; empty if nothing is
        events: its sink tells of underruns and late packets, on message port ``async_msgs``
        clock_sources, time_sources: that its devices have; empty: only the device knows
    """

    module: str
    words: str
    hardware: bool = False
    address: str = ""
    fields: frozenset[str] = COMMON_FIELDS
    between_processes: bool = True
    trouble: Callable[[str, str], str] = _no_trouble
    events: bool = False
    clock_sources: frozenset[str] = frozenset()
    time_sources: frozenset[str] = frozenset()


def _endpoint_trouble(address: str, keys: str) -> str:
    # A sender may have any free port: tcp://127.0.0.1:*
    parts = urlsplit(address.replace(":*", ":0"))
    try:
        whole = parts.scheme == "ipc" or (parts.scheme == "tcp" and parts.hostname and parts.port is not None)
    except ValueError:
        whole = False
    if not whole:
        return f"{address!r} is no endpoint; write tcp://127.0.0.1:5557 or ipc://PATH"
    if parts.scheme == "tcp" and not is_loopback(parts.hostname) and not keys:
        return (
            f"others can reach {address}; give keys (`ds2c2 serve keys` makes them), or stay on "
            "127.0.0.1 and let ssh carry it"
        )
    return ""


def _recording_trouble(address: str, keys: str) -> str:
    return "" if address else "no recording is named; give its path as address"


def _driver_trouble(address: str, keys: str) -> str:
    return "" if "driver=" in address else f"device {address!r} names no driver; write driver=lime or the like"


BACKENDS = {
    "sim": RadioBackend(
        "_radio_sim",
        "one process",
        address="air",
        fields=COMMON_FIELDS | {"timeout"},
        between_processes=False,
    ),
    "zmq": RadioBackend(
        "_radio_zmq",
        "samples to another process",
        address="tcp://127.0.0.1:5557",
        fields=COMMON_FIELDS | {"timeout", "keys", "peer"},
        trouble=_endpoint_trouble,
    ),
    "file": RadioBackend(
        "_radio_file", "a SigMF recording", fields=COMMON_FIELDS | {"frequency"}, trouble=_recording_trouble
    ),
    "uhd": RadioBackend(
        "_radio_uhd",
        "USRP",
        hardware=True,
        fields=RADIO_FIELDS,
        events=True,
        clock_sources=UHD_CLOCK_SOURCES,
        time_sources=UHD_TIME_SOURCES,
    ),
    "soapy": RadioBackend(
        "_radio_soapy", "whatever SoapySDR knows", hardware=True, fields=RADIO_FIELDS, trouble=_driver_trouble
    ),
}
