# SPDX-License-Identifier: GPL-3.0-or-later
"""The window of a reception: a process of its own, which gets pictures and numbers through a pipe.

Its own, since Qt wants a process's first thread and ends the process where there is no display; and so that a window
that hangs costs the reception nothing.
"""

import json
import os
import subprocess
import sys
import threading

from ds2c2.errors import UserError
from ds2c2.watch.reception import Reception
from ds2c2.watch.silence import silence_words

FIELDS = ("Frame", "Lost now", "PSNR", "Delay", "Frames/s", "SNR")
TELL_SECONDS = 0.5  # so often without a picture
START_SECONDS = 60.0
CLOSING_SECONDS = 5.0
REMEDY = "leave --view out, or watch by --http 127.0.0.1:8080"


class Window:
    """Opens a window and keeps it up to date until its user, or ``close``, closes it.

    Raises ``UserError`` where there is no display or no Qt.
    """

    def __init__(self, reception: Reception):
        self._reception = reception
        if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
            raise UserError(f"--view: no display here; {REMEDY}")
        sides = map(str, (reception.stream.width, reception.stream.height))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ds2c2.watch.windowprocess", *sides, reception.source],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(),
        )  # fmt: skip
        late = threading.Timer(START_SECONDS, self._process.kill)
        late.start()
        ready = self._process.stdout.readline().strip() == b"ready"
        late.cancel()
        if not ready:
            self._process.kill()
            said = self._process.communicate()[1].decode(errors="replace").strip().splitlines()
            raise UserError(f"--view: no window ({said[0] if said else 'it does not open'}); {REMEDY}")
        # What Qt says meanwhile nobody reads, and it must not fill its pipe.
        for pipe in (self._process.stdout, self._process.stderr):
            threading.Thread(target=_drain, args=(pipe,), daemon=True).start()
        self._thread = threading.Thread(target=self._feed, name="window", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Its user has closed it, or it has failed."""
        return self._process.poll() is not None

    def wait(self) -> None:
        """Until its user closes it."""
        self._process.wait()

    def close(self) -> None:
        """Close it; it may be called twice."""
        self._process.kill()
        self._process.wait()
        self._thread.join(CLOSING_SECONDS)

    def _feed(self) -> None:
        shown = 0
        try:
            while True:
                serial, picture = self._reception.next_picture(shown, TELL_SECONDS)
                data = picture.tobytes() if serial != shown else b""
                head = numbers(self._reception.stats()) | {"bytes": len(data)}
                self._process.stdin.write(json.dumps(head).encode() + b"\n" + data)
                self._process.stdin.flush()
                if self._reception.ended and serial == shown:
                    return
                shown = serial
        except (OSError, ValueError):
            return  # it is closed


def _environment() -> dict[str, str]:
    """This process's, with its own paths to modules."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": paths}


def _drain(pipe) -> None:  # noqa: ANN001 - a pipe
    while pipe.read(1 << 12):
        pass


def numbers(stats: dict) -> dict:
    """What the window shows of a reception's ``stats``: a text for each field, and what to say over the picture."""
    frame, now, link, signal = stats["frame"] or {}, stats["now"], stats["link"], stats["signal"]

    def shown(value: float | None, words: str) -> str:
        return "–" if value is None else words.format(value)

    fate = " (nothing came)" if frame.get("nothing") else " (concealed)" if frame.get("concealed") else ""
    texts = {
        "Frame": shown(frame.get("number"), "{}") + fate,
        "Lost now": shown(now["per"], "{:.1%}").replace("%", " %"),
        "PSNR": shown(frame.get("psnr_db"), "{:.2f} dB"),
        "Delay": shown(frame.get("delay_s"), "{:.2f} s"),
        "Frames/s": shown(now["frames_per_s"], "{:.1f}"),
        "SNR": shown(link["snr_db"], "{:.1f} dB"),
    }
    over = "ended" if stats["ended"] else "" if signal["present"] else silence_words(signal["silent_s"])
    return {"texts": texts, "over": over}
