"""Runs, and what they made."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._frame import Frame
from ._statistics import estimate
from ._tensors import read_safetensors

if TYPE_CHECKING:
    import numpy
    import pyarrow

    from ._module import Network

#: The version of `record.json` that this package reads.
RECORD_VERSION = 1


class RunError(Exception):
    """A run that cannot be read, or that does not hold what was asked for."""


def open(run: str | os.PathLike[str], *, store: str | os.PathLike[str] | None = None) -> Run:
    """Opens a run by its folder, such as `runs/quickstart/latest`.

    The store is looked for where the run's command named it, in `ENGINE_STORE`, and as `.engine` in the folders
    above the run; `store` names another. It is needed for arrays, labels and models only.
    Raises `RunError` where the folder holds no run, or one that is damaged or newer than this package.
    """
    folder = Path(run)
    if folder.is_file():
        # On file systems without symbolic links `latest` is a file that holds the name of the run.
        with folder.open("rb") as file:
            name = file.read(1000).decode("utf-8", "replace").strip()
        if not name or any(sign in name for sign in "\n/\0"):
            raise RunError(f"{folder} is a file, not the folder of a run")
        folder = folder.parent / name
    return Run(folder.resolve(), None if store is None else Path(store))


def runs(out: str | os.PathLike[str] = "runs", *metrics: str) -> Frame:
    """All runs below a folder, the newest first: study, id, status, start, seconds, steps, and the folder.

    With metrics (`runs("runs", "ari", "purity")`) there is a line for each row of each run's table: its title, the point
    of the sweep, and the mean of each metric over the seeds.
    """
    rows: list[dict[str, Any]] = []
    for record in sorted(Path(out).glob("*/*/record.json")):
        if record.parent.is_symlink():
            continue
        try:
            run = Run(record.parent.resolve(), None)
        except RunError as fault:
            study, id = record.parent.parent.name, record.parent.name
            rows.append({"study": study, "id": id, "status": f"unreadable: {fault}", "folder": str(record.parent)})
            continue
        facts = {
            "study": run.study,
            "id": run.id,
            "status": run.status,
            "started": run.record["started"],
            "seconds": run.record["seconds"],
            "steps": len(run.record["steps"]),
            "folder": str(run.folder),
        }
        rows += [{**facts, **line} for line in run._means(metrics)] if metrics else [facts]
    rows.sort(key=lambda row: (row.get("started", ""), row["id"]), reverse=True)
    columns = ["study", "id", "status", "started", "seconds", "steps", "folder"]
    more = [name for row in rows for name in row if name not in columns]
    return Frame(rows, ["study", "id", *more, *metrics, *columns[2:]] if metrics else columns)


@dataclass(frozen=True)
class Figure:
    """A figure of a report. A notebook shows it; `svg` is its text, `path` its file: of a picture that a program drew as
    PNG, that, and it has no `svg`."""

    path: Path
    title: str | None

    @property
    def svg(self) -> str:
        """The picture as SVG."""
        return self.path.read_text(encoding="utf-8")

    def _repr_svg_(self) -> str | None:
        return self.svg if self.path.suffix == ".svg" else None

    def _repr_png_(self) -> bytes | None:
        return self.path.read_bytes() if self.path.suffix == ".png" else None


@dataclass(frozen=True)
class Result:
    """What a step made at one of its ports.

    `kind` is `matrix`, `spectrogram`, `labels`, ...; `path` the file in the store, which pandas, polars, DuckDB
    (Parquet) or PyTorch (safetensors) open too.
    """

    name: str
    kind: str
    path: Path
    shape: dict[str, Any] = field(repr=False)

    def table(self) -> pyarrow.Table:
        """All of it as a `pyarrow.Table`; not for models."""
        parquet = _parquet(self.name)
        try:
            return parquet.read_table(self.path)
        except (OSError, ValueError) as fault:
            raise RunError(f"{self.name}: the object is damaged: {fault}; `engine cache verify` tells more") from fault

    @property
    def clip_ids(self) -> list[str]:
        """The clip of each row."""
        table = self.table()
        if "clip_id" not in table.column_names:
            raise RunError(f"{self.name} is of kind {self.kind!r}, whose rows are not clips")
        ids: list[str] = table.column("clip_id").to_pylist()
        return ids

    @property
    def values(self) -> numpy.ndarray:
        """The numbers: `(clips, features)` of a matrix, `(clips, n_mels, frames)` of a spectrogram."""
        import numpy

        table = self.table()
        if "features" not in table.column_names:
            raise RunError(f"{self.name} is of kind {self.kind!r}, which has no array; `.table()` reads it")
        column = table.column("features").combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return numpy.asarray(flat).reshape(len(column), *(self.shape.get("row") or [-1]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> numpy.ndarray:
        return self.values if dtype is None else self.values.astype(dtype)


class Run:
    """A finished run: its record, its table, and what its steps made."""

    def __init__(self, folder: Path, store: Path | None):
        self.folder = folder
        path = folder / "record.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            version = record["version"]
            steps = {step["name"]: step for step in record["steps"]}
            _ = (record["id"], record["pipeline"], record["status"], record["started"], record["seconds"])
        except FileNotFoundError:
            raise RunError(f"{folder} holds no record.json: it is no run, or one that was killed") from None
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise RunError(f"{path} is damaged: {fault!r}; `engine run` on the pipeline writes it again") from fault
        if version != RECORD_VERSION:
            raise RunError(f"{path} is of version {version}, and this package reads {RECORD_VERSION}: install its newest")
        #: All that the run did, as in `record.json`.
        self.record: dict[str, Any] = record
        self._steps: dict[str, dict[str, Any]] = steps
        self._store = store

    @property
    def id(self) -> str:
        """The name of the run's folder."""
        return str(self.record["id"])

    @property
    def study(self) -> str:
        """The name of its pipeline."""
        return str(self.record["pipeline"])

    @property
    def status(self) -> str:
        """`done`, `partial`, `failed` or `interrupted`."""
        return str(self.record["status"])

    @property
    def steps(self) -> list[str]:
        """The names of its steps, in the order of the plan."""
        return list(self._steps)

    @property
    def store(self) -> Path:
        """The folder of its store."""
        named = [Path(name) for name in (self._store, self._of_command(), os.environ.get("ENGINE_STORE")) if name]
        # A command names its store from where it ran: from here, or from a folder above the run's.
        above = [parent / name for name in [*named, Path(".engine")] for parent in self.folder.parents]
        for folder in named + above:
            if (folder / "objects-v1").is_dir():
                return folder
        raise RunError(f"the store of {self.folder} was not found; name it: open(run, store=...)")

    def _of_command(self) -> str | None:
        words: list[str] = self.record.get("command", [])
        for at, word in enumerate(words):
            if word == "--store" and at + 1 < len(words):
                return words[at + 1]
            if word.startswith("--store="):
                return word.removeprefix("--store=")
        return None

    @property
    def results(self) -> Frame:
        """Every score of every row, in full precision: the rows of `results.csv`."""
        path = self.folder / "results.csv"
        try:
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                rows = [{name: _number(name, text) for name, text in row.items()} for row in reader]
                return Frame(rows, reader.fieldnames or [])
        except (OSError, csv.Error) as fault:
            raise RunError(f"{path} cannot be read: {fault}; `engine report` writes it again") from fault

    def _scores(self, metrics: tuple[str, ...]) -> list[dict[str, Any]]:
        """The rows of `results` with these metrics; all if none is named."""
        known = list(dict.fromkeys(score["metric"] for score in self.results))
        unknown = [name for name in metrics if name not in known]
        if unknown:
            raise KeyError(f"there is no metric {unknown[0]!r}; there are: {', '.join(known)}")
        return [score for score in self.results if not metrics or score["metric"] in metrics]

    def table(self, *metrics: str) -> Frame:
        """One line for each row of the report's table and one column for each metric; all metrics if none is named."""
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for score in self._scores(metrics):
            key = tuple(score.get(name) for name in ("row", "point", "seed"))
            line = rows.setdefault(key, {"row": score["row"]})
            for name in ("point", "seed"):
                if score.get(name) not in (None, ""):
                    line[name] = score[name]
            line[score["metric"]] = score["value"]
        return Frame(rows.values())

    def summary(self, *metrics: str) -> Frame:
        """One line for each row and metric, with the mean over the seeds and its 95 % interval, `low` to `high`.

        The parameters of a sweep are columns. The interval is absent where there is one seed. All metrics if none is
        named.
        """
        points = {row["scores"]: dict(row.get("point", [])) for row in self.record["table"]}
        values: dict[tuple[Any, ...], list[float]] = {}
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for score in self._scores(metrics):
            if not isinstance(score["value"], float):
                continue
            key = (score["row"], score["point"], score["metric"])
            lines.setdefault(key, {"row": score["row"], **points.get(score["step"], {}), "metric": score["metric"]})
            values.setdefault(key, []).append(score["value"])
        for key, line in lines.items():
            line["mean"], line["low"], line["high"] = estimate(values[key])
            line["seeds"] = len(values[key])
        axes = (self.record.get("sweep") or {}).get("axes", [])
        return Frame(lines.values(), ["row", *axes, "metric", "mean", "low", "high", "seeds"])

    def wide(self, *metrics: str) -> Frame:
        """One line for each row and point of a sweep, with a column for each parameter and each metric.

        A metric is the mean over the seeds, as `engine export RUN results --wide` writes it; `METRIC.half_interval` is
        half the width of its 95 % interval, where it has one, and `seeds` how many seeds there are. All metrics if none
        is named.
        """
        axes = (self.record.get("sweep") or {}).get("axes", [])
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for score in self.summary(*metrics):
            about = {name: score[name] for name in ("row", *axes) if name in score}
            line = lines.setdefault(tuple((k, repr(v)) for k, v in about.items()), {**about, "seeds": 0})
            line["seeds"] = max(line["seeds"], score["seeds"])
            line[score["metric"]] = score["mean"]
            if score["low"] is not None and score["high"] is not None and score["high"] > score["low"]:
                line[f"{score['metric']}.half_interval"] = (score["high"] - score["low"]) / 2
        varied = [axis for axis in axes if any(axis in line for line in lines.values())]
        names = (name for line in lines.values() for name in line)
        return Frame(lines.values(), ["row", *varied, "seeds", *names])

    def _means(self, metrics: tuple[str, ...]) -> list[dict[str, Any]]:
        """One line for each row and point, with the mean of each metric."""
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for line in self.summary(*metrics):
            about = {name: line[name] for name in line if name not in ("metric", "mean", "low", "high", "seeds")}
            lines.setdefault(tuple(about.items()), about)[line["metric"]] = line["mean"]
        return list(lines.values())

    def _shown(self) -> tuple[str, ...]:
        """The metrics that are columns of the report; all where the store cannot tell."""
        if self.record.get("columns"):
            return tuple(self.record["columns"])
        names: dict[str, None] = {}
        try:
            for row in self.record["table"]:
                scores = self._of_kind(row["scores"], "scores").table().to_pylist()
                names.update((score["metric"], None) for score in scores if score.get("shown"))
        except (KeyError, RunError, ImportError):
            return ()
        return tuple(names)

    def __getitem__(self, name: str) -> Result:
        """What a step made: `run["vae.latent"]`, or `run["mel"]` where it has one port."""
        step, port = self._port(name)
        digest, shape = step["outputs"][port], step["shapes"][port]
        found = sorted((self.store / "objects-v1" / digest[:2]).glob(f"{digest}.*"))
        if not found:
            raise RunError(f"{step['name']}.{port} is no longer in the store: `engine run` makes it again")
        return Result(f"{step['name']}.{port}", shape["kind"], found[0], shape)

    def _port(self, name: str) -> tuple[dict[str, Any], str]:
        step, port = self._steps.get(name), None
        if step is None and "." in name:
            head, port = name.rsplit(".", 1)
            step = self._steps.get(head)
        if step is None:
            # `pca` of a sweep is `pca{seed=0}`, `pca{seed=1}`, ...; that of a `for` is `groups@pca`.
            bases = (name, name.rsplit(".", 1)[0])
            instances = [it for it in self._steps if it.startswith(tuple(f"{base}{sign}" for base in bases for sign in "@{"))]
            if instances:
                raise KeyError(f"{name!r} has several instances; name one: {', '.join(instances)}")
            raise KeyError(f"there is no step {name!r}; there are: {', '.join(self._steps)}")
        ports = list(step["outputs"])
        if not ports:
            raise RunError(f"{step['name']} made nothing: it is {step['status']} ({step['reason']})")
        if port is None and len(ports) > 1:
            raise KeyError(f"{step['name']} has several ports; name one: {', '.join(f'{name}.{it}' for it in ports)}")
        if port is None:
            port = ports[0]
        if port not in ports:
            raise KeyError(f"{step['name']} has no port {port!r}; it has: {', '.join(ports)}")
        return step, port

    def labels(self, name: str) -> dict[str, str]:
        """Clip id → label (or cluster) of a step such as `groups@vae`."""
        result = self._of_kind(name, "labels")
        table = result.table()
        return dict(zip(table.column("clip_id").to_pylist(), table.column("label").to_pylist()))

    def model(self, name: str) -> dict[str, numpy.ndarray]:
        """The parameters of a model by name."""
        arrays, _ = self.model_with_facts(name)
        return arrays

    def model_with_facts(self, name: str) -> tuple[dict[str, numpy.ndarray], dict[str, Any]]:
        """The parameters of a model, and the facts from which its network is built (channels, latent size, ...)."""
        result = self._of_kind(name, "model")
        try:
            return read_safetensors(result.path)
        except ValueError as fault:
            raise RunError(str(fault)) from fault

    def module(self, name: str) -> Network:
        """A trained autoencoder or VAE as a PyTorch module in evaluation mode."""
        from ._module import module

        arrays, facts = self.model_with_facts(name)
        return module(arrays, facts)

    def _of_kind(self, name: str, kind: str) -> Result:
        step = self._steps.get(name)
        if step is not None:
            ports = [port for port, shape in step["shapes"].items() if shape["kind"] == kind]
            if not ports:
                raise RunError(f"{name} made no {kind}; it made: {', '.join(step['outputs']) or 'nothing'}")
            name = f"{name}.{ports[0]}"
        result = self[name]
        if result.kind != kind:
            raise RunError(f"{result.name} is of kind {result.kind!r}, not {kind!r}")
        return result

    @property
    def figures(self) -> list[Figure]:
        """The figures of the report, in its order."""
        titles = [figure.get("title") for figure in self.record.get("figures", [])]
        folder = self.folder / "figures"
        # Every figure has an SVG, but a picture that a program drew as PNG.
        paths = sorted(path for path in folder.glob("*.*") if path.suffix == ".svg"
                       or (path.suffix == ".png" and not path.with_suffix(".svg").exists()))
        numbered = [(int(path.name.split("-")[0]) if path.name[:2].isdigit() else 0, path) for path in paths]
        return [Figure(path, titles[at - 1] if 0 < at <= len(titles) else None) for at, path in numbered]

    def figure(self, which: str | int) -> Figure:
        """A figure by its place from 1, a part of its title, or a part of its file's name."""
        figures = self.figures
        if isinstance(which, int):
            if not 1 <= which <= len(figures):
                raise KeyError(f"there are {len(figures)} figures, counted from 1")
            return figures[which - 1]
        for figure in figures:
            if which.lower() in (figure.title or "").lower() or which in figure.path.name:
                return figure
        raise KeyError(f"there is no figure {which!r}; there are: {', '.join(f.path.name for f in figures)}")

    def why(self, cell: str) -> dict[str, Any]:
        """How a number came to be: what `engine why` says of a cell such as `r1.ari`."""
        import subprocess

        from ._launch import find_binary

        command = [find_binary(), "why", str(self.folder), cell, "--json", "--store", str(self.store)]
        ended = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        if ended.returncode != 0:
            raise RunError(ended.stderr.strip())
        told: dict[str, Any] = json.loads(ended.stdout)
        return told

    def log_to_mlflow(self) -> None:
        """Logs the parameters of steps, the scores of rows and the report to the active MLflow run, or to a new one."""
        try:
            import mlflow
        except ImportError as missing:
            raise ImportError("log_to_mlflow() needs MLflow: pip install mlflow") from missing

        def log() -> None:
            mlflow.set_tags({"study": self.study, "run": self.id, "folder": str(self.folder)})
            for step in self.record["steps"]:
                mlflow.log_params({f"{step['name']}.{k}".translate(_MLFLOW): v for k, v in (step["params"] or {}).items()})
            for score in self.results:
                if isinstance(score["value"], float):
                    name = " ".join(filter(None, (score["row"], score["point"], score["metric"])))
                    # A seed is a step, so that MLflow draws the seeds of one cell side by side.
                    mlflow.log_metric(name.translate(_MLFLOW), score["value"], step=score["seed"] or 0)
            mlflow.log_artifact(str(self.folder / "report.html"))

        if mlflow.active_run():
            log()
        else:
            with mlflow.start_run(run_name=f"{self.study} {self.id}"):
                log()

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.study}: {self.status}, {len(self._steps)} steps>"

    def _repr_html_(self) -> str:
        # The table of the report: means over the seeds, with their intervals.
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for line in self.summary(*self._shown()):
            about = {k: v for k, v in line.items() if k not in ("metric", "mean", "low", "high", "seeds")}
            half = "" if line["high"] is None else f" ± {line['high'] - line['mean']:.2g}"
            lines.setdefault(tuple(about.items()), about)[line["metric"]] = f"{line['mean']:.4g}{half}"
        return Frame(lines.values())._repr_html_()


#: MLflow allows letters, digits and `_-. /` in names of metrics.
_MLFLOW = {ord(sign): "_" for sign in "()+,=:;{}[]*&%$#@!?'\"<>|\\β±"}


def _number(name: str, text: str | None) -> Any:
    if name == "seed":
        return int(text) if text else None
    if name in ("row", "step", "metric", "note", "point") or text is None:
        return text
    if text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _parquet(name: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as missing:
        raise ImportError(f"{name} is a Parquet file: pip install numpy pyarrow") from missing
    return pyarrow.parquet
