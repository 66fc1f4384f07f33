# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between the codec's profiles: how a residual becomes code blocks and back."""

from ds2c2.codec.profiles.binary import BinaryProfile
from ds2c2.codec.profiles.coded import CodedProfile
from ds2c2.codec.profiles.paper import PaperProfile
from ds2c2.codec.profiles.profile import Base, EncodedLayers, Profile
from ds2c2.errors import WeightsError
from ds2c2.networks.weights import Networks
from ds2c2.stream.streamformat import StreamFormat

__all__ = ["Base", "EncodedLayers", "Profile", "make_profile"]


def make_profile(networks: Networks, stream: StreamFormat) -> Profile:
    """The profile of these networks. Raises ``WeightsError`` and ``FormatError`` when it
    cannot serve the stream format."""
    kinds = {"binary": BinaryProfile, "coded": CodedProfile, "paper": PaperProfile}
    if networks.profile not in kinds:
        raise WeightsError(f"model {stream.model_name}: weights of a SegNet, which makes label maps; choose a codec's")
    return kinds[networks.profile](networks, stream)
