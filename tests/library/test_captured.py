# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured graphs without a card: all but the capture itself, in whose place the network is called again.

What a card makes of it, ``tests/gpu/check.py`` asks one.
"""

import numpy as np
import pytest
import torch
from skimage.data import astronaut, chelsea

from ds2c2.codec.codec import Codec
from ds2c2.errors import DeviceError
from ds2c2.networks import captured
from ds2c2.networks.captured import VARIABLE, Graphs
from ds2c2.pictures.pictures import fit_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(128, 96, bpp=0.5, survive=0.5, model="coded")
CPU = torch.device("cpu")


@pytest.fixture
def recorded(monkeypatch):
    """Graphs on the processor: replays are calls into the tensor that the first one gave. Gives what was recorded."""
    made = []

    def record(network, inputs):
        made.append(network)
        output = network(*inputs)
        return lambda: output.copy_(network(*inputs)), output

    monkeypatch.setattr(captured, "record", record)
    monkeypatch.setattr(captured, "DEVICES", {"cpu"})
    return made


def frames(codec: Codec) -> list[np.ndarray]:
    """Soft bits of two pictures with losses, whole and with a lost base layer."""
    sent = [codec.encode(fit_picture(one(), 128, 96, "scale")).blocks for one in (astronaut, chelsea)]
    arrived = np.arange(STREAM.blocks) % 4 > 0
    return [to_soft(blocks, which) for blocks in sent for which in (arrived, ~arrived, arrived | True)]


def test_graphs_change_no_byte_and_are_made_once_each(models, recorded, monkeypatch):
    graphs = Codec(STREAM, "cpu")
    monkeypatch.setenv(VARIABLE, "off")
    plain = Codec(STREAM, "cpu")
    with_graphs, without = frames(graphs), frames(plain)
    assert all(map(np.array_equal, with_graphs, without))
    for at_once in (1, 2):
        decoded = list(graphs.decode_many(with_graphs, at_once))
        for one, other in zip(decoded, map(plain.decode, without), strict=True):
            assert np.array_equal(one.picture, other.picture)
            assert np.array_equal(one.base_picture, other.base_picture)
    networks = graphs.profile.networks
    assert recorded == [networks.base_picture, networks.encoder, networks.scale_features, networks.decoder]
    assert (len(graphs.profile.graphs), len(plain.profile.graphs)) == (4, 0)


@torch.inference_mode()
def test_a_graph_takes_new_numbers_and_leaves_old_results_alone(recorded):
    graphs, network = Graphs(CPU), torch.nn.Conv2d(2, 3, 3).requires_grad_(False)
    inputs = [torch.full((1, 2, 8, 8), float(number)) for number in range(3)]
    results = [graphs.run(network, x) for x in inputs]
    assert all(map(torch.equal, results, map(network, inputs)))
    assert len(graphs) == 1
    # Another shape, another order in memory, another network: a graph each.
    graphs.run(network, inputs[0][:, :, :4])
    graphs.run(network, inputs[0].contiguous(memory_format=torch.channels_last))
    graphs.run(torch.relu, inputs[0])
    assert len(graphs) == len(recorded) == 4


def test_with_gradients_nothing_is_captured(recorded):
    x = torch.ones(2, requires_grad=True)
    Graphs(CPU).run(torch.square, x).sum().backward()
    assert x.grad.tolist() == [2, 2] and recorded == []


@torch.inference_mode()
def test_where_a_capture_fails_networks_are_called_and_it_is_said_once(recorded, monkeypatch):
    def fail(network, inputs):
        recorded.append(network)
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    monkeypatch.setattr(captured, "record", fail)
    graphs, x = Graphs(CPU), torch.arange(4.0)
    with pytest.warns(UserWarning, match="without captured graphs, .*: operation not permitted .* capturing$") as said:
        for _ in range(3):
            assert torch.equal(graphs.run(torch.square, x), x * x)
    assert len(said) == len(recorded) == 1 and len(graphs) == 0


def test_a_processor_captures_nothing():
    assert not Graphs(CPU).on
    assert Graphs(torch.device("cuda")).on


def test_another_choice_is_refused(models, monkeypatch):
    monkeypatch.setenv(VARIABLE, "yes")
    with pytest.raises(DeviceError, match="DS2C2_GRAPHS is 'yes'; choose auto or off"):
        Codec(STREAM, "cpu")
