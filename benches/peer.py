#!/usr/bin/env python3
"""The engine beside a Python peer: the same stages on the same recordings, in one run, in turns.

    benches/peer.py --python VENV/bin/python --peer PEER.py --data CORPUS [--repeats 3]

CORPUS comes from `engine synth CORPUS --clips-per-class 100`. The peer is any script that takes
`--data --out --work --stages --latent --fused` and writes `stages: {name: {wall_s}}` as JSON. Prints
a table in Markdown with the best time of each side; only ratios within one run count.
"""
import argparse, json, os, shutil, subprocess, sys, tempfile, time
from pathlib import Path

PIPELINE = """
name: peer
vars: {{ data: {data} }}
steps:
  clips: {{ op: irmas, path: "${{data}}" }}
  mel: {{ op: log_mel, in: clips }}
  norm: {{ op: normalize, in: mel }}
  pca: {{ op: pca, in: norm, components: 32 }}
  half: {{ op: pca, in: norm, components: 16 }}
  groups: {{ op: kmeans, for: {{ x: [pca, half] }}, in: "${{x}}", clusters: 11 }}
  tree: {{ op: agglomerative, for: {{ x: [pca, half] }}, in: "${{x}}", clusters: 11 }}
  scores:
    op: metrics
    for: {{ x: [pca, half], y: [groups, tree] }}
    in: {{ features: "${{x}}", clusters: "${{y}}@${{x}}", truth: clips.labels }}
"""
MEMORY = """
name: memory
vars: { clips_per_class: 40 }
steps:
  clips: { op: synth, clips_per_class: "${clips_per_class}" }
  mel: { op: log_mel, in: clips }
"""
# The name of a row, the steps of the engine (one call each), the stages of the peer.
ROWS = [
    ("decode + resample + log-mel", ["clips", "mel"], ["extract+logmel"]),
    ("normalise", ["norm"], ["normalize"]),
    ("PCA, 32 components", ["pca"], ["pca"]),
    ("K-Means, 11 clusters, 10 starts, two rows", ["groups@pca", "groups@half"], ["kmeans_pca", "kmeans_ae"]),
    ("Ward, two rows", ["tree@pca", "tree@half"], ["agglomerative_pca", "agglomerative_ae"]),
    ("scores of four rows", ["scores"], ["metrics"]),
]


def call(command, **more):
    """Runs a command; wall seconds and peak memory in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{said.decode()}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def engine_stages(engine, pipeline, work):
    """Seconds of every step, of the op alone and with the store; each in a call of its own, so that no two
    share the processors."""
    seconds = {}
    for step in [step for _, steps, _ in ROWS for step in steps] + ["half"]:
        order = ["half"] if step == "groups@half" and "half" not in seconds else []
        for one in [*order, step]:
            run = [engine, "run", pipeline, "--store", work / "store", "--out", work / "runs", "-q", "--only", one]
            call(run)
            # A run of some steps alone is not the latest of its study; names of runs sort by time.
            record = json.loads(max((work / "runs/peer").glob("2*/record.json")).read_text())
            for done in record["steps"]:
                if done["status"] == "ran":
                    seconds[done["name"]] = (done["op_seconds"], done["seconds"])
    return seconds


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent
    parse.add_argument("--engine", type=Path, default=root / "target/release/engine")
    parse.add_argument("--python", type=Path, required=True)
    parse.add_argument("--peer", type=Path, required=True)
    parse.add_argument("--data", type=Path, required=True)
    parse.add_argument("--repeats", type=int, default=3)
    args = parse.parse_args()
    work = Path(tempfile.mkdtemp(prefix="engine-peer-"))
    pipeline = work / "peer.yaml"
    pipeline.write_text(PIPELINE.format(data=args.data.resolve()))
    peer_work = work / "peer"
    peer_stages = "extract,logmel,normalize,pca"

    def peer(stages, latent):
        out = work / "peer.json"
        call([args.python, args.peer, "--data", args.data, "--out", out, "--work", peer_work, "--fused",
              "--latent", str(latent), "--stages", stages])
        return json.loads(out.read_text())

    # Once unmeasured: files into memory, and the second latent space the peer reads.
    clips = peer(peer_stages, 16)["clips"]
    shutil.copy(peer_work / "z_pca.npy", peer_work / "z_ae.npy")
    best = {"op": {}, "engine": {}, "peer": {}}

    def note(side, name, value):
        best[side][name] = min(value, best[side].get(name, float("inf")))

    loads = []
    for turn in range(args.repeats):
        loads.append(os.getloadavg()[0])
        stages = engine_stages(args.engine, pipeline, work / f"engine{turn}")
        for name, steps, _ in ROWS:
            chosen = [s for step, s in stages.items() if step in steps or step.split("@")[0] in steps]
            note("op", name, sum(op for op, _ in chosen))
            note("engine", name, sum(whole for _, whole in chosen))
        whole = work / f"whole{turn}"
        run = [args.engine, "run", pipeline, "--store", whole / "store", "--out", whole / "runs", "-q"]
        note("engine", "all of it, from the shell", call(run)[0])
        note("engine", "all of it again, nothing changed", call(run)[0])
        plan = [args.engine, "plan", root / "pipelines/quickstart.yaml"]
        note("engine", "start to first work", min(call(plan, cwd=work)[0] for _ in range(10)))
        start = time.perf_counter()
        result = peer(f"{peer_stages},kmeans,agglomerative,metrics", 32)
        note("peer", "all of it, from the shell", time.perf_counter() - start)
        wall = {name: stage["wall_s"] for name, stage in result["stages"].items()}
        for name, _, parts in ROWS:
            note("peer", name, sum(wall[part] for part in parts))
        note("peer", "start to first work", wall["imports"] + wall["worker_start"])
        shutil.rmtree(work / f"engine{turn}"), shutil.rmtree(whole)

    print(f"{clips} clips; best of {args.repeats} turns; {os.cpu_count()} cores; load before each turn:",
          ", ".join(f"{load:.1f}" for load in loads))
    print("\n| | op, s | with the store, s | peer, s | peer / op | peer / with the store |\n|---|---:|---:|---:|---:|---:|")
    number = lambda value: "–" if value is None else f"{value:.3f}"
    ratio = lambda peer, own: "–" if peer is None or own is None else f"{peer / own:.1f}"
    for name, own in best["engine"].items():
        op, other = best["op"].get(name), best["peer"].get(name)
        print(f"| {name} | {number(op)} | {number(own)} | {number(other)} | {ratio(other, op)} | {ratio(other, own)} |")

    memory = work / "memory.yaml"
    memory.write_text(MEMORY)
    print("\n| log-mel of | peak, MiB | its array, MiB | beyond it, MiB |\n|---|---:|---:|---:|")
    for each in (40, 200):
        run = [args.engine, "run", memory, "--store", work / f"m{each}", "--out", work / "runs", "-q", "--only", "mel",
               "--set", f"clips_per_class={each}"]
        peak, array = call(run)[1], 11 * each * 128 * 130 * 4 / 2**20
        print(f"| {11 * each} clips | {peak:.0f} | {array:.0f} | {peak - array:.0f} |")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
