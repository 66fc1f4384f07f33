#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The wheel holds the blocks and, for share/, their descriptions and the flowgraphs; nothing is compiled.
set -ex

$PYTHON -m pip install . --no-deps --no-build-isolation --no-cache-dir -vv
