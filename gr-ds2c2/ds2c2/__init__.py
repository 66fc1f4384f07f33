# SPDX-License-Identifier: GPL-3.0-or-later
"""DS²C²: pictures over packet links that degrade gently. See docs/ for the manual.

What a script begins with stands here; a name is loaded when it is first used, so that
``import ds2c2`` is quick and only ``Codec`` loads torch.
"""

from importlib import import_module

__version__ = "0.1.0"

# Public name -> the module that has it, and its name there.
_FRONT_DOOR = {
    "Codec": ("codec.codec", "Codec"),
    "DecodedPicture": ("codec.codec", "DecodedPicture"),
    "EncodedPicture": ("codec.codec", "EncodedPicture"),
    "LossTrace": ("traces.losstrace", "LossTrace"),
    "StreamFormat": ("stream.streamformat", "StreamFormat"),
    "UserError": ("errors", "UserError"),
    "fit_losses": ("traces.lossmodels", "fit"),
    "psnr": ("pictures.metrics", "psnr"),
    "read_picture": ("pictures.pictures", "read_picture"),
    "read_trace": ("traces.losstrace", "read_trace_file"),
    "write_picture": ("pictures.pictures", "write_picture"),
}

__all__ = ["__version__", *_FRONT_DOOR]


def __getattr__(name: str):
    if name not in _FRONT_DOOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _FRONT_DOOR[name]
    globals()[name] = found = getattr(import_module(f"{__name__}.{module}"), there)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
