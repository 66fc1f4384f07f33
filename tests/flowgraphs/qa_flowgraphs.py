# SPDX-License-Identifier: GPL-3.0-or-later
"""Every flowgraph compiles, and the headless twin runs to its end by itself."""

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from checkout import CHECKOUT

FLOWGRAPHS = sorted((CHECKOUT / "flowgraphs").rglob("*.grc"))
BLOCKS = sorted((CHECKOUT / "gr-ds2c2" / "grc").glob("*.block.yml"))
AT_ONCE = 5  # flowgraphs that one grcc makes
# Seconds: far above what compiling or a run of four small pictures takes.
DEADLINE = 240

# Random weights: what is tested here does not hang on those that are shipped.
pytestmark = pytest.mark.usefixtures("models")

GRCC = shutil.which("grcc")


def compiled(flowgraph, folder):
    """The Python that grcc makes of a flowgraph, in a folder."""
    made = folder / f"{flowgraph.stem}.py"
    made.write_text(python_of(flowgraph))
    return made


def python_of(flowgraph) -> str:
    """What grcc makes of a flowgraph."""
    return pythons_of(FLOWGRAPHS.index(flowgraph) // AT_ONCE)[flowgraph]


@functools.cache
def pythons_of(batch: int) -> dict[Path, str]:
    """What grcc makes of a few flowgraphs, once in a process: to read all blocks takes it longer than to make one."""
    some = FLOWGRAPHS[batch * AT_ONCE : (batch + 1) * AT_ONCE]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            # With this interpreter: grcc's own may not see what the blocks import.
            [sys.executable, GRCC, "-o", folder, *map(str, some)],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env={**os.environ, "GRC_BLOCKS_PATH": str(CHECKOUT / "gr-ds2c2" / "grc")},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "may not have flow control" not in done.stdout
        made = {path: Path(folder) / f"{path.stem}.py" for path in some}
        assert all(path.exists() for path in made.values()), done.stdout + done.stderr
        return {path: python.read_text() for path, python in made.items()}


def run(script, folder):
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        cwd=folder,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )


def test_there_are_flowgraphs_and_blocks():
    assert "loopback_emulated" in {path.stem for path in FLOWGRAPHS}
    assert len(BLOCKS) >= 8


@pytest.mark.parametrize("flowgraph", FLOWGRAPHS, ids=lambda path: path.stem)
def test_compiles(flowgraph, tmp_path):
    made = compiled(flowgraph, tmp_path)
    compile(made.read_text(), str(made), "exec")


@pytest.mark.parametrize(
    "path", [p for p in BLOCKS if p.stem != "ds2c2_stream_format.block"], ids=lambda path: path.stem
)
def test_grc_and_python_mirror_each_other(path):
    """The id is the class is the file, and GRC hands over arguments that the class has."""
    import inspect

    from gnuradio import ds2c2

    block = yaml.safe_load(path.read_text())
    name = block["id"].removeprefix("ds2c2_")
    assert path.name == f"ds2c2_{name}.block.yml"
    assert (CHECKOUT / "python_blocks" / f"{name}.py").exists()
    arguments = set(inspect.signature(getattr(ds2c2, name).__init__).parameters) - {"self"}
    parameters = {parameter["id"] for parameter in block["parameters"]} - {"gui_hint"}
    assert parameters == arguments
    assert block["category"] == "[DS2C2]"
    assert "documentation" in block


# Variables of a flowgraph that parameters stand for, which no constructor has.
FLOWGRAPH_VARIABLES = {"variable_ds2c2_stream_format_0", "samp_rate"}
# A link in a fresh flowgraph has noise to see, one in a script has none unless asked for.
MEANT_TO_DIFFER = {"snr"}


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_companion_and_python_have_the_same_defaults(path):
    import inspect

    from gnuradio import ds2c2

    from ds2c2.stream.streamformat import DEFAULT_SURVIVE, StreamFormat

    block = yaml.safe_load(path.read_text())
    name = block["id"].removeprefix("variable_").removeprefix("ds2c2_")
    made = StreamFormat if name == "stream_format" else getattr(ds2c2, name).__init__
    ours = {p.name: p.default for p in inspect.signature(made).parameters.values()}
    if made is StreamFormat:
        ours["survive"] = DEFAULT_SURVIVE  # of a format that says neither it nor the redundancy
    different = {}
    for parameter in block["parameters"]:
        default = ours.get(parameter["id"], inspect.Parameter.empty)
        if default is inspect.Parameter.empty:
            continue
        shown = parameter.get("default", parameter.get("options", [""])[0])
        if parameter["dtype"] not in ("string", "enum", "file_open", "dir_select", "file_save") and shown != "":
            try:
                shown = eval(str(shown), {})  # noqa: S307 - as Companion does
            except NameError:
                assert shown in FLOWGRAPH_VARIABLES, parameter["id"]
                continue
        elif isinstance(default, bool):
            shown = {"True": True, "False": False}[str(shown)]
        elif isinstance(default, int | float) and shown != "":
            shown = type(default)(shown)
        shown = tuple(shown) if isinstance(shown, list) else shown
        same = shown == default or not (shown or default)
        if not same and parameter["id"] not in MEANT_TO_DIFFER:
            different[parameter["id"]] = (shown, default)
    assert different == {}


def test_every_block_has_its_grc_file():
    from gnuradio import ds2c2

    programs = {"link_trial", "loopback", "radio_receiver", "radio_transmitter"}
    others = {"clear_errors", "companion", "errors", "exit_code", "sample_photographs"} | programs
    assert set(ds2c2.__all__) - others == {p.name[len("ds2c2_") : -len(".block.yml")] for p in BLOCKS} - {
        "stream_format"
    }


@pytest.mark.parametrize("name", ["loopback_emulated_headless", "link_sim_headless"])
def test_headless_twin_runs_to_its_end(tmp_path, name):
    """Four pictures through the link, their quality printed, exit code 0."""
    pytest.importorskip("skimage")
    flowgraph = CHECKOUT / "flowgraphs" / f"{name}.grc"
    done = run(compiled(flowgraph, tmp_path), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "decoder_sink: 4 frames" in done.stderr
    assert re.findall(r"\(frame \. (\d+)\)", done.stdout) == ["0", "1", "2", "3"]
    losses = [float(loss) for loss in re.findall(r"\(loss \. ([0-9.e-]+)\)", done.stdout)]
    assert any(loss > 0 for loss in losses)
    if name.startswith("link_sim"):
        assert re.search(r"^ofdm_link: \d+ packets sent, \d+ passed, \d+ missed", done.stderr, re.M)


def test_impossible_parameters_end_the_headless_twin(tmp_path):
    """Pictures that are not there: one line, the error's exit code."""
    flowgraph = CHECKOUT / "flowgraphs" / "loopback_emulated_headless.grc"
    made = compiled(flowgraph, tmp_path)
    script = re.sub(r"(self\.pictures = pictures = ).*", r"\1['/nowhere/a.png']", made.read_text())
    assert "/nowhere/a.png" in script
    made.write_text(script)
    done = run(made, tmp_path)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "/nowhere/a.png" in done.stderr


def test_window_shows_frames(tmp_path):
    """The Qt flowgraph, without a screen: the widget has a picture and numbers after a few frames."""
    pytest.importorskip("PyQt5")
    pytest.importorskip("skimage")
    made = compiled(CHECKOUT / "flowgraphs" / "loopback_emulated.grc", tmp_path)
    driver = tmp_path / "drive.py"
    driver.write_text(
        f"""
import sys, time
sys.path.insert(0, {str(tmp_path)!r})
from PyQt5 import QtWidgets
app = QtWidgets.QApplication(sys.argv)
from {made.stem} import {made.stem}
graph = {made.stem}()
graph.start()
graph.set_loss(0.5)
view = graph.decoder_sink.view
until = time.monotonic() + 120
def wait(true):
    while not true() and time.monotonic() < until:
        app.processEvents()
        time.sleep(0.01)
wait(lambda: len(graph.decoder_sink.results) >= 2 and view._values["PSNR"].text() != "–")
assert view._silent.isHidden() or "no signal" in view._silent.text()
print("picture", view._picture.pixmap().width(), view._values["PSNR"].text(), view._values["Lost blocks"].text())
graph.stop()
graph.wait()
wait(lambda: not view._silent.isHidden())
print(view._silent.text())
"""
    )
    done = run(driver, tmp_path)
    assert done.returncode == 0, done.stderr
    shown = re.search(r"picture (\d+) ([0-9.]+) dB (\d+) \(", done.stdout)
    assert shown, done.stdout + done.stderr
    assert int(shown[1]) > 0
    assert float(shown[2]) > 5
    assert re.search(r"^no signal for \d+ s$", done.stdout, re.M)  # the flowgraph has stopped


@pytest.mark.parametrize("path", FLOWGRAPHS, ids=lambda path: path.stem)
def test_no_plot_calls_frames_seconds(path):
    """A Time Sink's horizontal axis is "Time (sec)", whatever comes, so it goes and the title says frames."""
    graph = yaml.safe_load(path.read_text())
    parameters = {block["name"]: block["parameters"] for block in graph["blocks"]}
    code = "".join(block["parameters"]["code"] for block in graph["blocks"] if block["id"] == "snippet")
    for _, port, to, _ in graph["connections"]:
        if port == "loss":
            assert "by frame" in parameters[to]["name"]
            assert f'self._{to}_win.findChildren(Qt.QWidget, "QwtPlotAxisXBottom")' in code
