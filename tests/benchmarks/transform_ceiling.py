# SPDX-License-Identifier: GPL-3.0-or-later
"""What the transforms of ``coded`` give where nothing is lost, beside a hyperprior codec's curve.

    .venv/bin/python tests/benchmarks/transform_ceiling.py PICTURES... [--weights coded] [--quality 75] [--effort 16]

No losses, no copies of large symbols, no block headers: the rate is c's bytes and the ideal code
length of the symbols, true rounding. Prints bpp and PSNR (all samples of R, G, B), means over
the pictures, and how far they are from the published curve at the same rate (in dB, linear
between its points over the logarithm of the rate; that curve is for Kodak). With --effort symbols are refined at the
encoder, at as many bits as they took before; the decoder is the same.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
import torch
from torch import Tensor

from ds2c2.codec.quantizer import Cells, Quantizer
from ds2c2.codec.refinement import Refinement, place
from ds2c2.codec.smallpicture import decode_small, encode_small, reduce_picture
from ds2c2.networks.modelfiles import find_weights
from ds2c2.networks.scales import TABLES, measure_maps
from ds2c2.networks.weights import load_networks
from ds2c2.pictures.metrics import psnr
from ds2c2.pictures.pictures import list_pictures, read_picture, to_picture, to_tensor
from ds2c2.stream.geometry import CELL, REDUCTION
from ds2c2.training.coded import forward

# bmshj2018-hyperprior (Ballé et al., ICLR 2018), mean over Kodak, as published by CompressAI in
# results/image/kodak/compressai-bmshj2018-hyperprior_mse_cuda.json: bpp and PSNR in dB.
HYPERPRIOR = {0.1313: 27.58, 0.2089: 29.20, 0.3199: 30.97, 0.4784: 32.84, 0.6687: 34.53}
WHITE = 255
LOG_STEPS = (6.75, 6.25, 5.75, 5.25, 4.75)  # log2 in 8-bit levels; 0.13 to 0.6 bpp lie there


@torch.inference_mode()
def measure(
    networks: torch.nn.Module, path: Path, quality: int, steps: tuple[float, ...], effort: int
) -> list[tuple[float, float]]:
    """bpp and PSNR of a picture at every step; sides are cut to whole cells."""
    picture = read_picture(path)
    height, width = (side // CELL * CELL for side in picture.shape[:2])
    picture = np.ascontiguousarray(picture[:height, :width])
    data = encode_small(reduce_picture(picture, REDUCTION), quality)
    pair = [to_tensor(part) for part in (picture, decode_small(data))]
    if effort:
        return [refined(networks, *pair, decode_small(data), log_step, effort, len(data)) for log_step in steps]
    points = []
    for log_step in steps:
        generator = torch.Generator().manual_seed(1)
        received, _, rate = forward(networks, *pair, torch.tensor([log_step]), torch.zeros(1), generator, copies=False)
        bpp = rate.item() + 8 * len(data) / (height * width)
        points.append((bpp, psnr(picture, to_picture(received))))
    return points


def refined(
    networks: torch.nn.Module,
    picture: Tensor,
    small: Tensor,
    pixels: np.ndarray,
    log_step: float,
    effort: int,
    size: int,
) -> tuple[float, float]:
    """bpp and PSNR of a picture ``float32[1, 3, H, W]`` over its c, ``small`` and ``pixels``, of ``size`` bytes."""
    base = networks.base_picture(small)
    coefficients = networks.encoder(picture - base, base)
    quantizer = Quantizer(networks, TABLES)  # no copies
    maps = measure_maps(coefficients, networks.shape.luma)[0].numpy().astype(np.int64)
    features = quantizer.scales.features(pixels, maps)
    cells = Cells(coefficients[0].flatten(1).contiguous(), quantizer.scales.begin(features), None)
    step = round(256 * log_step)
    tables, both = (found.numpy() for found in quantizer.symbols(step, cells))
    symbols, copies = np.split(both, 2)
    with torch.inference_mode(False), torch.enable_grad():
        grid = tuple(side // CELL for side in picture.shape[2:])
        placed = place(quantizer, step, cells, features, tables, copies, grid)
        sent = placed.tables >= 0
        bits = float(quantizer.tables.bits[placed.tables[sent], np.abs(symbols[sent])].sum())
        work = Refinement(networks, quantizer.tables, picture.clone(), base.clone(), placed, 0.0, bits)
        found = work.run(work.at(symbols), effort)
        with torch.no_grad():
            none = torch.zeros_like(work.sent)
            error = float(work.error(found, none, none))
        bits = float(work.cost(found).sum())
    return (bits + 8 * size) / picture[0, 0].numel(), 10 * np.log10(WHITE**2 / error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--weights", default="coded")
    parser.add_argument("--quality", type=int, default=75, help="WebP quality of c")
    parser.add_argument("--effort", type=int, default=0, help="steps of refinement")
    parser.add_argument("--steps", default=",".join(map(str, LOG_STEPS)), help="log2 of the quantizer's steps")
    arguments = parser.parse_args()
    steps = tuple(float(step) for step in arguments.steps.split(","))
    networks = load_networks(find_weights(arguments.weights), torch.device("cpu"))
    paths = list_pictures(arguments.pictures)
    curves = np.array([measure(networks, path, arguments.quality, steps, arguments.effort) for path in paths])
    known = np.log(list(HYPERPRIOR)), list(HYPERPRIOR.values())
    print(f"{arguments.weights}, {len(paths)} pictures, torch {torch.__version__}")
    print("log2 step   bpp    PSNR   hyperprior  difference")
    for log_step, (bpp, value) in zip(steps, curves.mean(0), strict=True):
        there = np.interp(np.log(bpp), *known)
        print(f"{log_step:9.2f}  {bpp:.3f}  {value:6.2f}  {there:9.2f}  {value - there:+9.2f}")


if __name__ == "__main__":
    main()
