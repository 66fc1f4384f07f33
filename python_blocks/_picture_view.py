# SPDX-License-Identifier: GPL-3.0-or-later
"""The Decoder Sink's window: the received picture, and under it its numbers."""

import numpy as np
from PyQt5 import QtWidgets

from ds2c2.errors import UserError
from ds2c2.watch.qtview import PictureView
from ds2c2.watch.silence import Silence

FIELDS = ("Frame", "PSNR", "Base PSNR", "Lost blocks", "MS-SSIM")


class FrameView(PictureView):
    """Shows the frames of a flowgraph, and says how long none has come."""

    def __init__(self, width: int, height: int):
        self._silence_of_frames = Silence()
        PictureView.__init__(self, width, height, FIELDS, self._silence_of_frames.words)

    def show_frame(self, picture: np.ndarray, result, lost_share: float) -> None:
        """Show a picture ``uint8[H, W, 3]`` and its FrameResult; from any thread."""
        if not result.nothing:
            self._silence_of_frames.heard()
        self.show(
            picture,
            {
                "Frame": f"{result.frame}" + (" (concealed)" if result.concealed else ""),
                "PSNR": "–" if result.psnr is None else f"{result.psnr:.2f} dB",
                "Base PSNR": "–" if result.base_psnr is None else f"{result.base_psnr:.2f} dB",
                "Lost blocks": f"{result.lost} ({100 * lost_share:.1f} %)"
                + (f", {result.damaged} damaged" if result.damaged else ""),
                "MS-SSIM": "–"
                if result.ms_ssim is None or result.ms_ssim != result.ms_ssim
                else f"{result.ms_ssim:.4f}",
            },
        )


def picture_view(width: int, height: int) -> FrameView:
    """A view for pictures of this size. Raises ``UserError`` outside a Qt program."""
    if QtWidgets.QApplication.instance() is None:
        raise UserError("decoder_sink: show needs a Qt program; generate with QT GUI, or set show to False")
    return FrameView(width, height)
