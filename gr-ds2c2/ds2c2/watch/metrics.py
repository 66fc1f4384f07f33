# SPDX-License-Identifier: GPL-3.0-or-later
"""A reception's numbers as Prometheus reads them: its text format, version 0.0.4.

Written by hand: the format is a line a value, and the package that does it is made for counters of its own.
"""

from ds2c2.transport.fates import FATES
from ds2c2.watch.reception import Reception

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(reception: Reception, clients: int = 0) -> str:
    """All metrics; what is not known is left out."""
    stats = reception.stats()
    packets, frame, now, signal = stats["packets"], stats["frame"] or {}, stats["now"], stats["signal"]
    lines: list[str] = []

    def add(name: str, kind: str, help_: str, *samples: tuple[dict[str, str], float | None]) -> None:
        known = [(labels, value) for labels, value in samples if value is not None]
        if known:
            lines.append(f"# HELP ds2c2_{name} {help_}")
            lines.append(f"# TYPE ds2c2_{name} {kind}")
            lines.extend(f"ds2c2_{name}{_labels(labels)} {value!r}" for labels, value in known)

    def one(name: str, kind: str, help_: str, value: float | None) -> None:
        add(name, kind, help_, ({}, value))

    add("stream_info", "gauge", "The stream that is listened to.",
        ({"format": stats["stream"]["format"], "source": stats["source"]}, 1))  # fmt: skip
    one("uptime_seconds", "gauge", "Seconds since the reception began.", stats["uptime_s"])
    one("signal_present", "gauge", "1 while packets of the stream come.", int(signal["present"]))
    one("signal_silence_seconds", "gauge", "Seconds since the last packet of the stream.", signal["silent_s"])
    one("packets_received_total", "counter", "All that came: the sum of ds2c2_packets_total.", packets["received"])
    add("packets_total", "counter", "Packets and datagrams by what became of them.",
        *(({"fate": fate}, packets[fate]) for fate in FATES))  # fmt: skip
    one(
        "blocks_missing_total", "counter", "Code blocks that never came, of frames that were shown.", packets["missing"]
    )
    one("resyncs_total", "counter", "Restarts of the sender that were followed.", packets["resyncs"])
    add("frames_total", "counter", "Frames by what became of them.",
        *(({"fate": fate}, stats["frames"][fate]) for fate in ("received", "concealed", "lost")))  # fmt: skip
    add("host_events_total", "counter", "Underruns, overruns and late packets of this host.",
        *(({"kind": kind}, count) for kind, count in sorted(stats["host"].items())))  # fmt: skip
    one("packet_error_ratio", "gauge", "Share of the code blocks lost, mean of five seconds.", now["per"])
    one("frames_per_second", "gauge", "Frames a second, mean of five seconds.", now["frames_per_s"])
    one("packets_per_second", "gauge", "Packets of the stream a second, mean of five seconds.", now["packets_per_s"])
    one("frame_number", "gauge", "Number of the frame that was released last.", frame.get("number"))
    one("frame_loss_ratio", "gauge", "Share of that frame's code blocks lost.", frame.get("loss"))
    one("frame_psnr_decibels", "gauge", "PSNR of that frame, where its original is known.", frame.get("psnr_db"))
    one("frame_ms_ssim", "gauge", "MS-SSIM of that frame, where its original is known.", frame.get("ms_ssim"))
    one("frame_delay_seconds", "gauge", "From sender to screen, where the sender stamps frames.", frame.get("delay_s"))
    one("snr_decibels", "gauge", "SNR of the packets heard last, where there is a radio.", stats["link"]["snr_db"])
    one("carrier_offset_ratio", "gauge", "Carrier offset in cycles a sample.", stats["link"]["cfo"])
    one("http_clients", "gauge", "Connections to this page.", clients)
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
