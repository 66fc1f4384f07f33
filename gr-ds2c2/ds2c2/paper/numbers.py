# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's own figures: C. M. Yetis, "Robust End-to-End Image Transmission with Residual Learning".

They stand beside ours in panels of their own: other pictures, other sizes, and rates that fit the
paper's r only if bits are divided by three colours (DSSLIC's evaluation does).
"""

from ds2c2.paper.table import Column, Panel

PSNR = ".2f"
BPP = ".4g"


def _panel(number: int, what: str, headings: list[tuple[str, str]], rows: list[list]) -> Panel:
    columns = tuple(Column(heading, form) for heading, form in headings)
    return Panel(f"The paper's table {number}{what}, from other pictures and models", columns, rows)


_TABLE_1_2 = [
    ("data", ""), ("pe_train", ""), ("total bpp", BPP), ("pe_test 0", PSNR), ("pe_test 16 %", PSNR), ("Δ", PSNR),
    ("PSNR(x, x')", PSNR),
]  # fmt: skip
TABLE_1 = _panel(1, "", _TABLE_1_2, [
    ["Cityscapes", "0 %", 0.11, 34.68, 33.03, 1.65, 30.82],
    ["Cityscapes", "8 %", 0.11, 34.16, 33.94, 0.22, 29.95],
    ["Cityscapes", "0 %", 0.24, 36.58, 33.65, 2.93, 28.80],
    ["Cityscapes", "8 %", 0.24, 36.64, 36.00, 0.64, 29.12],
    ["Cityscapes", "16 %", 0.24, 37.04, 36.56, 0.48, 31.01],
    ["Cityscapes", "0 %", 0.54, 39.49, 35.44, 4.05, 27.76],
    ["Cityscapes", "8 %", 0.54, 39.60, 38.54, 1.06, 28.70],
    ["Cityscapes", "16 %", 0.54, 39.62, 38.88, 0.74, 30.37],
])  # fmt: skip
TABLE_2 = _panel(2, "", _TABLE_1_2, [
    ["ADE20K", "0 %", 0.14, 25.79, 24.50, 1.29, 22.05],
    ["ADE20K", "8 %", 0.14, 25.69, 25.47, 0.22, 21.91],
    ["ADE20K", "0 %", 0.26, 28.99, 25.91, 3.08, 22.03],
    ["ADE20K", "8 %", 0.26, 28.81, 28.18, 0.63, 22.08],
    ["Kodak", "0 %", 0.14, 25.30, 23.67, 1.63, 20.95],
    ["Kodak", "8 %", 0.14, 24.67, 24.50, 0.17, 21.11],
    ["Kodak", "0 %", 0.26, 28.25, 25.03, 3.22, 21.04],
    ["Kodak", "8 %", 0.26, 27.95, 27.32, 0.63, 21.26],
])  # fmt: skip
SECTION_4_3 = Panel(
    "The paper's section 4.3 (Kodak, 0.26 bpp, no loss), from other models",
    (Column("codec"), Column("PSNR", PSNR), Column("MS-SSIM", ".4f"), Column("LPIPS", ".4f")),
    [["DS²C²", 28.25, 0.9526, 0.0176], ["LIC-GMM-AM", 30.61, 0.9605, 0.0108]],
)
TABLE_3 = _panel(
    3, " (no loss)",
    [("data", ""), ("BPG bpp", BPP), ("BPG", PSNR), ("DS²C² bpp", BPP), ("DS²C²", PSNR), ("JPEG bpp", BPP),
     ("JPEG", PSNR)],
    [
        ["Cityscapes", 0.12, 40.51, 0.11, 34.68, 0.11, 25.48],
        ["Cityscapes", 0.22, 43.12, 0.24, 36.58, 0.24, 35.99],
        ["Cityscapes", 0.54, 46.86, 0.54, 39.49, 0.54, 39.80],
        ["ADE20K", 0.14, 32.31, 0.14, 25.79, 0.16, 21.11],
        ["ADE20K", 0.26, 36.90, 0.26, 28.99, 0.26, 25.10],
        ["Kodak", 0.15, 29.84, 0.14, 25.30, 0.14, 21.17],
        ["Kodak", 0.25, 31.63, 0.26, 28.25, 0.26, 25.97],
    ],
)  # fmt: skip
TABLE_4 = _panel(
    4, " (Kodak, 0.26 bpp)",
    [("codec", ""), ("benchmark, no loss", PSNR), ("trained without errors, pe_test 16 %", PSNR), ("loss, %", ".1f"),
     ("trained with errors (8 %), pe_test 16 %", PSNR), ("loss, %", ".1f")],
    [["DS²C²", 28.25, 25.03, 11.4, 27.32, 3.3], ["LIC-GMM-AM", 30.61, -1.18, 104.0, 24.14, 21.14]],
)  # fmt: skip
TABLE_5 = _panel(
    5, " (no loss)",
    [("data", ""), ("training pictures", ""), ("total bpp", BPP), ("PSNR(x, x')", PSNR), ("PSNR(x, x̂)", PSNR)],
    [
        ["Cityscapes", 16, 0.54, 31.01, 32.01],
        ["Cityscapes", 88, 0.54, 31.01, 36.80],
        ["Cityscapes", 176, 0.54, 31.01, 37.29],
        ["Cityscapes", 2968, 0.54, 31.01, 40.07],
        ["ADE20K", 16, 0.26, 16.75, 19.71],
        ["ADE20K", 56, 0.26, 17.37, 24.72],
        ["ADE20K", 128, 0.26, 17.72, 25.53],
        ["ADE20K", 8992, 0.26, 22.03, 28.99],
    ],
)  # fmt: skip
TABLE_6 = _panel(
    6, " (Cityscapes)",
    [("r", ".4f"), ("c and s", ".4f"), ("total", ".4g")],
    [[0.0625, 0.0475, 0.11], [0.125, 0.045, 0.17], [0.1875, 0.0525, 0.24], [0.5, 0.04, 0.54]],
)  # fmt: skip
CLAIMS = Panel(
    "The paper's claims, from other pictures and models",
    (Column("at 0.3 bpp, no loss", ""), Column("gain, dB", "+.1f")),
    [["RGAN", 1.5], ["SumNet", 1.5], ["both", 3.0]],
)
