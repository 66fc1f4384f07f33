# SPDX-License-Identifier: GPL-3.0-or-later
"""What every model card has: the same beginning, what the weights were made from, and whose terms bind them."""

import os
import platform
from pathlib import Path

import torch
from torch import nn

from ds2c2.files import write_text
from ds2c2.networks.weights import weights_storage
from ds2c2.networks.weightstorage import IN_WORDS

TERMS = "Whoever passes these weights on or uses them is bound by the terms of the pictures, too."


def machine(device: torch.device) -> str:
    """Where a run was made, in words."""
    return f"{device}, {os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table and an empty one."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)] + [""]


def card_of(path: Path) -> Path:
    """The card of weights stands beside them."""
    return path.with_suffix(".md")


def write_card(path: Path, networks: nn.Module, what: str, facts: dict[str, str], results: list[str]) -> Path:
    """Write the card beside the weights, ``name.md``.

    Args:
        path: the weights, which are there
        networks: of them
        what: what the weights are, a sentence that names no size; more lines may follow it
        facts: of the run, by their names
        results: lines of what the weights give

    Raises ``FileError`` and ``WeightsError``.
    """
    count = sum(parameter.numel() for parameter in networks.parameters())
    first, *more = what.split("\n")
    lines = [
        f"# {path.stem}",
        "",
        f"{first} {count / 1e6:.2f} M parameters, {IN_WORDS[weights_storage(path)]}.",
        *more,
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {fact} |" for name, fact in facts.items()),
        "",
        TERMS,
        "",
        *results,
    ]
    return write_text(card_of(path), "\n".join(lines))
