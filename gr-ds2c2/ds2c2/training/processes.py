# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes that train together, started by ``torchrun``; alone, all of this does nothing.

torchrun gives each process its rank and their number in the environment. Gradients are averaged
by PyTorch's DistributedDataParallel, over NCCL between GPUs and over gloo between CPUs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn

from ds2c2.errors import UserError
from ds2c2.networks.weights import choose_device


@dataclass(frozen=True)
class Processes:
    """This process among ``count``; the first, rank 0, speaks and writes."""

    rank: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, batch: int) -> range:
        """This process's places in a batch. Raises ``UserError`` when it cannot be shared evenly."""
        if batch % self.count:
            raise UserError(
                f"training.batch {batch} cannot be shared by {self.count} processes; use a multiple of {self.count}"
            )
        part = batch // self.count
        return range(self.rank * part, (self.rank + 1) * part)

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over all processes."""
        if self.count == 1 or not any(p.requires_grad for p in module.parameters()):
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes that torchrun started, or this one alone; with ``auto`` each takes a GPU of its own.

    Raises ``DeviceError`` and ``UserError``.
    """
    try:
        rank, count, local = (int(os.environ.get(n, d)) for n, d in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    except ValueError:
        raise UserError(
            "RANK, WORLD_SIZE and LOCAL_RANK are no numbers; start several processes with torchrun"
        ) from None
    if count == 1:
        yield Processes(device=choose_device(device))
        return
    place = choose_device(f"cuda:{local}" if device == "auto" and torch.cuda.is_available() else device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo", rank=rank, world_size=count)
    try:
        yield Processes(rank, count, place)
    finally:
        distributed.destroy_process_group()
