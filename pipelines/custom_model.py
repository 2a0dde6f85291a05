"""A model of one's own as a step: reads features, writes a latent space and groups.

    custom_model.py FEATURES LATENT GROUPS

All three are Parquet. FEATURES has the columns clip_id and features, a fixed-size list a row; of a
spectrogram it holds the bands one after the other. The step's params come as JSON in
ENGINE_PARAMS, its seed in ENGINE_SEED. What is printed goes to the log of the step.
"""

import json
import os
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.decomposition import NMF, FastICA, TruncatedSVD
from sklearn.mixture import GaussianMixture


def read(path):
    """The names of the clips, and their features as an array of clips x features."""
    table = pq.read_table(path, columns=["clip_id", "features"])
    values = table["features"].combine_chunks().flatten().to_numpy()
    return table["clip_id"], values.reshape(table.num_rows, -1)


def write(path, clips, latent):
    """A matrix: one row a clip, its vector as a fixed-size list."""
    values = pa.array(np.ascontiguousarray(latent, dtype=np.float32).ravel())
    vectors = pa.FixedSizeListArray.from_arrays(values, latent.shape[1])
    pq.write_table(pa.table({"clip_id": clips, "latent": vectors}), path)


def main(features_path, latent_path, groups_path):
    params = json.loads(os.environ["ENGINE_PARAMS"])
    seed = int(os.environ["ENGINE_SEED"]) % 2**32
    components = params["components"]
    models = {
        "fast_ica": FastICA(components, whiten="unit-variance", max_iter=1000, random_state=seed),
        "nmf": NMF(components, init="nndsvda", max_iter=500, random_state=seed),
        "truncated_svd": TruncatedSVD(components, random_state=seed),
    }
    if params["model"] not in models:
        sys.exit(f"there is no model {params['model']}; there are {', '.join(models)}")
    clips, features = read(features_path)
    print(f"{params['model']} of {features.shape[0]} clips x {features.shape[1]} features")
    if params["model"] == "nmf":
        features = features - features.min()
    latent = models[params["model"]].fit_transform(features)
    write(latent_path, clips, latent)

    mixture = GaussianMixture(
        params["clusters"], covariance_type="diag", n_init=5, random_state=seed
    )
    groups = mixture.fit_predict(latent)
    print(f"mixture: {mixture.lower_bound_:.3f} nats per clip after {mixture.n_iter_} steps")
    pq.write_table(pa.table({"clip_id": clips, "label": pa.array(groups, pa.int64())}), groups_path)


main(*sys.argv[1:])
