# SPDX-License-Identifier: GPL-3.0-or-later
"""The window's own process, ``python -m ds2c2.watch.windowprocess WIDTH HEIGHT TITLE``, which ``window`` starts.

Standard input: a line of JSON with ``texts``, ``over`` and ``bytes``, then so many bytes of a picture, and so on; its
end is the window's. Standard output: ``ready`` once the window is there.
"""

import json
import os
import signal
import sys
import threading

import numpy as np

from ds2c2.watch.qtview import PictureView
from ds2c2.watch.window import FIELDS


def main() -> None:
    width, height, title = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the reception, which closes the window
    try:
        from PyQt5 import QtWidgets
    except ImportError:
        sys.exit("PyQt5 is not installed; Debian's package is python3-pyqt5")
    app = QtWidgets.QApplication(["ds2c2"])
    over = [""]
    view = PictureView(width, height, FIELDS, lambda: over[0])
    view.widget.setWindowTitle(f"ds2c2 – {title}")
    view.widget.show()
    print("ready", flush=True)

    def read() -> None:
        while line := sys.stdin.buffer.readline():
            told = json.loads(line)
            data = sys.stdin.buffer.read(told["bytes"])
            over[0] = told["over"]
            picture = np.frombuffer(data, np.uint8).reshape(height, width, 3) if data else None
            view.show(picture, told["texts"])
        os._exit(0)  # the reception is gone, however it went

    threading.Thread(target=read, daemon=True).start()
    sys.exit(app.exec_())


if __name__ == "__main__":
    main()
