# SPDX-License-Identifier: GPL-3.0-or-later
"""The profiles: each kind of weights and all that is peculiar to it, in one place. Loads no torch.

To add one takes three files: its networks (``ds2c2/networks/x.py``), what its symbols are and how they become code
blocks (``ds2c2/codec/profiles/x.py``), and an entry here. Parts are named ``module:attribute`` and imported when
they are first used, so that a room's code is named before the room comes.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class ProfileSpec:
    """What a profile is made of.

    Args:
        name: as weights files carry it
        networks: its ``nn.Module``, made from a shape, with the attribute ``shape``
        shape: its sizes, a dataclass with ``as_dict`` and ``from_dict``
        codec: its ``ds2c2.codec.profiles.Profile``; empty: weights that are no codec's
        interleave: what the interleaver does when nobody says otherwise
        layout: where its base layer goes in version 2 of the wire format
        bears_flips: pictures survive wrong bits; else damaged packets must not arrive
        refines: its encoder takes ``effort``, as ``Codec.encode`` does
        packs: its weights may be rounded to 8 bits as they are
        recipe: how ``ds2c2 train`` trains it; empty: it does not
        judge: what its weights give on pictures, ``(weights, pictures, losses, device) -> judgements``
        rules: how it is judged, in words for the model card
    """

    name: str
    networks: str
    shape: str
    codec: str = ""
    interleave: str = "none"
    layout: str = "apart"
    bears_flips: bool = False
    refines: bool = False
    packs: bool = True
    recipe: str = ""
    judge: str = ""
    rules: str = ""

    def load(self, part: str) -> Any:
        """The class or function that a part names."""
        module, _, attribute = getattr(self, part).partition(":")
        return getattr(import_module(module), attribute)


PROFILES = {
    spec.name: spec
    for spec in (
        ProfileSpec(
            name="binary",
            networks="ds2c2.networks.binary:BinaryNetworks",
            shape="ds2c2.networks.binary:BinaryShape",
            codec="ds2c2.codec.profiles.binary:BinaryProfile",
            # Symbols lie in the picture's order: a lost block would be a hole.
            interleave="bit",
            bears_flips=True,
            recipe="ds2c2.training.recipes:BinaryRecipe",
            judge="ds2c2.evaluation.judge:judge_by_codec",
            rules="ds2c2.evaluation.judge:CODEC_RULES",
        ),
        ProfileSpec(
            name="coded",
            networks="ds2c2.networks.coded:CodedNetworks",
            shape="ds2c2.networks.coded:CodedShape",
            codec="ds2c2.codec.profiles.coded:CodedProfile",
            # Blocks hold symbols from everywhere, and decode alone.
            interleave="none",
            # Damaged blocks do not arrive, so every one can carry a share.
            layout="spread",
            refines=True,
            # Its entropy coder's tables were counted with the weights as they are.
            packs=False,
            recipe="ds2c2.training.recipes:CodedRecipe",
            judge="ds2c2.evaluation.judge:judge_by_training",
            rules="ds2c2.evaluation.judge:TRAINING_RULES",
        ),
        ProfileSpec(
            name="paper",
            networks="ds2c2.networks.paper:PaperNetworks",
            shape="ds2c2.networks.paper:PaperShape",
            codec="ds2c2.codec.profiles.paper:PaperProfile",
            interleave="bit",
            bears_flips=True,
        ),
        # No codec but the eye of one: it makes label maps.
        ProfileSpec(name="segnet", networks="ds2c2.networks.segnet:SegNet", shape="ds2c2.networks.segnet:SegNetShape"),
    )
}
