# SPDX-License-Identifier: GPL-3.0-or-later
"""Train ``coded`` on a card for a number of seconds, from weights that stand already.

    python3 tests/gpu/train.py PICTURES... --out FOLDER --seconds 500 --compile

What ``ds2c2 train --profile coded`` does, with everything on the card: pictures and their c (coded whole,
at eight qualities and offsets) lie there as bytes, crops are drawn there, and a whole step is one captured
graph. The rate of learning follows the clock: warm-up, level, and from ``--level`` of the seconds on a fall
to zero. Blocks that the shape adds start as identities. With ``--checkpoint`` the run goes on where it was
stopped; its seconds count on. Writes FOLDER/coded.safetensors (the average; with ``--tables`` the entropy
coder's tables are counted anew) and log.txt.
"""

import argparse
import copy
import json
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
import torch
from PIL import Image

from ds2c2.codec.smallpicture import decode_small, encode_small, reduce_picture
from ds2c2.networks.coded import CodedNetworks, CodedShape
from ds2c2.networks.weights import save_weights
from ds2c2.pictures.pictures import list_pictures, read_picture
from ds2c2.stream.geometry import LEVELS, REDUCTION
from ds2c2.training.coded import LEAST_LOG_STEP, draw_loss, draw_step, forward
from ds2c2.training.crops import LARGE_SIDE
from ds2c2.training.finish import origin
from ds2c2.training.loop import CLIP, EMA_DECAY, take_weights
from ds2c2.training.recipes import CodedRecipe

VARIANTS = 8  # of c for each picture


def prepare(job: tuple[str, float], crop: int) -> tuple[np.ndarray, list[tuple[int, int, np.ndarray]]]:
    """A picture, reduced to a factor, and its c: offset from the top and the left, pixels."""
    path, factor = job
    picture = read_picture(Path(path))
    if factor != 1.0:
        size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    rng = np.random.default_rng([int(1000 * factor), *Path(path).name.encode()])
    found = []
    for _ in range(VARIANTS):
        top, left = (int(rng.integers(min(REDUCTION, side - crop + 1))) for side in picture.shape[:2])
        height, width = picture.shape[0] - top, picture.shape[1] - left
        height, width = height // REDUCTION * REDUCTION, width // REDUCTION * REDUCTION
        piece = np.ascontiguousarray(picture[top : top + height, left : left + width])
        quality = int(rng.integers(*CodedRecipe.qualities, endpoint=True))
        found.append((top, left, decode_small(encode_small(reduce_picture(piece, REDUCTION), quality))))
    return picture, found


class Pictures:
    """All pictures on the card, and crops drawn there."""

    def __init__(self, paths: list[Path], crop: int, device: torch.device, workers: int):
        jobs = []
        for path in paths:
            with Image.open(path) as image:
                size = image.size
            factors = (1.0, *CodedRecipe.copies) if max(size) >= LARGE_SIDE else (1.0,)
            jobs.append([(str(path), f) for f in factors if round(min(size) * f) >= crop])
        jobs = [group for group in jobs if group]
        flat = [job for group in jobs for job in group]
        with ProcessPoolExecutor(workers, get_context("fork")) as pool:
            done = list(pool.map(partial(prepare, crop=crop), flat, chunksize=8))
        self.crop, self.device = crop, device
        rows, at, small_at = [], 0, 0
        for picture, variants in done:
            for top, left, small in variants:
                rows.append((at, *picture.shape[:2], top, left, small_at, *small.shape[:2]))
                small_at += small.shape[0] * small.shape[1]
            at += picture.shape[0] * picture.shape[1]
        self.rows = np.array(rows, np.int64)
        ends = np.cumsum([0] + [len(group) for group in jobs])
        self.groups = list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))
        self.pixels = self._upload([p for p, _ in done], device)
        self.small = self._upload([s for _, v in done for _, _, s in v], device)
        self.count, self.entries = len(jobs), len(flat)

    @staticmethod
    def _upload(parts: list[np.ndarray], device: torch.device) -> torch.Tensor:
        whole = np.concatenate([part.reshape(-1, 3) for part in parts])
        return torch.from_numpy(whole).to(device)

    def draw(self, rng: np.random.Generator, batch: int) -> torch.Tensor:
        """First pixel and row length of crops and of their c, ``int64[batch, 4]``."""
        out = np.empty((batch, 4), np.int64)
        for i in range(batch):
            first, end = self.groups[int(rng.integers(len(self.groups)))]
            row = self.rows[int(rng.integers(first, end)) * VARIANTS + int(rng.integers(VARIANTS))]
            at, height, width, top, left, small_at, small_height, small_width = row
            cells = self.crop // REDUCTION
            y, x = int(rng.integers(small_height - cells + 1)), int(rng.integers(small_width - cells + 1))
            out[i] = (
                at + (top + REDUCTION * y) * width + left + REDUCTION * x,
                width,
                small_at + y * small_width + x,
                small_width,
            )
        return torch.from_numpy(out)

    def crops(self, places: torch.Tensor, flip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops and c in [-1, 1], ``float32[batch, 3, side, side]``."""
        parts = []
        for source, start, width, side in (
            (self.pixels, places[:, 0], places[:, 1], self.crop),
            (self.small, places[:, 2], places[:, 3], self.crop // REDUCTION),
        ):
            line = torch.arange(side, device=places.device)
            across = torch.where(flip[:, None], side - 1 - line, line)
            index = start[:, None, None] + line[None, :, None] * width[:, None, None] + across[:, None, :]
            parts.append(source[index].permute(0, 3, 1, 2).float() / LEVELS - 1.0)
        return parts[0], parts[1]


class Run:
    def __init__(self, arguments: argparse.Namespace, device: torch.device):
        torch.manual_seed(arguments.seed)
        self.device, self.arguments = device, arguments
        shape = CodedShape().as_dict() | json.loads(arguments.shape)
        recipe = CodedRecipe()
        self.networks = CodedNetworks(CodedShape.from_dict(shape))
        recipe.prepare(self.networks)
        self.taken = take_weights(self.networks, arguments.start)
        self.networks = self.networks.to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        self.groups = recipe.groups(self.networks)
        cuda = device.type == "cuda"
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in group.parameters], "lr": torch.zeros((), device=device) if cuda else 0.0}
                for group in self.groups
            ],
            betas=(0.9, 0.99),
            weight_decay=0.0,
            fused=cuda,
            capturable=cuda,
        )
        bins = recipe.STEP_BINS, len(recipe.LOSS_EDGES) + 1
        self.means = torch.zeros(bins, device=device).flatten()
        self.counts = torch.zeros_like(self.means)
        self.edges = torch.tensor(recipe.LOSS_EDGES, device=device)
        self.smooth = torch.zeros(4, device=device)
        self.step, self.seconds = 0, 0.0
        self.objective = torch.compile(self._objective) if arguments.compile else self._objective

    def _objective(self, pictures, small, log_step, loss):
        recipe = CodedRecipe
        with torch.autocast(self.device.type, torch.bfloat16):
            received, base, rate = forward(self.networks, pictures, small, log_step, loss, None)
        error = (received - pictures).square().mean((1, 2, 3)) * LEVELS**2
        base_error = (base - pictures).square().mean((1, 2, 3)) * LEVELS**2
        place = ((log_step - LEAST_LOG_STEP) * 2).long().clamp(0, recipe.STEP_BINS - 1)
        place = place * (len(recipe.LOSS_EDGES) + 1) + torch.bucketize(loss, self.edges)
        with torch.no_grad():
            here = torch.zeros_like(self.counts).index_add(0, place, torch.ones_like(error))
            sums = torch.zeros_like(self.means).index_add(0, place, error)
            counts = self.counts + here
            weight = torch.where(here > 0, torch.maximum(here / counts.clamp(min=1), 1 - 0.99**here), 0.0)
            means = self.means + weight * (sums / here.clamp(min=1) - self.means)
            usual = means[place]
        price = recipe.PRICE * 4.0**log_step * (1 - loss).clamp(min=recipe.LEAST_ARRIVING)
        total = ((error + price * rate) / usual).mean() + recipe.BASE_WEIGHT * base_error.mean()
        seen = torch.stack([total.detach(), error.mean().detach(), base_error.mean().detach(), rate.mean().detach()])
        return total, means, counts, seen

    def body(self, pictures: Pictures, places: torch.Tensor) -> None:
        """A step on crops at ``places``; everything stays on the device."""
        flip = torch.rand(len(places), device=self.device) < 0.5
        crops, small = pictures.crops(places, flip)
        crops = crops.contiguous(memory_format=torch.channels_last)
        log_step, loss = (draw(len(places), None, self.device) for draw in (draw_step, draw_loss))
        total, means, counts, seen = self.objective(crops, small, log_step, loss)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=False)
        with torch.no_grad():
            self.means.copy_(means)
            self.counts.copy_(counts)
            self.smooth.lerp_(seen, 0.02)
            torch._foreach_lerp_(list(self.average.parameters()), list(self.networks.parameters()), 1 - EMA_DECAY)

    def set_rate(self, total: float) -> float:
        part = self.seconds / total
        level = self.arguments.level
        fall = 1.0 if part < level else max(0.0, (1 - part) / (1 - level))
        for group, state in zip(self.groups, self.optimiser.param_groups, strict=True):
            rate = self.arguments.rate * min(1.0, (self.step + 1) / group.warm_up, fall) * group.factor
            if isinstance(state["lr"], torch.Tensor):
                state["lr"].fill_(rate)
            else:
                state["lr"] = rate
        return fall

    def save(self, path: Path) -> None:
        state = {
            "networks": self.networks.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "means": self.means,
            "counts": self.counts,
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        rates = [group["lr"] for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(state["optimiser"])
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
        self.means.copy_(state["means"])
        self.counts.copy_(state["counts"])
        self.step, self.seconds = state["step"], state["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--hold-out", default="", help="names with these words, by commas, are not trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--start", default="coded")
    parser.add_argument("--shape", default="{}", help="JSON; fields of CodedShape that differ from its own")
    parser.add_argument("--seconds", type=float, default=500, help="of the whole run, over all its calls")
    parser.add_argument("--stop-after", type=float, help="seconds of this call")
    parser.add_argument("--steps", type=int, default=10**9, help="stop there at the latest")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--level", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--tables", action="store_true", help="count the entropy coder's tables at the end")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    log = (arguments.out / "log.txt").open("a")

    def say(line: str) -> None:
        print(line, flush=True)
        print(line, file=log, flush=True)

    begun = time.monotonic()
    torch.backends.cudnn.benchmark = True
    device = torch.device(arguments.device)
    held = [word for word in arguments.hold_out.split(",") if word]
    paths = [p for p in list_pictures(arguments.pictures) if not any(word == p.stem for word in held)]
    pictures = Pictures(paths, arguments.crop, device, arguments.workers)
    say(f"{len(paths)} pictures, {pictures.count} large enough, {pictures.entries} with reduced ones, "
        f"{len(pictures.pixels) / 1e6:.0f} Mpixel: {time.monotonic() - begun:.1f} s")  # fmt: skip
    run = Run(arguments, device)
    parameters = sum(p.numel() for p in run.networks.parameters())
    say(f"took {run.taken[0]} of {run.taken[1]} tensors; {parameters / 1e6:.2f} M")
    if arguments.checkpoint and arguments.checkpoint.exists():
        run.load(arguments.checkpoint)
        say(f"resumed at step {run.step}, {run.seconds:.0f} s")
    torch.manual_seed(arguments.seed * 1_000_003 + run.step)
    rng = np.random.default_rng([arguments.seed, run.step])
    places = pictures.draw(rng, arguments.batch).to(device)
    step = partial(run.body, pictures, places)
    if device.type == "cuda":
        step = captured(run, step, say)
    say(f"ready after {time.monotonic() - begun:.1f} s")
    started, said, saved = time.monotonic(), 0.0, time.monotonic()
    first, before = run.step, run.seconds
    pinned = torch.empty_like(places, device="cpu")
    if device.type == "cuda":
        pinned = pinned.pin_memory()
    while True:
        now = time.monotonic() - started
        run.seconds = before + now
        if run.seconds >= arguments.seconds or run.step >= arguments.steps:
            break
        if arguments.stop_after and now >= arguments.stop_after:
            break
        run.set_rate(arguments.seconds)
        places.copy_(pictures.draw(rng, arguments.batch))
        step()
        run.step += 1
        if now - said >= 10 or run.step == arguments.steps:
            said = now
            total, error, base, rate = run.smooth.tolist()  # waits for the card
            done = (run.step - first) / max(1e-9, time.monotonic() - started)
            pixels = done * arguments.batch * arguments.crop**2
            say(
                f"step {run.step} {run.seconds:.0f} s: {done:.1f} steps/s, {pixels / 1e6:.1f} Mpixel/s, "
                f"objective {total:.4f}, {10 * math.log10(255**2 / error):.2f} dB, "
                f"base {10 * math.log10(255**2 / base):.2f} dB, {rate:.3f} bpp"
            )
            if not math.isfinite(total):
                raise SystemExit("not finite")
        if arguments.checkpoint and time.monotonic() - saved > 60:
            saved = time.monotonic()
            run.save(arguments.checkpoint)
    if arguments.checkpoint:
        run.save(arguments.checkpoint)
    say(f"{run.step} steps, {run.seconds:.0f} s, memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        if device.type == "cuda" else f"{run.step} steps")  # fmt: skip
    networks = copy.deepcopy(run.average)
    if arguments.tables:
        CodedRecipe().complete(networks, paths, arguments.seed, "float16")
    notes = {"steps": str(run.step), "seed": str(arguments.seed), "started_from": origin(arguments.start)}
    path = save_weights(arguments.out / "coded.safetensors", networks, notes, "float16")
    say(f"wrote {path} ({path.stat().st_size} bytes), {run.step} steps, {run.seconds:.0f} s; "
        f"{json.dumps(asdict(run.networks.shape))}")  # fmt: skip


def captured(run: Run, step, say):
    """The step as a captured graph; as it is where that fails. Weights are left as they were."""
    state = copy.deepcopy([run.networks.state_dict(), run.average.state_dict(), run.optimiser.state_dict()])
    means = run.means.clone(), run.counts.clone()
    try:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(4):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        result = graph.replay
        say("captured")
    except Exception as error:
        say(f"not captured: {error!r}"[:2000])
        result = step
    torch.cuda.synchronize()
    run.networks.load_state_dict(state[0])
    run.average.load_state_dict(state[1])
    with torch.no_grad():
        # In place: the graph holds the addresses.
        old = state[2]["state"]
        for number, parameter in enumerate(p for g in run.optimiser.param_groups for p in g["params"]):
            for name, value in run.optimiser.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    value.copy_(old[number][name]) if number in old else value.zero_()
        run.means.copy_(means[0])
        run.counts.copy_(means[1])
    return result


if __name__ == "__main__":
    main()
