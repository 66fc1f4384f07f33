# SPDX-License-Identifier: GPL-3.0-or-later
"""Picture to N code blocks and back."""


def __getattr__(name: str):
    # ``from ds2c2.codec import Codec`` stands in scripts; the modules beside it need no torch.
    if name in ("Codec", "DecodedPicture", "EncodedPicture"):
        from ds2c2.codec import codec

        return getattr(codec, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
