#!/usr/bin/env python3
"""UMAP of 6,705 x 32 beside umap-learn, warm, in turns within one run.

    benches/layouts.py --python VENV/bin/python [--turns 5]

VENV holds umap-learn. Its process stays alive, so that its compiled code is warm, and is timed around
`fit_transform` alone; the engine runs as a process of its own a turn, and its op is timed as the record
has it (`op_seconds`), which holds the trustworthiness too. Both may use all processors. Prints a line a
turn, and the ratios of the pairs in Markdown.
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile
from pathlib import Path

PIPELINE = """
name: layouts
steps:
  points: { op: matrix, path: points.npy }
  map: { op: umap, in: points }
"""
# Eleven overlapping normal clouds whose columns spread less and less, as in `ops/benches/math.rs`.
PEER = """
import json, sys, time, warnings
import numpy as np
warnings.filterwarnings("ignore")
import umap
from sklearn.manifold import trustworthiness
random = np.random.default_rng(0)
labels = random.integers(0, 11, 6705)
points = 1.2 * random.standard_normal((11, 32))[labels] + random.standard_normal((6705, 32))
points = (points * 2 / np.sqrt(1 + np.arange(32))).astype(np.float32)
np.save("points.npy", points)
for line in sys.stdin:
    seed = None if line.strip() == "free" else 0
    wall, cpu = time.perf_counter(), time.process_time()
    made = umap.UMAP(random_state=seed).fit_transform(points)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    told = {"wall": wall, "cpu": cpu}
    if line.strip() == "last":
        told["trust"] = float(trustworthiness(points, made, n_neighbors=15))
    print(json.dumps(told), flush=True)
"""


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent
    parse.add_argument("--engine", type=Path, default=root / "target/release/engine")
    parse.add_argument("--python", type=Path, required=True)
    parse.add_argument("--turns", type=int, default=5)
    args = parse.parse_args()
    work = Path(tempfile.mkdtemp(prefix="engine-layouts-"))
    (work / "study.yaml").write_text(PIPELINE)
    peer = subprocess.Popen([args.python.absolute(), "-c", PEER], cwd=work, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(how):
        peer.stdin.write(how + "\n")
        peer.stdin.flush()
        return json.loads(peer.stdout.readline() or sys.exit("the peer has ended"))

    def engine():
        run = [args.engine.absolute(), "run", "study.yaml", "-q", "--force", "map"]
        subprocess.run(run, cwd=work, check=True, stdout=subprocess.DEVNULL)
        record = json.loads((work / "runs/layouts/latest/record.json").read_text())
        step = next(step for step in record["steps"] if step["name"] == "map")
        return {"wall": step["op_seconds"], "cpu": step["cpu_seconds"]}

    # Once unmeasured: the peer compiles, the engine reads the points.
    ask("free"), ask("seeded"), engine()
    print("| turn | load | engine, s (CPU) | umap-learn, s (CPU) | ratio | umap-learn with a seed, s (CPU) | ratio |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    ratios = {"free": [], "seeded": []}
    for turn in range(args.turns):
        load = os.getloadavg()[0]
        own = engine()
        cells = [f"{turn + 1}", f"{load:.1f}", f"{own['wall']:.2f} ({own['cpu']:.2f})"]
        for how in ratios:
            other = ask(how)
            ratios[how].append(other["wall"] / own["wall"])
            cells += [f"{other['wall']:.2f} ({other['cpu']:.2f})", f"{ratios[how][-1]:.1f}"]
        print("|", " | ".join(cells), "|", flush=True)
    for how, of in ratios.items():
        print(f"\n{how}: wall, umap-learn / engine: median {statistics.median(of):.1f}, least {min(of):.1f}")
    print(f"\ntrustworthiness of umap-learn, 15 neighbours: {ask('last')['trust']:.3f}")
    peer.stdin.close()
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
