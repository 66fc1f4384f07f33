# SPDX-License-Identifier: GPL-3.0-or-later
"""A radio back end is a file, an entry in the table and its documentation; each brings only its own libraries."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml
from flowgraph import run
from gnuradio import blocks, ds2c2, gr

from checkout import CHECKOUT
from ds2c2.links.radiobackends import BACKENDS, RadioBackend
from ds2c2.links.radiosettings import RadioError, TransmitSettings

DEADLINE = 90  # seconds
TOY = """
    import numpy as np
    from gnuradio import gr

    SHELF = {}


    class shelf_sink(gr.sync_block):
        def __init__(self, name):
            gr.sync_block.__init__(self, name="radio_sink", in_sig=[np.complex64], out_sig=None)
            self.pieces = SHELF.setdefault(name, [])

        def work(self, input_items, output_items):
            self.pieces.append(input_items[0].copy())
            return len(input_items[0])


    class shelf_source(gr.sync_block):
        def __init__(self, name):
            gr.sync_block.__init__(self, name="radio_source", in_sig=None, out_sig=[np.complex64])
            self.left = np.concatenate(SHELF.pop(name))

        def work(self, input_items, output_items):
            count = min(len(output_items[0]), len(self.left))
            output_items[0][:count], self.left = self.left[:count], self.left[count:]
            return count or -1


    def sink(settings, note):
        return shelf_sink(settings.address)


    def source(settings):
        return shelf_source(settings.address)
"""
WITHOUT_UHD = """
import sys
class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "gnuradio.uhd":
            raise ImportError("no UHD here")
sys.meta_path.insert(0, Hidden)
from gnuradio import ds2c2
for make in (ds2c2.radio_sink, ds2c2.radio_source):
    sending = {"transmit": True} if make is ds2c2.radio_sink else {}
    try:
        make("soapy", "driver=nosuch", frequency=868e6, **sending)
    except Exception as error:
        print(type(error).__name__, str(error)[:32])
"""


def test_a_toy_back_end_carries_samples(tmp_path, monkeypatch):
    (tmp_path / "toy_radio.py").write_text(textwrap.dedent(TOY))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(BACKENDS, "toy", RadioBackend("toy_radio", "a shelf in memory", address="shelf"))
    samples = (np.arange(3000) * (0.1 + 0.2j)).astype(np.complex64)
    graph = gr.top_block()
    graph.connect(blocks.vector_source_c(samples.tolist()), ds2c2.radio_sink("toy"))
    run(graph)
    graph, sink = gr.top_block(), blocks.vector_sink_c()
    graph.connect(ds2c2.radio_source("toy"), sink)
    run(graph)
    np.testing.assert_array_equal(np.array(sink.data(), np.complex64), samples)
    assert ("backend", "toy") in TransmitSettings("toy").lines()
    monkeypatch.delitem(BACKENDS, "toy")
    with pytest.raises(RadioError, match="radio 'toy' is unknown"):
        ds2c2.radio_sink("toy")


def test_soapy_needs_no_uhd():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_UHD], capture_output=True, text=True, timeout=DEADLINE, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["DeviceError radio soapy: no device for 'driv"] * 2


@pytest.mark.parametrize("name", BACKENDS)
def test_every_back_end_has_both_ends(name):
    import ast

    tree = ast.parse((CHECKOUT / "python_blocks" / f"{BACKENDS[name].module}.py").read_text())
    functions = {node.name: [a.arg for a in node.args.args] for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert functions["sink"] == ["settings", "note"]
    assert functions["source"] == ["settings"]


@pytest.mark.parametrize("block", ["radio_sink", "radio_source"])
def test_companion_offers_the_back_ends_of_the_table(block):
    path = CHECKOUT / "gr-ds2c2" / "grc" / f"ds2c2_{block}.block.yml"
    (offered,) = [p for p in yaml.safe_load(path.read_text())["parameters"] if p["id"] == "backend"]
    assert offered["options"] == list(BACKENDS)


def test_the_manual_names_every_back_end():
    page = (Path(CHECKOUT) / "docs" / "radio.md").read_text(encoding="utf-8")
    for name in BACKENDS:
        assert f"`{name}`" in page, name
