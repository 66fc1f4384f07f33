# SPDX-License-Identifier: GPL-3.0-or-later
"""The radio host's flowgraph between real `ds2c2 serve` processes: the pictures of one process, and all end."""

import os
import re
import subprocess
import sys

import pytest
from qa_flowgraphs import DEADLINE, compiled

from checkout import CHECKOUT
from freeport import free_port

pytestmark = pytest.mark.usefixtures("models")
PICTURES = 3


@pytest.fixture(scope="module")
def flowgraph(tmp_path_factory):
    return compiled(CHECKOUT / "flowgraphs" / "remote_inference_headless.grc", tmp_path_factory.mktemp("flowgraph"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    import skimage.data
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    for name in ("astronaut", "chelsea", "coffee"):
        Image.fromarray(getattr(skimage.data, name)()).resize((480, 320)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def start(tmp_path):
    """Start a process; those that are left are ended."""
    processes = []

    def run(*arguments):
        processes.append(
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "COLUMNS": "200"},
            )
        )
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def output(process, code=0):
    said, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == code, said
    return said


def pictures_in(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def in_one_process(pictures, folder, model="coded"):
    from gnuradio import ds2c2

    from ds2c2.stream.streamformat import StreamFormat

    stream = StreamFormat(480, 320, model=model)
    graph = ds2c2.loopback(stream, str(pictures), str(folder), measure=False)
    graph.run_to_end()
    return pictures_in(folder)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["loopback", "relays"])
def test_pictures_through_another_host(flowgraph, pictures, start, tmp_path, elsewhere):
    """Bit for bit those of the loopback with the same losses; directly, and encrypted through relays."""
    places = {name: f"tcp://127.0.0.1:{free_port()}" for name in ("encode", "decode", "far encode", "far decode")}
    serve, keyed = ("-m", "ds2c2", "serve"), {side: () for side in ("gpu", "radio")}
    wait = ("--wait", DEADLINE)
    far = "far " if elsewhere else ""
    relays = []
    if elsewhere:
        for host in ("gpu", "radio"):
            assert f"{host}.key_secret" in output(start(*serve, "keys", host, "--out", tmp_path / host))
            keyed[host] = ("--keys", host)
        for host, other in (("gpu", "radio"), ("radio", "gpu")):
            (tmp_path / host / f"{other}.key").write_bytes((tmp_path / other / f"{other}.key").read_bytes())
        for side in ("encode", "decode"):
            far_end = ("--host", places[f"far {side}"])
            relays.append(start(*serve, "relay", side, *far_end, "--at", places[side], *keyed["radio"], *wait))
    options = ("--size", "480x320", *keyed["gpu"], *wait)
    encoder = start(*serve, "encode", pictures, "--at", places[f"{far}encode"], *options)
    decoder = start(*serve, "decode", "--out", "remote", "--at", places[f"{far}decode"], *keyed["gpu"], *wait)
    radio = start(flowgraph, "--code-blocks-at", places["encode"], "--soft-bits-at", places["decode"])

    # In the order in which the end of the stream passes them.
    said = [output(process) for process in (encoder, radio, *relays, decoder)]
    assert f"sent {PICTURES} pictures" in said[0]
    assert "depacketizer: " in said[1]
    assert all(re.search(rf"passed on \d+ messages, {PICTURES} frames\n", line) for line in said[2:-1])
    assert f"{PICTURES} frames\n" in said[-1] and f"wrote {PICTURES} pictures to remote" in said[-1]
    assert "no end of stream" not in "".join(said)
    assert pictures_in(tmp_path / "remote") == in_one_process(pictures, tmp_path / "local") != {}


def test_the_decoding_host_renders_with_weights_of_its_own(flowgraph, pictures, start, tmp_path, rendering_models):
    """Flowgraph and encoder know of ``coded`` only."""
    places = {name: f"tcp://127.0.0.1:{free_port()}" for name in ("encode", "decode")}
    serve, wait = ("-m", "ds2c2", "serve"), ("--wait", DEADLINE)
    options = ("--size", "480x320", *wait)
    encoder = start(*serve, "encode", pictures, "--at", places["encode"], *options)
    decoder = start(*serve, "decode", "--out", "remote", "--at", places["decode"], "--render", "eye", *wait)
    radio = start(flowgraph, "--code-blocks-at", places["encode"], "--soft-bits-at", places["decode"])
    said = [output(process) for process in (encoder, radio, decoder)]
    assert "model=coded@" in said[-1] and f"wrote {PICTURES} pictures to remote" in said[-1]
    assert pictures_in(tmp_path / "remote") == in_one_process(pictures, tmp_path / "local", "eye") != {}


def test_a_flowgraph_of_another_format_says_so(flowgraph, pictures, start):
    """Other blocks, other seed: one line that names both, exit code 4, no noise."""
    places = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
    options = ("--size", "480x320", "--block-size", "90", "--wait", 5)
    encoder = start("-m", "ds2c2", "serve", "encode", pictures, "--at", places[0], *options)
    radio = start(flowgraph, "--code-blocks-at", places[0], "--soft-bits-at", places[1])
    lines = [line for line in output(radio, 4).splitlines() if "give both the same" in line]
    assert len(lines) == 1 and " block=90 " in lines[0] and " block=100 " in lines[0]
    assert "Traceback" not in output(encoder, encoder.wait(DEADLINE))
