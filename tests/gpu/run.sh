#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# All that a card is asked, in one command on a bare host with torch 2.11 or later and no GNU Radio:
#     tests/gpu/run.sh OUT SECONDS PICTURES...
# Blocks written and read on both devices with the time they take, then training for SECONDS.
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1 seconds=$2
shift 2
device=${DS2C2_DEVICE:-cuda}
first=$(find "$@" -type f | grep -Ei '\.(webp|png|jpe?g)$' | sort | head -1)
[ "$device" = cpu ] && quick="--size 192x128 256x256 --pictures 2 --precision float32" || quick=
python3 "$here/check.py" "$first" --device "$device" $quick 2>&1 | tee "$out/check.txt"
checked=$?
python3 "$here/train.py" "$@" --out "$out" --device "$device" --seconds "$seconds" ${DS2C2_TRAIN:-} 2>&1 | tee "$out/train.txt" || exit
exit $checked
