"""Computes the scores of a run again with scikit-learn, from what the run exports.

Every row of the run's table is checked: the features and the two labelings that its step read are
exported as Parquet, and each metric that scikit-learn has must agree with `results.csv`.

    engine run pipelines/recordings.yaml --set data=path/to/recordings
    python engine/tests/sklearn/check.py runs/recordings/latest

Needs scikit-learn and polars. The exit code is 1 if a number differs by more than the tolerance.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import polars as pl
from sklearn import metrics

INTRINSIC = {
    "silhouette": metrics.silhouette_score,
    "calinski_harabasz": metrics.calinski_harabasz_score,
    "davies_bouldin": metrics.davies_bouldin_score,
}


def purity(truth, clusters):
    """The share of clips that have the commonest label of their cluster."""
    table = metrics.cluster.contingency_matrix(truth, clusters)
    return table.max(axis=0).sum() / table.sum()


AGREEMENT = {
    "ari": metrics.adjusted_rand_score,
    "nmi": metrics.normalized_mutual_info_score,
    "ami": metrics.adjusted_mutual_info_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
    "v_measure": metrics.v_measure_score,
    "fowlkes_mallows": metrics.fowlkes_mallows_score,
    "purity": purity,
}


def matrix(table):
    """The array column of a table: one row a clip."""
    arrays = [name for name, kind in table.schema.items() if isinstance(kind, pl.Array)]
    values = table[arrays[0]].to_numpy()
    return values.reshape(len(values), -1).astype(np.float64)


def classes(table):
    """The column that holds labels or clusters."""
    name = next(name for name in ("label", "cluster") if name in table.columns)
    return table[name].to_numpy()


class Run:
    """A run, and its outputs as tables."""

    def __init__(self, folder, engine, store):
        self.folder, self.engine, self.store = folder, engine, store
        self.record = json.loads((folder / "record.json").read_text())
        self.steps = {step["name"]: step for step in self.record["steps"]}
        self.tables = {}

    def table(self, output):
        """An output such as `pca.latent`, exported once."""
        if output not in self.tables:
            with tempfile.TemporaryDirectory() as scratch:
                file = pathlib.Path(scratch) / "output.parquet"
                command = [self.engine, "export", str(self.folder), output, "--to", str(file)]
                command += ["--store", str(self.store)]
                exported = subprocess.run(command, capture_output=True, text=True)
                if exported.returncode != 0:
                    sys.exit(exported.stderr.strip())
                self.tables[output] = pl.read_parquet(file)
        return self.tables[output]

    def scores(self, step):
        """The metrics of a step, by scikit-learn."""
        inputs = self.steps[step]["inputs"]
        clusters = self.table(inputs["clusters"])
        scores = {}
        if "features" in inputs:
            features = self.table(inputs["features"])
            same_clips(features, clusters)
            for name, score in INTRINSIC.items():
                scores[name] = score(matrix(features), classes(clusters))
        if "truth" in inputs:
            truth = self.table(inputs["truth"])
            same_clips(truth, clusters)
            for name, score in AGREEMENT.items():
                scores[name] = score(classes(truth), classes(clusters))
        return scores


def same_clips(one, other):
    """Rows must belong to each other before anything is computed from them."""
    assert one["clip_id"].to_list() == other["clip_id"].to_list(), "the clips differ"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path, help="the folder of a run")
    parser.add_argument("--engine", default="target/release/engine")
    parser.add_argument("--store", type=pathlib.Path, default=pathlib.Path(".engine"))
    parser.add_argument("--tolerance", type=float, default=1e-6, help="relative above 1")
    arguments = parser.parse_args()

    run = Run(arguments.run, arguments.engine, arguments.store)
    results = pl.read_csv(arguments.run / "results.csv")
    checked, worst = 0, 0.0
    for row in run.record["table"]:
        ours = results.filter(pl.col("step") == row["scores"])
        ours = dict(zip(ours["metric"], ours["value"]))
        print(f"{row['title']}  ({row['scores']})")
        for name, theirs in run.scores(row["scores"]).items():
            difference = abs(ours[name] - theirs) / max(1.0, abs(theirs))
            fine = difference <= arguments.tolerance
            checked, worst = checked + 1, max(worst, difference)
            print(f"  {name:18} {ours[name]:16.10f} {theirs:16.10f}  {difference:.1e}", "" if fine else "DIFFERS")
    print(f"{checked} numbers, the largest difference {worst:.1e}")
    return 0 if checked and worst <= arguments.tolerance else 1


if __name__ == "__main__":
    sys.exit(main())
