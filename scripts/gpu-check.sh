#!/usr/bin/env bash
# Checks and times the GPU backend on a machine that has a GPU, its driver and PyTorch, but no Rust.
#
#   scripts/gpu-check.sh --pack DIR          here: the stripped binary and what it needs, to carry there
#   DIR/gpu-check.sh [PARTS [FOLDER]]        there: the parts, each with a limit, the cheapest proof first
#
# PARTS are letters, all of them if there are none (scripts/gpu-plan.md says which to run when little time is given):
#   a  every kernel compiles for this GPU; one step of each network in f32 agrees with the CPU
#   b  20 steps, gradients of every layer, bits of a repeated training and of one that went on half-way, all precisions
#   c  seconds for 35 epochs in f32, tf32 and bf16, and the tiles of products that were chosen, with their times
#   d  PyTorch, eager and compiled, the same data and precision, beside c
#   e  whole studies: from the start of a process through one epoch, and 35 epochs
#   f  a sweep of 4 x 4 x 3 models, one after the other and at once
#   g  two processes at once, a killed process, too little memory
#   h  what `device: auto` does
#
# Nothing is built there. FOLDER (gpu-report) gets report.txt, written line by line, so that it holds all results so far
# whenever the machine is taken away, and for each comparison that failed what every launch wrote, which
#   GPU_TRACES=FOLDER cargo test --release --workspace --test cuda_trace -- --ignored --nocapture
# compares here with the same kernels on the CPU. DEVICE=cpu CLIPS=2 EPOCHS=1 try the script without a GPU.
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

parts="${1:-abcdefgh}" folder="${2:-gpu-report}"
case "$parts" in *[!abcdefgh]*) echo "\`$parts\`: the parts are a to h" >&2; exit 2 ;; esac
engine="${ENGINE:-$here/engine}"
[ -x "$engine" ] || engine="$here/../target/release/engine"
[ -x "$engine" ] || { echo "no engine beside this script; set ENGINE" >&2; exit 2; }
device="${DEVICE:-cuda}" clips="${CLIPS:-92}" epochs="${EPOCHS:-35}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"
report="$folder/report.txt"

wanted() { case "$parts" in *"$1"*) return 0 ;; *) return 1 ;; esac; }

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
    return "$status"
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

# run NAME OPTION...: the command that runs a study of that name.
run() { echo "$engine" run "$work/$1.yaml" --device "$device" --store "$work/store" --out "$work/runs" "${@:2}"; }
train() { part "$1" "$2" $(run "$3" "${@:4}"); }
check() { part "$1" "$2" "$engine" devices --check "$3" --dump "$folder"; }

# The numbers of a model, to compare those of two runs by.
latents() { "$engine" export "$work/runs/$1/latest" vae.latent --to "$2" --store "$work/store" -q; }

# A program that takes all memory of the GPU but a little, and holds it for some seconds.
hoard() {
    python3 - <<'END'
import time, torch
free, _ = torch.cuda.mem_get_info()
held = torch.empty(max(free - (1500 << 20), 0), dtype=torch.uint8, device="cuda")
print("holding", held.numel() >> 20, "MiB", flush=True)
time.sleep(25)
END
}

too_little_memory() {
    hoard &
    sleep 8
    local said status=0
    said=$($(run large --force vae) 2>&1) || status=$?
    wait
    echo "$said" | grep -B1 -A3 "GiB free" || { echo "$said" | tail -n 15; return 1; }
    [ "$status" != 0 ]
}

two_at_once() {
    study left "$epochs" "$clips" "[7]" ""; study right "$epochs" "$clips" "[8]" ""
    local first second status=0
    $(run left) > "$work/left.txt" 2>&1 & first=$!
    $(run right) > "$work/right.txt" 2>&1 & second=$!
    wait "$first" || status=1
    wait "$second" || status=1
    tail -n 3 "$work/left.txt" "$work/right.txt"
    return "$status"
}

killed() {
    study whole "$epochs" "$clips" "[9]" ""; study torn "$epochs" "$clips" "[9]" ""
    # The second training has a store of its own with the features alone, so that it is no hit.
    local store="$work/torn-store"
    cp -r "$work/store" "$store" && rm -rf "$store/checkpoints-v1"
    $(run whole) > /dev/null 2>&1 || return 1
    latents whole "$work/whole.csv" || return 1
    local torn=("$engine" run "$work/torn.yaml" --device "$device" --store "$store" --out "$work/runs")
    "${torn[@]}" > /dev/null 2>&1 & local pid=$!
    for _ in $(seq 200); do
        ls "$store"/checkpoints-v1/*/*.live > /dev/null 2>&1 && break
        sleep 0.05
    done
    kill -9 "$pid"; wait "$pid" 2> /dev/null
    ls "$store"/checkpoints-v1/*/ 2> /dev/null
    "${torn[@]}" 2>&1 | tail -n 4
    "$engine" export "$work/runs/torn/latest" vae.latent --to "$work/torn.csv" --store "$store" -q || return 1
    cmp "$work/whole.csv" "$work/torn.csv" && echo "the killed training gave the same bytes"
}

all() {
    date -u +"%Y-%m-%d %H:%M UTC, parts $parts"
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm --format=csv,noheader
    study data 1 "$clips" "[0]" ""
    study first 1 "$clips" "[0]" ""
    study one "$epochs" "$clips" "[1]" ""
    study large 1 "$clips" "[1]" "" && sed -i "s/epochs: 1/epochs: 1, batch_size: 1000/" "$work/large.yaml"
    study sweep "$epochs" "$clips" "[0, 1, 2]" \
        "sweep: { grid: { vae.beta: [0.5, 1, 4, 16], vae.latent: [8, 16, 32, 64] } }"

    if [ "$device" != cpu ]; then
        wanted a && check "a: kernels compile" 60 compile
        wanted a && check "a: one step in f32" 60 step
        wanted b && check "b: 20 steps, gradients, bits" 120 parity
        wanted c && check "c: 35 epochs" 120 times
        wanted d && part "d: PyTorch" 200 python3 "$here/gpu_peer.py" "$report" 10 180
    fi
    # The features of all studies: made once, so that what follows times models alone.
    case "$parts" in *[efgh]*) train "features of all studies" 40 data --until norm ;; esac
    wanted e && train "e: from the start of the process through one epoch" 20 first
    wanted e && train "e: one model" 30 one
    wanted f && train "f: 4 x 4 x 3 models, one after the other" 90 sweep --gpu-steps 1 --force vae
    wanted f && train "f: 4 x 4 x 3 models at once" 60 sweep --force vae
    export -f too_little_memory two_at_once killed hoard run study latents
    export engine device clips epochs work
    wanted g && part "g: two processes at once" 60 bash -c two_at_once
    wanted g && part "g: a killed process" 60 bash -c killed
    wanted g && [ "$device" != cpu ] && part "g: too little memory" 60 bash -c too_little_memory
    if wanted h; then device=auto; train "h: what auto does, with its trial" 60 first --force vae; fi
    if [ -s "$work/failed" ]; then
        printf '\nFAILED: %s of the parts:\n' "$(wc -l < "$work/failed")"
        cat "$work/failed"
        return 1
    fi
    printf '\nEvery part passed.\n'
}

all 2>&1 | tee -a "$report"
