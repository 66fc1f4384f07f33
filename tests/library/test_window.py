# SPDX-License-Identifier: GPL-3.0-or-later
"""The window of a reception, and the silence that it and the page tell of."""

import pytest

from ds2c2.errors import UserError
from ds2c2.watch.silence import Silence
from ds2c2.watch.window import FIELDS, Window, numbers
from told import STREAM, came, frame, picture


def test_a_sender_that_pauses_is_not_yet_silent(clock):
    silence = Silence(clock)
    clock.now += 100
    assert silence.words() == "no signal for 2 min"
    silence.heard()
    assert silence.words() == ""
    clock.now += 10
    assert silence.words() == "no signal for 10 s"
    silence.heard()
    clock.now += 19
    assert silence.words() == ""  # it paused for ten before
    clock.now += 1
    assert silence.words() == "no signal for 20 s"


@pytest.fixture
def a_screen(monkeypatch):
    """Qt draws, and nobody sees it."""
    pytest.importorskip("PyQt5")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")


def test_a_window_opens_and_is_closed(reception, a_screen):
    window = Window(reception)
    reception.shown(frame(3), picture(77))
    assert not window.closed
    reception.end()
    window.close()
    window.close()
    assert window.closed


def test_without_a_display_there_is_one_line(reception, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="--view: no display here; .*--http"):
        Window(reception)


def test_a_display_that_is_not_there_is_one_line_too(reception, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "nonsense")
    with pytest.raises(UserError, match="--view: no window .*--http"):
        Window(reception)


def test_what_a_window_shows(reception, clock):
    assert numbers(reception.stats()) == {
        "texts": dict.fromkeys(FIELDS, "–") | {"Frames/s": "0.0"},
        "over": "no signal for 0 s",
    }
    reception.shown(frame(3, 8, psnr=31.456), picture(1), 0.25)
    reception.arrived(*came(9))
    told = numbers(reception.stats())
    assert told["over"] == "" and told["texts"]["Frame"] == "3" and told["texts"]["PSNR"] == "31.46 dB"
    assert told["texts"]["Lost now"] == f"{800 / STREAM.blocks:.1f} %" and told["texts"]["Delay"] == "0.25 s"
    reception.shown(frame(4, nothing=True), picture(1))
    clock.now += 12
    told = numbers(reception.stats())
    assert told["over"] == "no signal for 12 s" and told["texts"]["Frame"] == "4 (nothing came)"
    reception.end()
    assert numbers(reception.stats())["over"] == "ended"
