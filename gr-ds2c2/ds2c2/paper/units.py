# SPDX-License-Identifier: GPL-3.0-or-later
"""What the paper's tables are computed from: a picture through a model and a channel, or through a rival.

A unit becomes one line of JSON. One of a model is a picture and what its channel does; one of a
rival a picture and a budget in bytes, or a damaged file of that budget.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ds2c2.channels.symbolchannel import BITS_A_BYTE, SymbolChannel
from ds2c2.errors import ExitCode, UserError
from ds2c2.evaluation.outcomes import quality
from ds2c2.evaluation.perception import lpips_distance, vgg_distance
from ds2c2.evaluation.rivals.rivals import RIVALS, Encoding, best_within
from ds2c2.networks.modelfiles import weights_digest
from ds2c2.networks.paper import PaperNetworks
from ds2c2.networks.weights import choose_device, load_networks
from ds2c2.paper.archive import PaperModel
from ds2c2.paper.chain import receive_picture, send_picture
from ds2c2.paper.samples import PaperSamples, fingerprint
from ds2c2.pictures.pictures import to_picture
from ds2c2.stream.geometry import MID_GREY

MODEL, RIVAL, DAMAGED = "model", "rival", "damaged"  # kinds of units
SENT = "sent"  # a model's unit without a channel: bits, and the pictures that c and s give


class EvaluationError(UserError):
    """Tables that cannot be, a folder begun with other settings, a worker that died."""

    exit_code = ExitCode.MEASUREMENT


@dataclass(frozen=True)
class Condition:
    """What a picture's symbols meet: ``effect`` of ``SymbolChannel``, share of the blocks hit, and
    whether they are interleaved. Without loss the three are one."""

    effect: str = "zero"
    loss: float = 0.0
    interleave: bool = True

    @property
    def key(self) -> str:
        if not self.loss:
            return "no loss"
        return f"{self.effect} {self.loss:g} {'interleaved' if self.interleave else 'in order'}"


@dataclass(frozen=True)
class PaperRun:
    """What every unit of a run has in common.

    Args:
        samples: the pictures
        digests: SHA-256 of each, as loaded
        draws: of the channel, for a picture and a loss
        seed: of the draws
        block_size: bytes of a code block
        vgg: checkpoint for the VGG distance, or nothing
        lpips: checkpoint of LPIPS's trunk, or nothing
        device: of the networks
    """

    samples: PaperSamples
    digests: tuple[str, ...]
    draws: int
    seed: int
    block_size: int
    vgg: str = ""
    device: str = "cpu"
    lpips: str = ""

    def identity(self) -> dict:
        """What a folder is begun with, ready for JSON: models and tables may be added later."""
        return {
            "pictures": [list(pair) for pair in zip(self.samples.names(), self.digests, strict=True)],
            "draws": self.draws,
            "seed": self.seed,
            "block_size": self.block_size,
            "vgg": weights_digest(self.vgg) if self.vgg else "",
            "lpips": weights_digest(self.lpips) if self.lpips else "",
        }

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A picture and its label map. Raises ``EvaluationError`` when they are not those of the run."""
        picture, labels = self.samples.load(index)
        if fingerprint(picture, labels) != self.digests[index]:
            path = self.samples.samples[index].picture
            raise EvaluationError(f"{path}: not the picture that the run was begun with, or another label map")
        return picture, labels

    def generator(self, index: int, draw: int) -> torch.Generator:
        """Of a picture's draw: models of one rate have the same blocks hit; a higher loss adds to a lower."""
        seeded = hashlib.sha256(f"{self.digests[index]} {self.seed} {draw}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(seeded[:8], "big") >> 1)


@lru_cache(maxsize=1)
def _networks(path: str, digest: str, device: str) -> PaperNetworks:
    if weights_digest(path) != digest:
        raise EvaluationError(f"{path}: changed since the run was begun, or other weights on this machine")
    return load_networks(path, choose_device(device))


def _measures(run: PaperRun, original: np.ndarray, received: np.ndarray) -> list[float | None]:
    """PSNR, MS-SSIM, VGG distance and LPIPS, None for what is not measured."""
    seen = vgg_distance(original, received, run.vgg, run.device) if run.vgg else None
    learned = lpips_distance(original, received, run.lpips, run.device) if run.lpips else None
    return [*quality(original, received), seen, learned]


def channel_of(run: PaperRun, model: PaperModel, condition: Condition) -> SymbolChannel:
    """The channel of a model's picture; the permutation is the one it was trained with."""
    seed = model.recipe.channel.seed
    return SymbolChannel(condition.effect, "block", run.block_size, condition.interleave, seed)


def measure_model(run: PaperRun, model: PaperModel, index: int, keys: list[str], conditions: list[Condition]) -> list:
    """A picture's units: encoded once, received at each condition and draw. ``keys`` are those
    of the units that are wanted, ``SENT`` among them or not.

    Raises ``UserError``.
    """
    networks = _networks(str(model.path), model.digest, run.device)
    original, labels = run.load(index)
    sent = send_picture(networks, original, labels)
    head = [MODEL, model.digest, run.digests[index]]
    found = []
    if SENT in keys:
        found.append({
            "unit": [*head, SENT], "pixels": original.shape[0] * original.shape[1], "r_bits": sent.r_bits,
            "c_bits": sent.c_bits, "s_bits": sent.s_bits,
            "steps": [_measures(run, original, to_picture(step)) for step in sent.steps],
        })  # fmt: skip
    for condition in conditions:
        channel = channel_of(run, model, condition)
        rows = []
        for draw in range(run.draws if condition.loss else 1):
            hits = channel.draw(sent.r_bits, condition.loss, run.generator(index, draw)).to(sent.symbols.device)
            symbols = channel.through(sent.symbols.flatten(), hits).view_as(sent.symbols)
            received = receive_picture(networks, sent, symbols)
            rows.append((*_measures(run, original, received.picture), quality(original, received.sum)[0]))
        names, columns = ("psnr", "ms_ssim", "vgg", "lpips", "sum_psnr"), map(list, zip(*rows, strict=True))
        found.append({"unit": [*head, condition.key], **dict(zip(names, columns, strict=True))})
    return found


def measure_rival(run: PaperRun, name: str, index: int, budgets: list[int], damaged: list[tuple[int, float]]) -> list:
    """A rival's units of a picture: the best file within each budget in bytes, and what becomes of
    the files of some budgets when a share of their blocks meets the paper's channel.

    Raises ``UserError``.
    """
    original, _ = run.load(index)
    rival, found = RIVALS[name], []
    grey = np.full_like(original, MID_GREY)
    head = [name, run.digests[index]]
    best = best_within(rival, original, {b for b in (*budgets, *(budget for budget, _ in damaged)) if b > 0})
    for budget in budgets:
        file = best.get(budget)
        shown = quality(original, rival.decode(file.data) if file else grey)
        found.append({
            "unit": [RIVAL, *head, budget], "bytes": len(file.data) if file else None,
            "setting": file.setting if file else None, "psnr": shown[0], "ms_ssim": shown[1],
            "grey_psnr": quality(original, grey)[0],
        })  # fmt: skip
    for budget, loss in damaged:
        arguments = (rival.decode, best.get(budget), original, grey)
        rows = [_damage(*arguments, run.block_size, loss, run.generator(index, draw)) for draw in range(run.draws)]
        psnr, refused, hit = map(list, zip(*rows, strict=True))
        found.append({"unit": [DAMAGED, *head, budget, loss], "psnr": psnr, "refused": refused, "hit": hit})
    return found


def damaged_file(data: bytes, block_size: int, loss: float, generator: torch.Generator) -> tuple[bytes, int]:
    """A file whose hit blocks the paper's channel has made zeros, and how many there are. It is sent
    in its own order, without an interleaver, which leaves more of it whole."""
    channel = SymbolChannel("zero", "block", block_size, interleave=False)
    bits = BITS_A_BYTE * len(data)
    hits = channel.draw(bits, loss, generator).numpy()
    lost = np.flatnonzero(hits[:: BITS_A_BYTE * block_size])
    received = np.unpackbits(np.frombuffer(data, np.uint8))
    received[hits] = 0
    return np.packbits(received).tobytes(), len(lost)


def _damage(
    decode: Callable,
    file: Encoding | None,
    original: np.ndarray,
    grey: np.ndarray,
    block_size: int,
    loss: float,
    generator: torch.Generator,
) -> tuple[float, int, int]:
    """PSNR of what a bare file's decoder makes of it, whether it refused, and how many blocks were hit."""
    if file is None:
        return quality(original, grey)[0], 1, 0
    data, hit = damaged_file(file.data, block_size, loss, generator)
    try:
        shown = decode(data)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - decoders answer damage with errors of every kind
        shown = None
    if shown is None or shown.shape != original.shape:
        return quality(original, grey)[0], 1, hit
    return quality(original, shown)[0], 0, hit


def work(kind: str, *arguments) -> list[dict]:
    """One task of a run, wherever it is computed."""
    return measure_model(*arguments) if kind == MODEL else measure_rival(*arguments)
