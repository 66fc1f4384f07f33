#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""In how many frames of a link the base layer is lost, by how it is protected; nothing is decoded.

    base_losses.py LINKS [--size 768x512] [--bpp 0.26]

LINKS: a file with a row a packet and a column ``received`` (0 or 1), a column ``link`` where it holds several, or
with 0 and 1 (lost) alone; or ``gilbert-elliott:LOSS:BURST`` for 200 000 packets of that channel, seed 1. A frame
begins at every packet of a link from which a whole group of frames fits, of a long link at 20 000 of them.
"""

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np

from ds2c2.channels.channel import BlockChannel, read_trace
from ds2c2.cli.options import parse_size
from ds2c2.stream.permutation import seeded_order
from ds2c2.stream.streamformat import StreamFormat

DRAWN = 200_000  # packets
MOST_STARTS = 20_000  # of a link
PROTECTIONS = {
    "version 1, redundancy 1": {"base_redundancy": 1},
    "version 1, redundancy 2": {"base_redundancy": 2},
    "survive 0.3": {"survive": 0.3},
    "survive 0.5": {"survive": 0.5},
    "survive 0.5, interleaved over 4 frames": {"survive": 0.5, "interleave": "block", "depth": 4},
    "survive 0.5, interleaved over 8 frames": {"survive": 0.5, "interleave": "block", "depth": 8},
}


def read_links(where: str) -> list[np.ndarray]:
    """What was lost of each link, ``bool``."""
    if where.startswith("gilbert-elliott:"):
        loss, burst = map(float, where.split(":")[1:])
        return [BlockChannel(loss=loss, model="gilbert-elliott", burst=burst, seed=1).draw(DRAWN)]
    with Path(where).open() as file:
        if "received" not in file.readline():
            return [np.asarray(read_trace(where), bool)]
        file.seek(0)
        links: dict[str, list[bool]] = {}
        for row in csv.DictReader(file):
            links.setdefault(row.get("link", ""), []).append(row["received"] == "0")
    return [np.array(link) for link in links.values()]


def base_lost(lost: np.ndarray, stream: StreamFormat) -> np.ndarray:
    """Of frames ``bool[F, N]``, in the order of the encoder, those whose base layer is lost: ``bool[F]``. A symbol
    more than there are sources counts as enough (RFC 6330, 5.8: 1 in 10 000 is not)."""
    if stream.layout == "spread":
        return (~lost) @ np.diff(stream.share_symbols) < stream.base_sources + 1
    return (~lost[:, : stream.base_blocks]).sum(1) < stream.base_sources + 1


def share_of(links: list[np.ndarray], stream: StreamFormat) -> tuple[float, int]:
    """Share of the frames without base layer, and how many frames there are."""
    span = stream.depth * stream.blocks
    # Position k of what is sent holds element order[k] of what the encoder made.
    order = seeded_order(stream.seed, span) if stream.interleave == "block" else np.arange(span)
    found = []
    for link in links:
        for start in range(0, len(link) - span + 1, max(1, len(link) // MOST_STARTS)):
            frames = np.empty(span, bool)
            frames[order] = link[start : start + span]
            found.append(base_lost(frames.reshape(stream.depth, stream.blocks), stream))
    if not found:
        return float("nan"), 0
    return float(np.mean(found)), sum(map(len, found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("links", nargs="+")
    parser.add_argument("--size", default="768x512")
    parser.add_argument("--bpp", type=float, default=StreamFormat.bpp)
    arguments = parser.parse_args()
    for where in arguments.links:
        links = read_links(where)
        packets = sum(map(len, links))
        lost = sum(int(link.sum()) for link in links) / packets
        print(f"{where}: {len(links)} links, {packets} packets, {lost:.1%} lost")
        for name, protection in PROTECTIONS.items():
            stream = StreamFormat(*parse_size(arguments.size), bpp=arguments.bpp, **protection)
            share, frames = share_of(links, stream)
            print(f"  {name}, {stream.blocks} blocks: {share:.2%} of {frames} frames without base layer")


if __name__ == "__main__":
    main()
