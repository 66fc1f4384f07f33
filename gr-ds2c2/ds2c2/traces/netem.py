# SPDX-License-Identifier: GPL-3.0-or-later
"""A fitted model as the command line of Linux's network emulator, ``tc qdisc … netem`` (tc-netem(8)).

netem replays no trace. ``loss gemodel p r 1-h 1-k`` is Gilbert and Elliott's chain: p and r lead from good to bad
and back, 1-h is the loss in the bad state, 1-k in the good one. ``loss state p13 p31 p32 p23 p14`` is Salsano's
chain on the losses themselves: 1 arrives, 3 is lost, so p13 and p31 alone are Gilbert's without loss in the good
and arrivals in the bad state.
"""

import re

from ds2c2.traces.lossmodels import Model
from ds2c2.traces.packetfates import TraceError

DEVICE = re.compile(r"[^\s/;&|<>$`'\"()]{1,15}")  # a name of an interface, and nothing that a shell takes for more


def netem_lines(model: Model, device: str) -> list[str]:
    """The commands and what their numbers mean, comments with #. Raises ``TraceError`` for a model that netem
    does not have, or a name that is none of an interface."""
    check_device(device)
    start = f"tc qdisc replace dev {device} root netem"
    if model.name == "iid":
        lines = [f"{start} loss random {percent(model.loss)}", f"# {model.loss:.4%} of the packets are lost"]
    elif model.name in ("gilbert-elliott", "gilbert-elliott-general"):
        values = {
            "p": (model.p, "a packet turns the link bad"),
            "r": (model.r, "a packet turns it good again"),
            "1-h": (model.bad, "loss in the bad state"),
            "1-k": (model.good, "loss in the good state"),
        }
        lines = [f"{start} loss gemodel {' '.join(percent(value) for value, _ in values.values())}"]
        lines += [f"# {name}: {value:.4%}, {meaning}" for name, (value, meaning) in values.items()]
        if model.name == "gilbert-elliott":
            lines.append(f"# the same: {start} loss state {percent(model.p)} {percent(model.r)} 0% 100% 0%")
    else:
        raise TraceError(
            f"netem has no {model.name}; choose --model iid, gilbert-elliott or gilbert-elliott-general, or replay the "
            "trace with --channel trace"
        )
    begins = "" if model.name == "iid" else "; it begins in the good state"
    return [*lines, f"# packets that leave by this interface are hit{begins}"]


def check_device(device: str) -> None:
    """Raises ``TraceError`` for what is no name of an interface."""
    if not DEVICE.fullmatch(device):
        raise TraceError(f"--netem {device!r} is no name of a network interface; `ip link` lists them")


def percent(probability: float) -> str:
    """As tc reads it; netem keeps 32 bits of a probability."""
    return f"{100 * probability:.8f}".rstrip("0").rstrip(".") + "%"
