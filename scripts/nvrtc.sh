#!/usr/bin/env bash
# Installs NVIDIA's run-time compiler from PyPI into target/nvrtc, for the test that compiles every
# kernel. Neither GPU nor driver is needed. Two versions: 13 no longer compiles for sm_70.
set -euo pipefail
cd "$(dirname "$0")/.."
into=target/nvrtc
for package in nvidia-cuda-nvrtc==13.0.88 nvidia-cuda-nvrtc-cu12==12.9.86; do
    [ -d "$into/$package" ] && continue
    rm -rf "$into/part"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$into/part" "$package"
    mv "$into/part" "$into/$package"
done
