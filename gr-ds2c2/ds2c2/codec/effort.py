# SPDX-License-Identifier: GPL-3.0-or-later
"""How many steps of refinement a picture may be given. Loads no torch."""

from ds2c2.errors import FormatError
from ds2c2.networks.profiles import PROFILES
from ds2c2.stream.streamformat import StreamFormat

MOST_EFFORT = 1000  # steps
# Pixels of a picture that is refined, all of it at once: its gradients take about 1 kB a pixel.
MOST_REFINED = 2 << 20


def check_effort(stream: StreamFormat, profile: str, effort: int) -> None:
    """Raises ``FormatError`` where pictures of a stream, its model of this profile, cannot be given so many steps."""
    if not 0 <= effort <= MOST_EFFORT:
        raise FormatError(f"effort {effort} is out of range; 0 to {MOST_EFFORT} steps are possible")
    if effort and not PROFILES[profile].refines:
        raise FormatError(f"model {stream.model_name} cannot be refined by effort; use one of profile coded")
    if effort and stream.pixels > MOST_REFINED:
        raise FormatError(
            f"effort {effort} for pictures of {stream.width}x{stream.height}: it takes {MOST_REFINED} pixels at most; "
            "leave it out"
        )
