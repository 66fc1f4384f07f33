# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between the codec's profiles: how a residual becomes code blocks and back."""

from torch import nn

from ds2c2.codec.profiles.profile import Base, EncodedLayers, Profile
from ds2c2.errors import FormatError, WeightsError
from ds2c2.networks.profiles import PROFILES
from ds2c2.stream.streamformat import StreamFormat

__all__ = ["Base", "EncodedLayers", "Profile", "make_profile"]


def make_profile(networks: nn.Module, stream: StreamFormat) -> Profile:
    """The profile of these networks. Raises ``WeightsError`` and ``FormatError`` when it
    cannot serve the stream format."""
    profile = PROFILES[networks.profile]
    if not profile.codec:
        raise WeightsError(f"model {stream.model_name}: weights of a SegNet, which makes label maps; choose a codec's")
    if stream.layout == "spread" and profile.layout == "apart":
        raise FormatError(
            f"model {stream.model_name} (profile {profile.name}) has no room for shares of the base layer in its "
            f"blocks; use layout=apart, which goes with interleave={profile.interleave}"
        )
    return profile.load("codec")(networks, stream)
