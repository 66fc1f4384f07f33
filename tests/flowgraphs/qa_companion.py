# SPDX-License-Identifier: GPL-3.0-or-later
"""GNU Radio Companion by its own Python API: what is dropped works, and what cannot be is red with one line."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from qa_flowgraphs import BLOCKS, DEADLINE

pytestmark = pytest.mark.usefixtures("models")

FORMAT = "variable_ds2c2_stream_format"
CHAIN = (
    "ds2c2_encoder_source", "ds2c2_interleaver", "ds2c2_packetizer", "ds2c2_block_erasure_channel",
    "ds2c2_depacketizer", "ds2c2_deinterleaver", "ds2c2_decoder_sink",
)  # fmt: skip
# Of GNU Radio's own descriptions: all of them take seconds to read. The newest have workflows, too.
STOCK = ("*.domain.yml", "*.workflow.yml", "options.block.yml", "variable.block.yml", "qtgui_range.block.yml")
# Characters that fit a line of Companion's dialog as it opens, 600 pixels wide.
DIALOG_COLUMNS = 88


@pytest.fixture(scope="module")
def platform():
    from gnuradio import gr
    from gnuradio.grc.core.platform import Platform

    made = Platform(
        version=gr.version(),
        version_parts=(gr.major_version(), gr.api_version(), gr.minor_version()),
        prefs=gr.prefs(),
    )
    folders = [Path(folder) for folder in made.config.block_paths]
    stock = [str(path) for name in STOCK for folder in folders for path in folder.glob(name)]
    made.build_library(path=[*stock, *map(str, BLOCKS)])
    return made


class Canvas:
    """A flowgraph as Companion's canvas: ``drop`` names a block as it does."""

    def __init__(self, platform):
        self.graph = platform.make_flow_graph(platform.config.default_flow_graph)
        self.graph.grc_file_path = ""  # not saved yet
        self.graph.options_block.params["generate_options"].set_value("no_gui")
        self.graph.rewrite()  # with workflows, only the one that was chosen has the next parameter
        self.graph.options_block.params["run_options"].set_value("run")

    def drop(self, key, /, **values):
        taken = {block.name for block in self.graph.blocks}
        number = next(n for n in range(100) if f"{key}_{n}" not in taken)
        block = self.graph.new_block(key)
        assert block is not None, key
        block.params["id"].set_value(f"{key}_{number}")
        self.set(block, **values)
        return block

    def set(self, block, /, **values):
        for key, value in values.items():
            block.params[key].set_value(value)

    def chain(self, *keys):
        dropped = [self.drop(key) for key in keys]
        for one, other in zip(dropped, dropped[1:], strict=False):
            self.graph.connect(one.sources[0], other.sinks[0])
        return dropped

    def red(self, block=None) -> list[str]:
        """Lines of a block in red, or of all; of ports that are not connected nothing is said."""
        for _ in range(2):  # as Companion updates
            self.graph.rewrite()
        self.graph.validate()
        lines = [
            line
            for one in ([block] if block else self.graph.get_enabled_blocks())
            for line in one.get_error_messages()
            if "not connected" not in line
        ]
        if block is None:
            lines += [line for one in self.graph.connections for line in one.get_error_messages()]
        return lines


@pytest.fixture
def canvas(platform):
    return Canvas(platform)


def test_a_fresh_flowgraph_works_as_dropped(platform, canvas, tmp_path):
    """Defaults only: valid, generated, run to its end with four pictures."""
    canvas.drop(FORMAT)
    canvas.chain(*CHAIN)
    assert canvas.red() == []
    assert canvas.graph.is_valid()
    platform.Generator(canvas.graph, str(tmp_path)).write()
    done = subprocess.run(
        [sys.executable, "default.py"], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    assert "decoder_sink: 4 frames, 0 concealed" in done.stderr


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_every_block_is_green_as_dropped(canvas, path):
    canvas.drop(FORMAT)
    block = canvas.drop(yaml.safe_load(path.read_text())["id"])
    assert canvas.red(block) == []


def test_the_order_of_dropping_does_not_matter(canvas):
    canvas.chain(*CHAIN)
    assert any("add a Stream Format to the flowgraph" in line for line in canvas.red())
    canvas.drop(FORMAT)
    assert canvas.red() == []


def test_another_name_of_the_format_is_proposed(canvas):
    canvas.set(canvas.drop(FORMAT), id="photos")
    block = canvas.drop("ds2c2_interleaver")
    assert "write photos as Stream Format: that is what it is called here" in canvas.red(block)
    canvas.set(block, stream_format="photos")
    assert canvas.red(block) == []


@pytest.mark.parametrize("key", CHAIN)
def test_the_text_form_does_as_well(canvas, key):
    block = canvas.drop(key, stream_format="'ds2c2/1 128x64 bpp=0.5 block=90'")
    assert canvas.red(block) == []
    widths = {port.vlen for port in [*block.sources, *block.sinks] if port.domain == "stream"}
    assert widths <= {90, 8 * 90, 98} and widths
    canvas.set(block, stream_format="'ds2c2/1 128by64'")
    (line,) = canvas.red(block)
    assert line.startswith("stream format 'ds2c2/1 128by64' is not understood")


RADIO = {"backend": "uhd", "frequency": "868e6"}
# Block, what is set, and how its one red line begins.
WRONG = [
    ("encoder_source", {"pictures": "'/nowhere/*.png'"}, "/nowhere/*.png: no pictures there"),
    ("encoder_source", {"pictures": "'/nowhere/a.png'"}, "/nowhere/a.png: no such file"),
    ("encoder_source", {"pictures": "[]"}, "no pictures are named"),
    ("encoder_source", {"device": "gpu"}, "device 'gpu' is unknown; choose auto, cpu, cuda or cuda:N"),
    ("encoder_source", {"frame_rate": "-1"}, "frame rate -1 is negative"),
    ("encoder_source", {"favour": "['500,0,64x48=2']"}, "favour '500,0,64x48=2': the rectangle is not within the"),
    ("encoder_source", {"favour": "['0,0,64x48=9']"}, "favour '0,0,64x48=9': a gain is 0.25 to 4"),
    ("encoder_source", {"pictures": "'/nowhere/film.mp4'"}, "/nowhere/film.mp4: no such file"),
    ("encoder_source", {"pictures": "'/dev/video63'"}, "/dev/video63: no such camera"),
    ("encoder_source", {"pictures": "'/nowhere'", "follow": "True"}, "/nowhere: one folder can be followed"),
    ("encoder_source", {"live": "True"}, "still pictures are never late"),
    ("encoder_source", {"count": "-1"}, "count -1 is negative"),
    ("encoder_source", {"effort": "1001"}, "effort 1001 is out of range"),
    ("packets_to_pdus", {"rate": "-1"}, "rate -1 is out of range"),
    ("encoder_source", {"labels": "/nowhere"}, "labels /nowhere: no such folder of label maps"),
    ("encoder_source", {"favour": "['sing=2']"}, "favour 'sing=2': class 'sing' is unknown"),
    ("decoder_sink", {"render": "nosuch"}, "model 'nosuch' is unknown: no nosuch.safetensors in "),
    ("decoder_sink", {"render": "binary"}, "render binary: was not trained from coded@"),
    ("decoder_sink", {"device": "cuda:77"}, "device 'cuda:77' is not there"),
    ("decoder_sink", {"originals": "'/nowhere'"}, "/nowhere: no such file"),
    ("block_erasure_channel", {"loss": "1.5"}, "loss 1.5 is out of range: 0 to 1"),
    ("block_erasure_channel", {"model": "gilbert-elliott", "burst": "0.5"}, "burst 0.5 is too short"),
    ("block_erasure_channel", {"model": "trace"}, "channel model trace needs a recorded trace"),
    ("block_erasure_channel", {"model": "trace", "trace": "/nowhere.csv"}, "/nowhere.csv: no readable loss trace"),
    ("block_erasure_channel", {"model": "trace", "trace": os.devnull}, "/dev/null: no readable loss trace (a device"),
    ("block_erasure_channel", {"model": "semi-markov"}, "channel model semi-markov needs a recorded trace"),
    ("block_erasure_channel", {"protect_base": "True"}, "protect_base: the base layer has no blocks of its own here"),
    ("block_erasure_channel", {"effect": "flip", "unit": "bit", "model": "exact"}, "channel model exact says which"),
    ("packetizer", {"stream": "256"}, "stream 256 is out of range: 0 to 255"),
    ("depacketizer", {"timeout": "0"}, "timeout 0 is out of range"),
    ("depacketizer", {"key": "/nowhere.key"}, "/nowhere.key: cannot be read"),
    ("radio_air", {"cfo": "0.7"}, "cfo 0.7 is out of range"),
    ("gmsk_link", {"delays": "[1]", "fading": "rayleigh"}, "1 delays and 0 magnitudes"),
    ("ofdm_link", {"clock": "1"}, "clock 1 is out of range"),
    ("ofdm_modulator", {"gap": "10"}, 'Assertion "gap >= 500" failed.'),
    ("radio_sink", {"scale": "-1"}, "scale -1 is out of range: 0 to 1e+06 times"),
    ("radio_sink", {"rate": "0"}, "rate 0 is out of range"),
    ("radio_sink", RADIO | {"clock_source": "outside"}, "clock_source 'outside' is unknown; choose one of external, "),
    ("radio_source", RADIO | {"time_source": "sun"}, "time_source 'sun' is unknown"),
    ("radio_source", RADIO | {"frequency": "0"}, "radio uhd: no centre frequency is given"),
    ("radio_source", {"air": "snr=20 fadding=rayleigh"}, "air 'snr=20 fadding=rayleigh': 'fadding=rayleigh' is not"),
    ("radio_source", {"backend": "zmq", "address": "127.0.0.1:5557"}, "radio zmq: '127.0.0.1:5557' is no endpoint"),
    ("radio_sink", {"backend": "zmq", "keys": "/nowhere"}, "/nowhere: "),
    ("radio_sink", {"backend": "file"}, "radio file: no recording is named"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "line"), WRONG)
def test_a_wrong_value_is_red_with_one_line(canvas, name, values, line):
    canvas.drop(FORMAT)
    block = canvas.drop(f"ds2c2_{name}", **values)
    (said,) = canvas.red(block)
    assert said.startswith(line), said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"bpp": "2"}, "bpp 2.0 is out of range: 0.1 to 1.0 bits per pixel"),
        ({"width": "32"}, "width 32 is out of range: 64 to 4096 pixels"),
        ({"interleave": "block", "depth": "3"}, "depth 3 does not divide 65536"),
        ({"interleave": "bit"}, "interleave=bit tears the code blocks of model coded (profile coded)"),
        ({"bpp": "0.1", "base_bpp": "0.4"}, "bpp 0.1 is too low for the base layer"),
    ],
)
def test_of_a_wrong_stream_format_only_the_variable_is_red(canvas, values, line):
    canvas.drop(FORMAT, **values)
    canvas.chain(*CHAIN)
    (said,) = canvas.red()
    assert said.startswith(line) and "\n" not in said, said


def test_an_unknown_model_is_red_where_weights_are_needed(canvas):
    """A relay needs none."""
    canvas.drop(FORMAT, model="cod")
    source, *between, sink = canvas.chain(*CHAIN)
    for end in (source, sink):
        (line,) = canvas.red(end)
        assert line.startswith("model 'cod' is unknown: no cod.safetensors in") and "known: binary, coded" in line
    assert [canvas.red(block) for block in between] == [[]] * len(between)
    canvas.set(canvas.graph.get_block(f"{FORMAT}_0"), model="coded@01234567")
    (line,) = canvas.red(source)
    assert line.startswith("model coded@01234567: the weights here are coded@")


def test_of_a_value_that_is_no_expression_companion_speaks(canvas):
    canvas.drop(FORMAT)
    block = canvas.drop("ds2c2_block_erasure_channel", loss="nonsense")
    said = canvas.red(block)
    assert all(line.startswith("Param - Loss") for line in said) and "name 'nonsense' is not defined" in said[0]


def test_names_are_those_beside_the_flowgraph(canvas, tmp_path):
    """Companion runs a flowgraph in its own folder, wherever it was started."""
    canvas.drop(FORMAT)
    block = canvas.drop("ds2c2_encoder_source", pictures="'mine/*.png'")
    assert len(canvas.red(block)) == 1
    (tmp_path / "mine").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "mine" / "a.png")
    canvas.graph.grc_file_path = str(tmp_path / "flow.grc")
    assert canvas.red(block) == []


@pytest.mark.parametrize(
    ("key", "parameter", "moves"),
    [
        (FORMAT, "bpp", False),
        ("ds2c2_gmsk_link", "threshold", False),
        ("ds2c2_gmsk_link", "k", True),
        ("ds2c2_block_erasure_channel", "loss", True),
        ("ds2c2_radio_sink", "gain", True),
        ("ds2c2_radio_source", "frequency", True),
        ("ds2c2_radio_source", "lo_offset", False),
        ("ds2c2_radio_air", "signal_power", True),
    ],
)
def test_a_slider_that_would_do_nothing_is_red(canvas, key, parameter, moves):
    """Through a plain variable too; a text that happens to be its name is none."""
    canvas.drop(FORMAT)
    canvas.graph.options_block.params["generate_options"].set_value("qt_gui")
    slider = canvas.drop("variable_qtgui_range", value="0.5", start="0", stop="1", step="0.1")
    canvas.set(slider, id="slider")
    canvas.set(canvas.drop("variable", value="slider / 2 + 0.05"), id="half")
    block = canvas.drop(key, **{parameter: "half"})
    values = {"comment": "slider", "alias": "slider"}
    canvas.set(block, **{name: value for name, value in values.items() if name in block.params})
    label = block.params[parameter].name
    line = f"{label} follows slider and cannot change while running: give a value, or a variable that no widget moves"
    assert canvas.red(block) == ([] if moves else [line])


def test_without_companion_a_check_answers(models):
    from gnuradio import ds2c2

    assert ds2c2.companion.known_format("ds2c2/1 128x128")
    assert not ds2c2.companion.known_format("ds2c2/9")


def test_checks_need_no_torch(tmp_path):
    """Companion opens at once."""
    script = """
        import sys
        from gnuradio import ds2c2
        assert ds2c2.companion.encoder_source(
            "ds2c2/1 128x128 model=coded", ds2c2.sample_photographs(), "auto", 0, ["0,0,64x64=2"], "")
        assert ds2c2.companion.decoder_sink("ds2c2/1 128x128", "", "cpu", "coded")
        assert "torch" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_documentation_fits_the_dialog(path):
    lines = yaml.safe_load(path.read_text())["documentation"].splitlines()
    assert [line for line in lines if len(line) > DIALOG_COLUMNS] == []
