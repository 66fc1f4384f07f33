# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the binary files of ``traces/``: captures, KISS frames and SSDV packets made by hand, by no code of ours.

The same losses are in each: of 12 packets those in ``LOST`` never came.
"""

import struct
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent / "traces"
COUNT, LOST = 12, (2, 5, 6, 10)
FIRST_RTP = 65530  # wraps after 6 packets
SSRC = 0x5EED0001


def rtp(number: int) -> bytes:
    return struct.pack(">BBHII", 0x80, 96, (FIRST_RTP + number) % 65536, 160 * number, SSRC) + b"sound"


def ethernet(payload: bytes, port: int = 5004) -> bytes:
    udp = struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload
    ip = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    )
    return bytes(12) + b"\x08\x00" + ip + udp


def pcap(frames: list[bytes]) -> bytes:
    """Microseconds, little-endian, Ethernet; a packet each 20 ms."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for place, frame in enumerate(frames):
        out += struct.pack("<IIII", 1700000000, 20000 * place, len(frame), len(frame)) + frame
    return out


def pcapng(frames: list[bytes]) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 65535))
    for place, frame in enumerate(frames):
        time = 1700000000 * 10**6 + 20000 * place
        out += block(6, struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame)) + frame)
    return out


def kiss(packet: bytes) -> bytes:
    return b"\xc0\x00" + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def ssdv(image: int, number: int, last: bool) -> bytes:
    call = 0
    for letter in reversed("TEST"):
        call = 40 * call + ord(letter) - ord("A") + 14
    head = struct.pack(">BIBHBBBBH", 0x67, call, image, number, 20, 15, 4 if last else 0, 0, number)
    body = head + bytes((7 * n + number) % 256 for n in range(251 - len(head)))
    return b"\x55" + body + struct.pack(">I", zlib.crc32(body))


def main() -> None:
    arrived = [n for n in range(COUNT) if n not in LOST]
    frames = [ethernet(rtp(n)) for n in arrived]
    # A query of the same host's, which is no packet of the stream.
    frames.insert(3, ethernet(b"\x12\x34\x01\x00what is my address", 53))
    (FOLDER / "rtp.pcap").write_bytes(pcap(frames))
    (FOLDER / "rtp.pcapng").write_bytes(pcapng(frames))
    # Two images of 6 packets; the first one's end came, the second one's did not.
    pictures = [ssdv(n // 6, n % 6, n % 6 == 5) for n in (*range(5), 5, 7, 8, 10)]
    (FOLDER / "images.ssdv").write_bytes(b"".join(pictures))
    (FOLDER / "images.kiss").write_bytes(b"".join(kiss(packet) for packet in pictures))
    counted = [bytes([0xC0, 0xDB, (250 + n) % 256, n]) + b"telemetry" for n in arrived]
    (FOLDER / "counter.kiss").write_bytes(b"".join(map(kiss, counted)))


if __name__ == "__main__":
    main()
