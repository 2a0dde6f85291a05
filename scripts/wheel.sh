#!/usr/bin/env bash
# Builds the wheel for this machine's architecture and tries it out where there is no Rust.
#
#   scripts/wheel.sh [FOLDER]      the wheel goes to FOLDER, `dist` if not given
#
# maturin and zig come from PyPI. zig links against the symbols of an old glibc, so the wheel runs on clusters too;
# maturin refuses the tag if a symbol is newer. CARGO_TARGET_DIR is kept: the next wheel compiles only what changed.
set -euo pipefail
cd "$(dirname "$0")/.."

# RHEL 8 and everything newer.
policy=manylinux_2_28
wheels=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet 'maturin>=1.9,<2' ziglang
rm -f "$wheels"/engine_runs-*.whl
PATH="$work/tools/bin:$PATH" maturin build --release --locked --zig --compatibility "$policy" --out "$wheels"
wheel=$(ls "$wheels"/engine_runs-*"$policy"*.whl)
echo "$wheel: $(stat -c %s "$wheel") bytes"

# A new environment, as a user has it: the wheel and nothing of this repository but the tests.
clean() { env -i HOME="$work" PATH="$work/venv/bin:/usr/bin:/bin" LANG=C.UTF-8 "$@"; }
python3 -m venv "$work/venv"
clean pip install --quiet "$wheel[test]"
if clean sh -c 'command -v cargo rustc'; then
    echo "Rust is on the path of the clean environment" >&2
    exit 1
fi
cp -r python/tests pipelines "$work"
cd "$work"
clean engine run pipelines/quickstart.yaml --quiet --set clips_per_class=8 --set epochs=2
clean engine show
clean python -m pytest -q -p no:cacheprovider -c /dev/null --rootdir "$work" tests
