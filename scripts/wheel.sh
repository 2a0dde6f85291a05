#!/usr/bin/env bash
# Builds the wheel for this machine's architecture and tries it out where there is no Rust.
#
#   scripts/wheel.sh [FOLDER]      the wheel goes to FOLDER, `dist` if not given
#   scripts/wheel.sh --try WHEEL   only tries it out
#
# maturin and zig come from PyPI. zig links against the symbols of an old glibc, so the wheel runs on clusters too;
# maturin refuses the tag if a symbol is newer.
set -euo pipefail
cd "$(dirname "$0")/.."

# RHEL 8 and everything newer.
policy=manylinux_2_28

build() {
    local target tools
    target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
    # The path of zig is part of what cargo compares: in a new folder everything would be compiled again.
    tools="$target/wheel-tools"
    [ -x "$tools/bin/maturin" ] || { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet 'maturin>=1.9,<2' ziglang; }
    rm -f "$1"/engine_runs-*.whl
    PATH="$tools/bin:$PATH" maturin build --release --locked --zig --compatibility "$policy" --out "$1"
}

# A new environment, as a user has it: the wheel, and nothing of this repository but pipelines and tests.
try() {
    local wheel work
    wheel=$(realpath "$1")
    work=$(mktemp -d)
    trap "rm -rf '$work'" EXIT
    echo "$wheel: $(stat -c %s "$wheel") bytes"
    clean() { env -i HOME="$work" PATH="$work/venv/bin:/usr/bin:/bin" LANG=C.UTF-8 "$@"; }
    python3 -m venv "$work/venv"
    clean pip install --quiet "$wheel[test]"
    if clean sh -c 'command -v cargo rustc'; then
        echo "Rust is on the path of the clean environment" >&2
        exit 1
    fi
    cp -r python/tests pipelines "$work"
    cd "$work"
    clean engine --quiet run pipelines/quickstart.yaml --set clips_per_class=8 --set epochs=2
    clean engine show
    clean python -m pytest -q -p no:cacheprovider -c /dev/null --rootdir "$work" tests
}

if [ "${1:-}" = --try ]; then
    try "$2"
else
    folder=${1:-dist}
    build "$folder"
    try "$folder"/engine_runs-*"$policy"*.whl
fi
