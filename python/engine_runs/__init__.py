"""Reads the runs of the engine: tables, arrays, labels, models and figures; and starts new runs.

    import engine_runs

    run = engine_runs.open("runs/quickstart/latest")
    run.table()                       # rows of scores, shown as a table in a notebook
    run["vae.latent"].values          # an array, one row a clip
    run.labels("groups@vae")          # clip id -> cluster
    engine_runs.runs("runs")          # all runs, the newest first
    engine_runs.run("study.yaml", set={"vae.beta": 2})

Only files whose form is documented are read: `record.json` and `results.csv` of a run, and objects of the store.
"""

from ._frame import Frame
from ._launch import RunFailed, find_binary, run
from ._run import Figure, Result, Run, RunError, open, runs
from ._tensors import read_safetensors

__all__ = [
    "Figure",
    "Frame",
    "Result",
    "Run",
    "RunError",
    "RunFailed",
    "find_binary",
    "open",
    "read_safetensors",
    "run",
    "runs",
]
