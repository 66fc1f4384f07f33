# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks on a graphics card as captured graphs: one launch in place of several hundred, which cost a processor
more time than the card needs for them.

The first call with inputs of some shapes runs the network three times and captures it (``torch.cuda.CUDAGraph``);
later ones copy their inputs into the graph's, replay it, and copy its output. The numbers are those of the same kernels
without a graph. ``$DS2C2_GRAPHS`` is ``auto`` or ``off``.
"""

import os
import threading
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ds2c2.errors import DeviceError

VARIABLE = "DS2C2_GRAPHS"
CHOICES = ("auto", "off")
DEVICES = {"cuda"}  # of these types a graph can be captured
WARM_UPS = 3  # before a capture: what libraries make at their first calls must not be part of it

Network = Callable[..., Tensor]


class Graphs:
    """The graphs of one codec's networks on ``device``, for any thread. Where there is no card networks are simply
    called, and so they are from a capture on that fails, which is said once. Raises ``DeviceError`` for another value
    of the variable."""

    # Of all codecs: a card must not be waited for as a whole, as a capture does first, while another one is under way.
    _lock = threading.Lock()

    def __init__(self, device: torch.device):
        wanted = os.environ.get(VARIABLE) or "auto"
        if wanted not in CHOICES:
            raise DeviceError(f"${VARIABLE} is {wanted!r}; choose {' or '.join(CHOICES)}")
        self.on = wanted == "auto" and device.type in DEVICES
        self._device = device
        self._graphs: dict[tuple, _Graph] = {}

    def __len__(self) -> int:
        return len(self._graphs)

    def run(self, network: Network, *inputs: Tensor) -> Tensor:
        """``network(*inputs)``. What it does may depend on the inputs' shapes, types and strides, not on their numbers.
        With gradients nothing is captured."""
        if self.on and torch.is_inference_mode_enabled():
            with self._lock:
                if graph := self._graph(network, inputs):
                    return graph(inputs)
        return network(*inputs)

    def _graph(self, network: Network, inputs: Sequence[Tensor]) -> "_Graph | None":
        """None where a capture has failed."""
        # A graph's tensors are used anew in the order of one stream.
        key = (network, _stream(self._device), *((x.shape, x.dtype, x.stride()) for x in inputs))
        if self.on and key not in self._graphs:
            try:
                self._graphs[key] = _Graph(network, inputs)
            except RuntimeError as error:
                self.on = False
                line = str(error).partition("\n")[0]
                warnings.warn(f"networks run without captured graphs, which failed: {line}", stacklevel=2)
        return self._graphs[key] if self.on else None


class _Graph:
    """A network with inputs and an output of its own."""

    def __init__(self, network: Network, inputs: Sequence[Tensor]):
        self._inputs = [x.clone() for x in inputs]
        self._replay, self._output = record(network, self._inputs)

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._replay()
        return self._output.clone()


def record(network: Network, inputs: Sequence[Tensor]) -> tuple[Callable[[], None], Tensor]:
    """A function that makes ``network`` run again on ``inputs`` as they are by then, and where its output is.

    As torch's documentation asks ("CUDA semantics", CUDA graphs): warmed up on a side stream and captured there, with
    memory of its own. Other threads go on meanwhile. Raises ``RuntimeError``.
    """
    with torch.cuda.device(inputs[0].device):
        side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                network(*inputs)
            with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                output = network(*inputs)
        torch.cuda.current_stream().wait_stream(side)
    return graph.replay, output


def _stream(device: torch.device) -> int:
    return torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0
