#!/usr/bin/env python3
"""Clusterers, probes and layouts beside scikit-learn and umap-learn, in turns within one run.

    benches/methods.py --python VENV/bin/python [--rows 6705] [--turns 3] [--only kmeans,mixture] [--peak]

Eleven overlapping normal clouds in 32 dimensions. The peer's process stays alive and is timed around `fit` alone, on
the same numbers; the engine runs as a process of its own a turn, and its op is timed as the record has it
(`op_seconds`). Both may use all processors. Prints the best of each side and the ratio in Markdown; only ratios within
one run count. With `--peak` the peer has a process of its own for each method too, and the peak memory of both is shown.
"""
import argparse, json, os, shutil, subprocess, sys, tempfile
from pathlib import Path

# The step, and what the peer does for it; each side does the same work: equal starts, steps and neighbours.
METHODS = {
    "pca": ("op: pca, in: points, components: 16", "PCA(16, svd_solver='covariance_eigh').fit_transform(x)"),
    "kmeans": ("op: kmeans, in: points, clusters: 11", "KMeans(11, n_init=10).fit(x)"),
    "mixture": ("op: gaussian_mixture, in: points, clusters: 11, n_init: 1, max_iter: 30, tol: 1.0e-9",
                "GaussianMixture(11, max_iter=30, tol=1e-9).fit(x)"),
    "hdbscan": ("op: hdbscan, in: points, min_cluster_size: 10", "HDBSCAN(10, copy=True).fit(x)"),
    "optics": ("op: optics, in: points, min_samples: 10", "OPTICS(min_samples=10).fit(x)"),
    "spectral": ("op: spectral, in: points, clusters: 11", "SpectralClustering(11, affinity='nearest_neighbors').fit(x)"),
    "probe": ("op: probe, in: { features: points, truth: points.labels }", "probe(x, labels, groups)"),
    "silhouette": ("op: silhouette_samples, in: { features: points, clusters: points.labels }",
                   "silhouette_samples(x, labels)"),
    "umap": ("op: umap, in: points", "umap.UMAP().fit_transform(x)"),
}
PEER = """
import json, resource, sys, time, warnings
import numpy as np
warnings.filterwarnings("ignore")
from sklearn.cluster import HDBSCAN, OPTICS, KMeans, SpectralClustering
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, silhouette_samples
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import KFold, StratifiedGroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
n = int(sys.argv[1])
random = np.random.default_rng(0)
labels = random.integers(0, 11, n)
points = 1.2 * random.standard_normal((11, 32))[labels] + random.standard_normal((n, 32))
x = (points * 2 / np.sqrt(1 + np.arange(32))).astype(np.float32)
groups = np.arange(n) // 3
with open("points.csv", "w") as file:
    file.write("clip_id,label,group," + ",".join(f"x{i}" for i in range(32)) + "\\n")
    for row in range(n):
        file.write(f"c{row},i{labels[row]},g{groups[row]}," + ",".join(f"{v:.7g}" for v in x[row]) + "\\n")


def probe(x, y, groups):
    for folds in (StratifiedGroupKFold(5), KFold(5, shuffle=True)):
        for model in (KNeighborsClassifier(5, n_jobs=-1), LogisticRegression(tol=1e-7, max_iter=1000)):
            found = cross_val_predict(make_pipeline(StandardScaler(), model), x, y, groups=groups, cv=folds)
            accuracy_score(y, found), f1_score(y, found, average="macro")


print("ready", flush=True)
for line in sys.stdin:
    if "umap" in line:
        import umap
    wall, cpu = time.perf_counter(), time.process_time()
    eval(line)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}), flush=True)
"""


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent
    parse.add_argument("--engine", type=Path, default=root / "target/release/engine")
    parse.add_argument("--python", type=Path, required=True)
    parse.add_argument("--rows", type=int, default=6705)
    parse.add_argument("--turns", type=int, default=3)
    parse.add_argument("--peak", action="store_true")
    parse.add_argument("--only", default=",".join(METHODS))
    args = parse.parse_args()
    chosen = args.only.split(",")
    work = Path(tempfile.mkdtemp(prefix="engine-methods-"))
    steps = "".join(f"  {name}: {{ {METHODS[name][0]} }}\n" for name in chosen)
    points = "  points: { op: matrix, path: points.csv, label: label, group: group }\n"
    (work / "study.yaml").write_text(f"name: methods\nseeds: [0]\nsteps:\n{points}{steps}")
    peers = []

    def new_peer():
        for peer in peers:
            peer.stdin.close()
            peer.wait()
        peers[:] = [subprocess.Popen([args.python.absolute(), "-c", PEER, str(args.rows)], cwd=work, text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)]
        assert peers[0].stdout.readline() == "ready\n", "the peer has ended"

    def other(name):
        peers[0].stdin.write(METHODS[name][1] + "\n")
        peers[0].stdin.flush()
        return json.loads(peers[0].stdout.readline() or sys.exit("the peer has ended"))

    def own(name):
        run = [args.engine.absolute(), "run", "study.yaml", "-q", "--only", name, "--force", name]
        process = subprocess.Popen(run, cwd=work, stdout=subprocess.PIPE, text=True)
        report = process.stdout.read().strip()
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, f"{name} failed"
        record = json.loads((work / report).with_name("record.json").read_text())
        step = next(step for step in record["steps"] if step["name"] == name)
        return {"wall": step["op_seconds"], "cpu": step["cpu_seconds"], "peak": usage.ru_maxrss / 1024}

    print(f"{args.rows} x 32; best of {args.turns} turns; {os.cpu_count()} cores\n")
    memory = [" engine, MiB | peer, MiB |", "--:|--:|"] if args.peak else ["", ""]
    print("| | load | engine, s (CPU) | peer, s (CPU) | wall, peer / engine | CPU, peer / engine |" + memory[0])
    print("|---|--:|--:|--:|--:|--:|" + memory[1])
    new_peer()
    own(chosen[0]) if args.turns == 1 else None
    for name in chosen:
        new_peer() if args.peak else None
        # Once unmeasured: imports and compilers of the peer, and the points of the engine.
        other(name) if args.turns > 1 else None
        turns = []
        for _ in range(args.turns):
            load = os.getloadavg()[0]
            turns.append((load, own(name), other(name)))
        best = [{key: min(turn[side][key] for turn in turns) for key in ("wall", "cpu", "peak")} for side in (1, 2)]
        load = max(turn[0] for turn in turns)
        cells = [f"{side['wall']:.3f} ({side['cpu']:.3f})" for side in best]
        ratios = [f"{best[1][key] / max(best[0][key], 1e-3):.1f}" for key in ("wall", "cpu")]
        ratios += [f"{side['peak']:.0f}" for side in best] if args.peak else []
        print("|", " | ".join([name, f"{load:.1f}", *cells, *ratios]), "|", flush=True)
    peers[0].stdin.close()
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
