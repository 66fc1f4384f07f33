# SPDX-License-Identifier: GPL-3.0-or-later
"""The received picture and its numbers as a Qt widget, for Decoder Sink's window and that of `ds2c2 receive --view`.

Qt is imported where a view is made: hosts that only compute have none.
"""

from collections.abc import Callable, Sequence

import numpy as np

# A large picture is shown reduced; the widget grows with its window.
SHOWN_SIDE = 512  # pixels
POLL_MILLISECONDS = 40  # 25 pictures a second are as many as anyone sees of such a link
SILENT_STYLE = "background: #b91c1c; color: white; font-weight: bold; padding: 5px 12px; border-radius: 6px"


class PictureView:
    """Shows frames that other threads hand over; all but ``show`` belongs to Qt's thread.

    Args:
        width, height: of the pictures
        fields: names of the numbers under them
        silence: what is to be said over the picture, nothing while there is a signal

    Attributes:
        widget: the ``QWidget``
    """

    def __init__(self, width: int, height: int, fields: Sequence[str], silence: Callable[[], str]):
        from PyQt5 import QtCore, QtGui, QtWidgets

        self._qt, self._gui = QtCore.Qt, QtGui
        self._silence = silence
        self._waiting: tuple[np.ndarray | None, dict[str, str]] | None = None
        self._pixmap = QtGui.QPixmap()
        self.widget = QtWidgets.QWidget()
        self._picture = QtWidgets.QLabel("no picture yet")
        self._picture.setAlignment(QtCore.Qt.AlignCenter)
        self._picture.setStyleSheet("background: #202020; color: #c0c0c0")
        scale = min(1.0, SHOWN_SIDE / max(width, height))
        self._picture.setMinimumSize(int(width * scale), int(height * scale))
        # The label must not ask for the size of what it shows: the window could never shrink.
        self._picture.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Ignored)
        self._silent = QtWidgets.QLabel(self._picture)
        self._silent.setStyleSheet(SILENT_STYLE)
        self._silent.hide()
        numbers = QtWidgets.QHBoxLayout()
        self._values = {}
        for name in fields:
            column = QtWidgets.QVBoxLayout()
            title = QtWidgets.QLabel(name)
            value = QtWidgets.QLabel("–")
            value.setStyleSheet("font-size: 18px; font-weight: bold")
            for label in (title, value):
                label.setAlignment(QtCore.Qt.AlignCenter)
                column.addWidget(label)
            numbers.addLayout(column)
            self._values[name] = value
        layout = QtWidgets.QVBoxLayout(self.widget)
        layout.addWidget(self._picture, 1)
        layout.addLayout(numbers)
        # Another thread may not touch Qt: it leaves what it has, and Qt's own looks for it.
        self._timer = QtCore.QTimer(self.widget)
        self._timer.timeout.connect(self._look)
        self._timer.start(POLL_MILLISECONDS)
        self._fitted = None

    def show(self, picture: np.ndarray | None, texts: dict[str, str]) -> None:
        """Show a picture ``uint8[H, W, 3]``, or the one that stands, and texts of the fields; from any thread. Of
        several between two looks the last one is shown."""
        before = self._waiting
        if before is not None:
            picture, texts = before[0] if picture is None else picture, before[1] | texts
        self._waiting = picture, texts

    def _look(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            picture, texts = waiting
            if picture is not None:
                height, width = picture.shape[:2]
                image = self._gui.QImage(picture.tobytes(), width, height, 3 * width, self._gui.QImage.Format_RGB888)
                self._pixmap, self._fitted = self._gui.QPixmap.fromImage(image), None
            for name, text in texts.items():
                self._values[name].setText(text)
        size = self._picture.size()
        if self._fitted != size and not self._pixmap.isNull():
            self._fitted = size
            self._picture.setPixmap(self._pixmap.scaled(size, self._qt.KeepAspectRatio, self._qt.SmoothTransformation))
        words = self._silence()
        if words != self._silent.text() or bool(words) == self._silent.isHidden():
            self._silent.setText(words)
            self._silent.adjustSize()
            self._silent.setVisible(bool(words))
        self._silent.move(12, size.height() - self._silent.height() - 12)
