# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test sees the checkout's library and blocks, installed or not."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checkout import use_checkout  # noqa: E402

use_checkout()
