# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 pack``: weights in half precision in, the same in 8 bits out, about half as large."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ds2c2.cli.terminal import Terminal
from ds2c2.errors import FileError, UserError
from ds2c2.files import check_free, write_text

console = Terminal()


def pack(
    model: Annotated[str, typer.Argument(help="Weights to pack: a name from models/ or a file.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="Weights to write, .safetensors; the card goes beside it.")],
) -> None:
    """Store the convolutions of trained weights in 8 bits; both ends of a link need the new file."""
    from ds2c2.evaluation.modelcard import card_of
    from ds2c2.networks.modelfiles import check_suffix, find_weights, weights_digest
    from ds2c2.networks.profiles import PROFILES
    from ds2c2.networks.weights import load_networks, read_metadata, save_weights
    from ds2c2.networks.weightstorage import IN_WORDS
    from ds2c2.training.finish import origin

    source, target = find_weights(model), Path(out)
    check_suffix(target)
    if os.path.realpath(target) == os.path.realpath(source):
        raise FileError(f"--out {out}: the weights that are packed; choose another name")
    check_free(target, card_of(target))
    networks = load_networks(source)
    if not PROFILES[networks.profile].packs:
        # A little wrong they would still decode, and cost rate where nobody looks for it.
        raise UserError(
            f"{model}: its entropy coder's tables were counted with the weights as they are; let "
            "`ds2c2 train` or `ds2c2 update` with --storage int8 count them anew"
        )
    came_from = origin(source)
    save_weights(target, networks, read_metadata(source) | {"packed_from": came_from}, "int8")
    before, after = (path.stat().st_size / 1e6 for path in (source, target))
    sizes = f"{after:.2f} MB, {came_from} had {before:.2f} MB"
    console.print(f"wrote {target} ({sizes}), SHA-256 {weights_digest(target)}", markup=False)
    card = card_of(source)
    if not card.is_file():
        console.print(f"no card beside {source}, so none is written", markup=False)
        return
    text = card.read_text(encoding="utf-8").replace(IN_WORDS["float16"], IN_WORDS["int8"], 1).rstrip()
    text = text.replace(f"# {source.stem}\n", f"# {target.stem}\n", 1)
    text += f"\n\nPacked with `ds2c2 pack` ({sizes}); what is measured above was measured before that.\n"
    console.print(f"wrote {write_text(card_of(target), text)}", markup=False)
