# SPDX-License-Identifier: GPL-3.0-or-later
"""Rivals that are measured on request: how BPG's programs are called, how CompressAI's strings become
a file. Stand-ins of the same interface take their places, for none of them can be had everywhere."""

import hashlib
import sys
import zlib
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from ds2c2.evaluation.rivals import rivals
from ds2c2.evaluation.rivals.compressaicodecs import CODECS

# An encoder whose file for qp Q has 1000 - 10 Q bytes, and a decoder that shows grey 2 Q.
BPGENC = """#!/bin/sh
test "$1 $2 $3 $4 $5 $6 $7 $8 $9" = "-f 444 -c ycbcr -b 8 -m 9 -q" || { echo "wrong: $*" >&2; exit 1; }
shift 9
test "$(dd if="$4" bs=1 skip=1 count=3 2>/dev/null)" = PNG || exit 2
printf '%-*d' $((1000 - 10 * $1)) "$1" > "$3"
"""
BPGDEC = """#!/bin/sh
read -r qp rest < "$3"
{ printf 'P6 8 8 255\\n'; head -c 192 /dev/zero | tr '\\0' "\\\\$(printf %o $((2 * qp)))"; } > "$2"
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    for name, text in (("bpgenc", BPGENC), ("bpgdec", BPGDEC)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def test_none_of_them_is_measured_unless_named():
    assert set(rivals.OPTIONAL) == {"bpg", "ssdv", *CODECS} and not set(rivals.OPTIONAL) & set(rivals.NAMES)
    assert set(rivals.NAMES) | set(rivals.OPTIONAL) == {*rivals.RIVALS, rivals.LAYERED}


def test_bpg_takes_the_best_that_fits(programs):
    picture = np.full((8, 8, 3), 80, np.uint8)
    best = rivals.best_within(rivals.RIVALS["bpg"], picture, [480, 550, 620])
    # 490 bytes are the fewest; from 45 on they fit the second budget; 40 is the picture itself.
    assert best[480] is None
    assert (best[550].setting, len(best[550].data)) == ("4:4:4 qp 45", 550)
    assert (best[620].setting, len(best[620].data)) == ("4:4:4 qp 40", 600)
    assert (rivals.RIVALS["bpg"].decode(best[620].data) == 80).all()


def test_bpg_that_fails_or_is_absent_is_named(programs, monkeypatch):
    assert rivals.missing("bpg") == ""
    (programs / "bpgenc").write_text("#!/bin/sh\necho 'no memory' >&2\nexit 3\n")
    with pytest.raises(rivals.RivalError, match=r"bpgenc -f 444 .* failed \(no memory\); leave bpg out of --rivals"):
        rivals.best_within(rivals.RIVALS["bpg"], np.zeros((8, 8, 3), np.uint8), [900])
    monkeypatch.setenv("PATH", str(programs / "nothing"))
    assert rivals.missing("bpg") == "bpgenc and bpgdec (libbpg) not on the PATH"


class TwoStrings(torch.nn.Module):
    """What CompressAI's networks do, without a network: the first string is the picture in steps of the
    weight, the second says which shape ``compress`` gave."""

    def __init__(self, state):
        super().__init__()
        self.step, self.ready = float(state["step"]), False

    @classmethod
    def from_state_dict(cls, state):
        return cls(state)

    def update(self):
        self.ready = True

    def compress(self, pixels):
        assert self.ready and not self.training and pixels.max() <= 1
        shape = tuple(side // 64 for side in pixels.shape[2:])
        steps = torch.round(pixels * 255 / self.step).to(torch.uint8)
        return {"strings": [[zlib.compress(steps.numpy().tobytes())], [bytes(shape) + b"z"]], "shape": shape}

    def decompress(self, strings, shape):
        (first,), (second,) = strings
        assert second == bytes(shape) + b"z"
        steps = np.frombuffer(zlib.decompress(first), np.uint8).reshape(1, 3, 64 * shape[0], 64 * shape[1])
        return {"x_hat": torch.from_numpy(steps.astype(np.float32)) * self.step / 255}


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Eight files for mbt2018-mean as a user's folder has them, and a package of that name."""
    zoo = ModuleType("compressai.zoo")
    zoo.load_state_dict, zoo.__path__ = dict, []
    zoo.image = SimpleNamespace(model_architectures={"mbt2018-mean": TwoStrings})
    package = ModuleType("compressai")
    package.__spec__, package.__path__, package.zoo = SimpleNamespace(), [], zoo
    for name, module in (("compressai", package), ("compressai.zoo", zoo), ("compressai.zoo.image", zoo.image)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("DS2C2_COMPRESSAI", str(tmp_path))
    for quality in range(1, 9):
        torch.save({"step": torch.tensor(20.0 - 2 * quality)}, tmp_path / "new")
        digits = hashlib.sha256((tmp_path / "new").read_bytes()).hexdigest()[:8]
        (tmp_path / "new").rename(tmp_path / f"mbt2018-mean-{quality}-{digits}.pth.tar")
    return tmp_path


def test_compressais_strings_become_a_file_of_which_every_byte_counts(weights):
    picture = np.random.default_rng(1).integers(0, 256, (70, 65, 3), np.uint8)
    rival = rivals.RIVALS["mbt2018-mean"]
    found = list(rival.encodings(picture, [10**6]))
    assert len(found) == 8 and all(
        len(file) < len(after) for (_, file), (_, after) in zip(found, found[1:], strict=False)
    )
    setting, data = found[2]
    digits = next(weights.glob("mbt2018-mean-3-*")).name.split("-")[-1][:8]
    assert setting == f"quality 3, weights {digits}"
    # The edge repeated to 128x128, and steps of 14.
    padded = np.pad(picture, ((0, 58), (0, 63), (0, 0)), mode="edge")
    steps = np.round(padded / 14).astype(np.uint8)
    first = zlib.compress(steps.transpose(2, 0, 1).tobytes())
    assert data == bytes([3, 0, 70, 0, 65]) + len(first).to_bytes(4, "big") + first + b"\x02\x02z"
    assert (rival.decode(data) == np.minimum(steps[:70, :65].astype(int) * 14, 255)).all()
    assert rivals.best_within(rival, picture, [len(data)])[len(data)].data == data


def test_weights_that_are_absent_or_broken_are_named(weights, monkeypatch):
    assert rivals.missing("mbt2018-mean") == ""
    assert "no weights cheng2020_attn-mse-1-*.pth.tar in" in rivals.missing("cheng2020-attn")
    broken = next(weights.glob("mbt2018-mean-1-*"))
    broken.write_bytes(b"cut short")
    picture = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(rivals.RivalError, match="its SHA-256 begins .*, not as its name says; fetch it anew"):
        list(rivals.RIVALS["mbt2018-mean"].encodings(picture, [10**6]))
    broken.rename(weights / f"mbt2018-mean-1-{hashlib.sha256(b'cut short').hexdigest()[:8]}.pth.tar")
    with pytest.raises(rivals.RivalError, match="not a file of weights"):
        list(rivals.RIVALS["mbt2018-mean"].encodings(picture, [10**6]))
    next(weights.glob("mbt2018-mean-1-*")).unlink()
    assert "no weights mbt2018-mean-1-*.pth.tar" in rivals.missing("mbt2018-mean")
    assert "(1 of 8 are missing); put CompressAI's published files there" in rivals.missing("mbt2018-mean")
    monkeypatch.setitem(sys.modules, "compressai", None)
    assert rivals.missing("mbt2018-mean") == (
        "the package compressai is not installed: pip install 'gr-ds2c2[compressai]'"
    )
