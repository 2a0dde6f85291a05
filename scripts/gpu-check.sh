#!/usr/bin/env bash
# Checks and times the GPU backend on a machine that has a GPU, its driver and PyTorch, but no Rust.
#
#   scripts/gpu-check.sh --pack DIR     here: the stripped binary and what it needs, to carry there
#   DIR/gpu-check.sh [REPORT]           there: compares GPU and CPU, times both peers, one table
#
# Nothing is built there. The whole output also goes to REPORT (gpu-check.txt). Each part has a limit of
# its own, all together less than eight minutes; one that fails or runs into it says so, and the next
# one follows. DEVICE=cpu CLIPS=2 EPOCHS=1 try the script without a GPU.
set -uo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

if [ "${1:-}" = --pack ]; then
    set -e
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
device="${DEVICE:-cuda}" clips="${CLIPS:-92}" epochs="${EPOCHS:-35}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# part NAME SECONDS COMMAND...: one part, with its time; a failure is counted and hides no other.
part() {
    local name="$1" limit="$2" from status=0
    shift 2
    from=$(date +%s.%N)
    printf '\n== %s (at most %s s)\n' "$name" "$limit"
    timeout -k 5 "$limit" "$@" || status=$?
    printf '== %s: %.2f s\n' "$name" "$(echo "$(date +%s.%N) $from" | awk '{ print $1 - $2 }')"
    [ "$status" = 124 ] && echo "FAILED: $name ran into its limit of $limit s"
    [ "$status" = 0 ] || [ "$status" = 124 ] || echo "FAILED: $name ended with $status"
    [ "$status" = 0 ] || echo "$name" >> "$work/failed"
}

# study NAME EPOCHS CLIPS SEEDS GRID: a pipeline with one model, or a sweep of it.
study() {
    cat > "$work/$1.yaml" <<END
name: $1
seeds: $4
$5
steps:
  clips: { op: synth, clips_per_class: $3, seed: 0 }
  mel: { op: log_mel, in: clips, sample_rate: 22050, duration: 3.0, n_fft: 2048, hop_length: 512, n_mels: 128 }
  norm: { op: normalize, in: mel }
  vae: { op: beta_vae, in: norm, epochs: $2 }
END
}

train() {
    part "$1" "$2" "$engine" run "$work/$3.yaml" --device "$device" --store "$work/store" --out "$work/runs" "${@:4}"
}

all() {
    date -u +"%Y-%m-%d %H:%M UTC"
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm --format=csv,noheader
    study data 1 "$clips" "[0]" ""
    study first 1 "$clips" "[0]" ""
    study one "$epochs" "$clips" "[1]" ""
    study sweep "$epochs" "$clips" "[0, 1, 2]" \
        "sweep: { grid: { vae.beta: [0.5, 1, 4, 16], vae.latent: [8, 16, 32, 64] } }"

    [ "$device" = cpu ] || part "parity and times of 35 epochs" 160 "$engine" devices --check
    # The features of all studies: made once, so that what follows times models alone.
    train "features of all studies" 40 data --until norm
    train "from the start of the process through one epoch" 20 first
    train "one model" 30 one
    device=auto train "what auto does, with its trial" 40 first --force vae
    train "4 x 4 x 3 models, one after the other" 60 sweep --gpu-steps 1 --force vae
    train "4 x 4 x 3 models, up to four at once" 40 sweep --force vae
    [ "$device" = cpu ] || part "PyTorch" 90 python3 "$here/gpu_peer.py" "$report" 10 80
    if [ -s "$work/failed" ]; then
        printf '\nFAILED: %s of the parts:\n' "$(wc -l < "$work/failed")"
        cat "$work/failed"
        return 1
    fi
    printf '\nEvery part passed.\n'
}

all 2>&1 | tee "$report"
