# SPDX-License-Identifier: GPL-3.0-or-later
"""The page in a real browser. Where there is no Chromium it is skipped, and the suite's last lines say so."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from chromium import NARROW, WIDE, Browser, Deadline, missing  # noqa: E402

from ds2c2.ends.session import FrameResult  # noqa: E402
from ds2c2.stream.assembler import LinkCounts  # noqa: E402
from ds2c2.stream.streamformat import StreamFormat  # noqa: E402
from ds2c2.transport.packetsource import Arrivals  # noqa: E402
from ds2c2.watch.pageserver import PageServer  # noqa: E402
from ds2c2.watch.reception import Reception  # noqa: E402

STREAM = StreamFormat(160, 128, bpp=0.6, block_size=48)
SECONDS = 150  # of all of it; a browser takes a few to start
SEEN = """
const picture = document.getElementById("picture");
if (!picture.naturalWidth) return null;
const context = Object.assign(document.createElement("canvas"), { width: 160, height: 128 }).getContext("2d");
context.drawImage(picture, 0, 0);
return [...context.getImageData(80, 64, 1, 1).data].slice(0, 3);
"""


def reception(clock) -> Reception:  # noqa: ANN001
    """A frame of which an eighth is lost, by a radio, 12 s in the running."""
    state = Reception(STREAM, "zmq tcp://127.0.0.1:5557", clock)
    clock.now += 12
    quality = {"psnr": 31.25, "ms_ssim": 0.9, "base_psnr": None, "base_ms_ssim": None}
    result = FrameResult(7, False, 0, 0, 0, STREAM.blocks // 8, 0, path=None, **quality)
    state.shown(result, np.full((128, 160, 3), (200, 100, 50), np.uint8), 0.25, "DL0ABC")
    heard = np.zeros((1, STREAM.packet_bytes), np.uint8)
    points = np.array([1 + 1j, -1 - 1j], np.complex64)
    state.arrived(
        Arrivals(heard, np.zeros(1), np.array([18.0]), np.full(1, 1e-5), np.ones(1, bool), points=points),
        LinkCounts(received=1234, used=1234),
    )
    clock.now += 1
    return state


class Clock:
    """Seconds that only the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.skipif(bool(missing()), reason=f"the page was not looked at: {missing()}")
def test_the_page_shows_a_reception():
    clock, deadline = Clock(), Deadline(SECONDS)
    state = reception(clock)
    with PageServer(state, "127.0.0.1", 0) as page, Browser(deadline) as browser:
        browser.open(page.address)
        browser.wait_for_text("signal", "live")
        colour = deadline.wait_for(lambda: browser.run(SEEN), "the picture")
        assert np.abs(np.subtract(colour, (200, 100, 50))).max() < 6  # JPEG
        names = ("number", "psnr", "delay", "snr", "fate", "source")
        assert {name: browser.text(name) for name in names} == {
            "number": "7", "psnr": "31.25 dB", "delay": "0.25 s", "snr": "18.0 dB", "fate": "received",
            "source": "DL0ABC by zmq tcp://127.0.0.1:5557",
        }  # fmt: skip
        share = STREAM.blocks // 8 / STREAM.blocks
        assert browser.text("per") == f"{100 * share:.1f} %"
        assert browser.run("return document.querySelectorAll('#points .cloud').length") == 1
        for size in (WIDE, NARROW):
            for scheme in ("light", "dark"):
                browser.look(*size, scheme)
                deadline.wait_for(lambda: browser.run(f"return innerWidth === {size[0]}"), "the size")  # noqa: B023
                clock.now += 0.001
                deadline.wait_for(lambda: not browser.faults, "the curve to be drawn anew")
        assert "12.5 %" in browser.run("return [...document.querySelectorAll('#curve text')].map((t) => t.textContent)")
        clock.now += 12
        browser.wait_for_text("signal", "no signal for 13 s")
        assert browser.run("return !document.getElementById('silent').hidden")
        state.end()
        browser.wait_for_text("signal", "ended")
        page.close()
        browser.wait_for_text("signal", "the receiver is gone")
