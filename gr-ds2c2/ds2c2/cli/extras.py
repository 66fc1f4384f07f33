# SPDX-License-Identifier: GPL-3.0-or-later
"""Optional packages: which there are, and what does without them."""

from ds2c2.cli.check import Check
from ds2c2.cli.probe import absolute_path, probe

# Packages that are asked for only where they are used: module, what for, extra of pyproject.toml.
EXTRAS = (
    ("sigmf", "SigMF recordings of samples", "radio"),
    ("av", "films and cameras, HEVC in the benchmark", "video"),
    ("matplotlib", "plots of the benchmark and of compare", "benchmark"),
    ("pillow_jxl", "JPEG XL in the benchmark", "benchmark"),
    ("dpkt", "captures (pcap) as loss traces", "pcap"),
    ("tensorboardX", "`train --tensorboard`", "tensorboard"),
    ("compressai", "CompressAI's codecs in the benchmark", "compressai"),
    ("lpips", "LPIPS", "lpips"),
    ("ray", "`evaluate --ray-address`", "ray"),
    ("segmentation_models_pytorch", "the paper's own SegNet", "segmentation"),
)


def check_extras() -> list[Check]:
    """Optional packages; what is not there is a note. Found, not imported: some take seconds."""
    code = f"import importlib.util\nfound = {{m: bool(importlib.util.find_spec(m)) for m, _, _ in {EXTRAS!r}}}"
    found = probe(code, path=absolute_path()).value or {}
    return [
        Check(module, found.get(module, False), purpose if found.get(module) else f"not installed; it is for {purpose}",
              "" if found.get(module) else f"pip install 'gr-ds2c2[{extra}]', where that is wanted", required=False)
        for module, purpose, extra in EXTRAS
    ]  # fmt: skip
