#!/usr/bin/env bash
# Checks and times the GPU backend on a machine that has a GPU, its driver and PyTorch, but no Rust.
#
#   scripts/gpu-check.sh --pack DIR     here: the stripped binary and what it needs, to carry there
#   DIR/gpu-check.sh [REPORT]           there: compares GPU and CPU, times both peers, one table
#
# Nothing is built there. The whole output also goes to REPORT (gpu-check.txt).
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

if [ "${1:-}" = --pack ]; then
    into="${2:?the folder to pack into}"
    binary="${ENGINE:-$here/../target/release/engine}"
    mkdir -p "$into"
    strip -o "$into/engine" "$binary"
    cp "$here/gpu-check.sh" "$here/gpu_peer.py" "$into/"
    size=$(stat -c %s "$into/engine")
    echo "$into: the binary has $((size / 1000000)) MB"
    [ "$size" -lt 60000000 ] || { echo "that is more than 60 MB" >&2; exit 1; }
    exit
fi

report="${1:-gpu-check.txt}"
engine="${ENGINE:-$here/engine}"
[ -x "$engine" ] || engine="$here/../target/release/engine"
[ -x "$engine" ] || { echo "no engine beside this script; set ENGINE" >&2; exit 2; }

{
    date -u +"%Y-%m-%d %H:%M UTC"
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm --format=csv,noheader || true
    echo
    status=0
    "$engine" devices --check || status=$?
    echo
    [ "$status" = 0 ] || echo "engine devices --check ended with $status"
} 2>&1 | tee "$report"
python3 "$here/gpu_peer.py" "$report" 2>&1 | tee -a "$report"
! grep -q "ended with" "$report"
