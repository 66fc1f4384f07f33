# SPDX-License-Identifier: GPL-3.0-or-later
"""In which numbers networks that make pictures compute: bfloat16 where the processor multiplies it, else float32;
float16 where it is asked for, which is for graphics cards.

Never what the entropy coder depends on: that is whole numbers on every machine (``ds2c2.codec.scalemodel``).
So the two ends need not choose alike; their pictures differ by less than the rounding to 8 bits.
"""

import os
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import torch

from ds2c2.errors import DeviceError

VARIABLE = "DS2C2_PRECISION"
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
# As Linux names them: AMX and AVX-512 of x86 (Cooper Lake, Sapphire Rapids, Zen 4 and later), Arm's BF16.
PROCESSOR_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
PROCESSOR_FILE = Path("/proc/cpuinfo")


@cache
def processor_has_bfloat16(file: Path = PROCESSOR_FILE) -> bool:
    """Whether the processor's own instructions multiply bfloat16; False where its file cannot be read."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return not PROCESSOR_FLAGS.isdisjoint(flags.partition(":")[2].split())


def wanted_precision(device: torch.device) -> torch.dtype | None:
    """What ``$DS2C2_PRECISION`` says: ``float32`` (None), ``bfloat16``, ``float16``, or ``auto``, which is bfloat16 on
    a processor that has it. Raises ``DeviceError`` for anything else."""
    wanted = os.environ.get(VARIABLE) or "auto"
    if wanted == "auto":
        has = device.type == "cpu" and torch.backends.mkldnn.is_available() and processor_has_bfloat16()
        return torch.bfloat16 if has else None
    if wanted not in PRECISIONS:
        raise DeviceError(f"${VARIABLE} is {wanted!r}; choose auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[wanted]


def picture_precision(device: torch.device, precision: torch.dtype | None) -> AbstractContextManager:
    """In here networks compute in ``precision``; None is that of their weights."""
    # On a card nothing is kept from one layer to the next: a captured graph must not read what is gone by then.
    return torch.autocast(device.type, precision, enabled=precision is not None, cache_enabled=device.type == "cpu")
