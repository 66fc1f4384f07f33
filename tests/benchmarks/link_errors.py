# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet error rates of the simulated links: the tables of docs/links.md.

python tests/benchmarks/link_errors.py [--packets 2000] [--only modulations --only fading ...]
"""

import argparse
import platform
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "gr-ds2c2"))
sys.path.insert(0, str(CHECKOUT / "tests"))

from checkout import use_checkout  # noqa: E402

use_checkout()

import numpy as np  # noqa: E402
from gnuradio import blocks, ds2c2, gr  # noqa: E402

from ds2c2.stream.packets import HEADER_BYTES, Packetizer  # noqa: E402
from ds2c2.stream.streamformat import StreamFormat  # noqa: E402

SHORT, LONGEST = 100, 1064  # bytes of a packet
SEED = 1
# GNU Radio's levels, threshold 0.7: what was measured with digital.ofdm_tx and a receiver of its parts.
REFERENCE = {11: 0.95, 12: 0.76, 13: 0.48, 14: 0.25, 16: 0.05, 18: 0.003}


def trial(packets, air, link="ofdm", size=SHORT, **modem):
    """Counts of random packets over a link."""
    stream = StreamFormat(512, 512, bpp=0.6, block_size=size - HEADER_BYTES, model="binary", base_redundancy=1)
    blocks_ = np.random.default_rng(SEED).integers(0, 256, (packets, stream.block_size), np.uint8)
    run = ds2c2.link_trial(stream, Packetizer(stream).pack(blocks_), link, f"{air} seed={SEED}", **modem)
    run.run_to_end()
    return run.counts


def rate(counts):
    return f"{1 - counts.passed / counts.sent:.4f}".rstrip("0").rstrip(".") if counts.passed < counts.sent else "0"


def table(headings, rows):
    print("|", " | ".join(headings), "|")
    print("|", " | ".join("---" for _ in headings), "|")
    for row in rows:
        print("|", " | ".join(map(str, row)), "|", flush=True)
    print(flush=True)


def split(counts):
    return rate(counts), counts.missed, counts.header_failed, counts.crc_failed


def reference(packets):
    """GNU Radio's levels against the figures known from its own parts."""
    rows = []
    for snr, known in REFERENCE.items():
        counts = trial(packets, f"snr={snr}", payload_level=2)
        rows.append((snr, known, *split(counts), f"{(1 - counts.passed / counts.sent) / known:.2f}"))
    table(("SNR dB", "known", "measured", "missed", "header", "CRC", "measured / known"), rows)


def modulations(packets):
    snrs = (6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 22, 24, 26)
    rows = []
    for modulation in ("bpsk", "qpsk", "8psk", "16qam"):
        for fec in ("none", "cc"):
            cells, last = [], 1.0
            for snr in snrs:
                counts = None if last == 0 else trial(packets, f"snr={snr}", modulation=modulation, fec=fec)
                last = 0 if counts is None else 1 - counts.passed / counts.sent
                cells.append("0" if counts is None else rate(counts))
            rows.append((modulation.upper(), fec, *cells))
    table(("modulation", "FEC", *(f"{snr} dB" for snr in snrs)), rows)


def reasons(packets):
    rows = [(snr, *split(trial(packets, f"snr={snr}"))) for snr in (8, 9, 10, 11, 12, 13, 14, 16)]
    table(("SNR dB", "lost", "missed", "header", "CRC"), rows)


def thresholds(packets):
    rows = []
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        row = [rate(trial(packets, f"snr={snr}", threshold=threshold)) for snr in (8, 10, 12, 14, 16)]
        rows.append((threshold, *row))
    table(("threshold", "8 dB", "10 dB", "12 dB", "14 dB", "16 dB"), rows)


def gmsk(packets):
    snrs = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 20)
    rows = []
    for symbol in (2, 4, 8):
        rows.append((symbol, *(rate(trial(packets, f"snr={s}", "gmsk", samples_per_symbol=symbol)) for s in snrs)))
    table(("samples/symbol", *(f"{snr} dB" for snr in snrs)), rows)


def lengths(packets):
    rows = []
    for link, snrs in (("ofdm", (12, 14, 16, 18)), ("gmsk", (6, 7, 8, 10))):
        for size in (40, SHORT, 300, LONGEST):
            count = max(50, packets * SHORT // size if size > SHORT else packets)
            rows.append((link, size, *(f"{rate(trial(count, f'snr={s}', link, size))} at {s} dB" for s in snrs)))
    table(("link", "bytes", "", "", "", ""), rows)


def offsets(packets):
    rows = []
    for what in ("cfo=0.01", "cfo=0.03", "cfo=0.05", "clock=1e-4", "clock=1e-3", "taps=1,0,0.5,0.3j"):
        for snr in (30, 20):
            cells = [rate(trial(packets, f"snr={snr} {what}")), rate(trial(packets, f"snr={snr} {what}", "gmsk"))]
            rows.append((what, snr, *cells))
    table(("offset or echo", "SNR dB", "OFDM", "GMSK"), rows)


def fading(packets):
    rows = []
    for kind in ("fading=rayleigh doppler=1e-5", "fading=rayleigh doppler=1e-4", "fading=rician k=4 doppler=1e-5"):
        for snr in (15, 20, 25):
            ofdm = trial(packets, f"snr={snr} {kind}")
            coded = trial(packets, f"snr={snr} {kind}", fec="cc")
            rows.append((kind, snr, rate(ofdm), rate(coded), rate(trial(packets, f"snr={snr} {kind}", "gmsk"))))
    table(("fading", "SNR dB", "OFDM", "OFDM, FEC cc", "GMSK"), rows)


def clean(packets):
    """Hardly any noise, and nothing but noise."""
    for link in ("ofdm", "gmsk"):
        print(f"{link}, 25 dB: {trial(10_000, 'snr=25', link).line()}", flush=True)
    for name in ("ofdm_demodulator", "gmsk_demodulator"):
        samples = 20_000_000
        stream = StreamFormat(512, 512, bpp=0.6, block_size=SHORT - HEADER_BYTES, model="binary", base_redundancy=1)
        demodulator = getattr(ds2c2, name)(stream)
        graph = gr.top_block()
        noise = ds2c2.radio_air(snr=0, seed=SEED)
        head = blocks.head(gr.sizeof_gr_complex, samples)
        graph.connect(blocks.null_source(gr.sizeof_gr_complex), noise, head, demodulator, blocks.null_sink(SHORT))
        graph.run()
        print(f"{name}, {samples} samples of noise: {demodulator.counts.line()}", flush=True)


TABLES = {
    run.__name__: run
    for run in (reference, reasons, modulations, thresholds, gmsk, lengths, offsets, fading, clean)
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=2000, help="packets for each figure")
    parser.add_argument("--only", action="append", choices=TABLES, help="tables to make, all by default")
    arguments = parser.parse_args()
    print("command:", "python", *sys.argv)
    print(f"GNU Radio {gr.version()}, numpy {np.__version__}, Python {platform.python_version()}, seed {SEED}\n")
    for name in arguments.only or TABLES:
        begin = time.perf_counter()
        print(f"## {name}")
        TABLES[name](arguments.packets)
        print(f"({time.perf_counter() - begin:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
