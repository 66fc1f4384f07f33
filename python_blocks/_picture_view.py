# SPDX-License-Identifier: GPL-3.0-or-later
"""The Decoder Sink's window: the received picture, and under it its numbers."""

import numpy as np
from PyQt5 import QtCore, QtGui, QtWidgets

from ds2c2.errors import UserError

# A large picture is shown reduced; the widget grows with its window.
SHOWN_SIDE = 512  # pixels
FIELDS = ("Frame", "PSNR", "Base PSNR", "Lost blocks", "MS-SSIM")


class PictureView(QtWidgets.QWidget):
    """Shows frames that another thread hands over."""

    _arrived = QtCore.pyqtSignal(object, object)

    def __init__(self, width: int, height: int):
        super().__init__()
        self._pixmap = QtGui.QPixmap()
        self._picture = QtWidgets.QLabel("no picture yet")
        self._picture.setAlignment(QtCore.Qt.AlignCenter)
        self._picture.setStyleSheet("background: #202020; color: #c0c0c0")
        scale = min(1.0, SHOWN_SIDE / max(width, height))
        self._picture.setMinimumSize(int(width * scale), int(height * scale))
        # The label must not ask for the size of what it shows: the window could never shrink.
        self._picture.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Ignored)
        numbers = QtWidgets.QHBoxLayout()
        self._values = {}
        for name in FIELDS:
            column = QtWidgets.QVBoxLayout()
            title = QtWidgets.QLabel(name)
            value = QtWidgets.QLabel("–")
            value.setStyleSheet("font-size: 18px; font-weight: bold")
            for label in (title, value):
                label.setAlignment(QtCore.Qt.AlignCenter)
                column.addWidget(label)
            numbers.addLayout(column)
            self._values[name] = value
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self._picture, 1)
        layout.addLayout(numbers)
        # From the block's thread into Qt's: a signal is queued, a direct call would crash.
        self._arrived.connect(self._show)

    def show_frame(self, picture: np.ndarray, result, lost_share: float) -> None:
        """Show a picture ``uint8[H, W, 3]`` and its FrameResult; from any thread."""
        texts = {
            "Frame": f"{result.frame}" + (" (concealed)" if result.concealed else ""),
            "PSNR": "–" if result.psnr is None else f"{result.psnr:.2f} dB",
            "Base PSNR": "–" if result.base_psnr is None else f"{result.base_psnr:.2f} dB",
            "Lost blocks": f"{result.lost} ({100 * lost_share:.1f} %)"
            + (f", {result.damaged} damaged" if result.damaged else ""),
            "MS-SSIM": "–" if result.ms_ssim is None or result.ms_ssim != result.ms_ssim else f"{result.ms_ssim:.4f}",
        }
        self._arrived.emit(picture, texts)

    @QtCore.pyqtSlot(object, object)
    def _show(self, picture: np.ndarray, texts: dict) -> None:
        height, width = picture.shape[:2]
        image = QtGui.QImage(picture.tobytes(), width, height, 3 * width, QtGui.QImage.Format_RGB888)
        self._pixmap = QtGui.QPixmap.fromImage(image)
        self._fit()
        for name, text in texts.items():
            self._values[name].setText(text)

    def resizeEvent(self, event) -> None:  # noqa: N802, Qt's name
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if not self._pixmap.isNull():
            self._picture.setPixmap(
                self._pixmap.scaled(self._picture.size(), QtCore.Qt.KeepAspectRatio, QtCore.Qt.SmoothTransformation)
            )


def picture_view(width: int, height: int) -> PictureView:
    """A view for pictures of this size. Raises ``UserError`` outside a Qt program."""
    if QtWidgets.QApplication.instance() is None:
        raise UserError("decoder_sink: show needs a Qt program; generate with QT GUI, or set show to False")
    return PictureView(width, height)
