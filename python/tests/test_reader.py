"""The reader against a study that the engine runs: `ENGINE_BINARY` names the engine, else the installed one is taken."""

import csv
import json
import shutil
import subprocess

import engine_runs
import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("pyarrow")
pc = pytest.importorskip("pyarrow.compute")

PIPELINE = """
name: small
vars: { clusters: 5 }
seeds: [0]
steps:
  clips: { op: synth, clips_per_class: 4 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.5, n_fft: 256, hop_length: 128, n_mels: 16 }
  norm: { op: normalize, in: mel }
  pca: { op: pca, in: norm, components: 3 }
  vae: { op: beta_vae, in: norm, channels: [4, 8], latent: 3, epochs: 2, batch_size: 8 }
  groups: { op: kmeans, for: { x: [pca, vae] }, in: "${x}", clusters: "${clusters}" }
  scores:
    op: metrics
    for: { x: [pca, vae] }
    in: { features: "${x}", clusters: "groups@${x}", truth: clips.labels }
  map: { op: umap, in: pca }
report:
  table:
    - { row: PCA + K-Means, scores: scores@pca }
    - { row: VAE + K-Means, scores: scores@vae }
  figures:
    - { figure: scatter, title: The map, of: map, color: [clips.labels] }
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.yaml").write_text(PIPELINE)
    events = []
    run = engine_runs.run(
        folder / "small.yaml", out=folder / "runs", store=folder / ".engine", on_event=events.append
    )
    return folder, run, events


def test_a_run_streams_its_events(study):
    _, run, events = study
    assert [event["event"] for event in (events[0], events[-1])] == ["run_started", "run_finished"]
    finished = [event["step"] for event in events if event["event"] == "step_finished"]
    assert sorted(finished) == sorted(run.steps)
    assert (run.status, run.study) == ("done", "small")


def test_results_are_those_of_the_csv(study):
    folder, run, _ = study
    with (run.folder / "results.csv").open(newline="") as file:
        expected = [(row["row"], row["metric"], float(row["value"])) for row in csv.DictReader(file)]
    got = [(row["row"], row["metric"], row["value"]) for row in run.results]
    assert got == expected and got
    table = run.table("ari", "purity")
    assert table.columns == ["row", "ari", "purity"]
    assert table.column("row") == ["PCA + K-Means", "VAE + K-Means"]
    ari = run.results.where(row="VAE + K-Means", metric="ari")[0]["value"]
    assert table[1]["ari"] == ari
    assert "<td>PCA + K-Means</td>" in run._repr_html_()
    for ask in (run.table, run.summary, run.wide):
        with pytest.raises(KeyError, match="no metric 'arj'; there are: .*ari"):
            ask("ari", "arj")


def test_arrays_have_the_shapes_of_the_record(study):
    _, run, _ = study
    assert run["mel"].values.shape == (44, 16, 32)
    latent = run["vae.latent"]
    assert latent.values.shape == (44, 3) and latent.values.dtype == np.float32
    assert latent.clip_ids == run["mel"].clip_ids and len(set(latent.clip_ids)) == 44
    # Its text can be sorted and filtered, which pyarrow does not do with views of text.
    table = latent.table().sort_by("clip_id")
    assert table.column("clip_id").to_pylist() == sorted(latent.clip_ids)
    assert table.filter(pc.equal(table["clip_id"], latent.clip_ids[3])).num_rows == 1
    assert np.asarray(latent).shape == (44, 3)
    with pytest.raises(KeyError, match="several ports.*vae.latent"):
        run["vae"]
    with pytest.raises(KeyError, match="no step 'umap'.*map"):
        run["umap"]
    with pytest.raises(KeyError, match="several instances.*groups@pca, groups@vae"):
        run["groups.labels"]


def test_labels_are_by_clip(study):
    _, run, _ = study
    groups, truth = run.labels("groups@vae"), run.labels("clips")
    assert set(groups) == set(truth) == set(run["vae.latent"].clip_ids)
    assert len(set(groups.values())) == 5 and len(set(truth.values())) == 11


def test_purity_follows_from_the_labels(study):
    _, run, _ = study
    groups, truth = run.labels("groups@pca"), run.labels("clips.labels")
    inside = {}
    for clip, group in groups.items():
        inside.setdefault(group, []).append(truth[clip])
    purity = sum(max(map(labels.count, labels)) for labels in inside.values()) / len(groups)
    assert run.table("purity")[0]["purity"] == pytest.approx(purity, abs=1e-12)


def test_a_model_gives_the_latents_of_the_store(study):
    _, run, _ = study
    assert run.model("pca")["components"].shape == (3, 16 * 32)
    components, mean = run.model("pca")["components"], run.model("pca")["mean"]
    flat = run["norm.features"].values.reshape(44, -1)
    assert np.allclose((flat - mean) @ components.T, run["pca.latent"].values, atol=1e-3)
    torch = pytest.importorskip("torch")
    clips = torch.from_numpy(run["norm.features"].values.copy()).unsqueeze(1)
    with torch.inference_mode():
        latent = run.module("vae").encode(clips).numpy()
    assert np.allclose(latent, run["vae.latent"].values, atol=1e-4)


def test_figures_are_found_by_place_and_title(study):
    _, run, _ = study
    figure = run.figure("map")
    assert figure.path == run.figure(1).path and "<svg" in figure._repr_svg_()
    with pytest.raises(KeyError, match="no figure"):
        run.figure("nothing of the kind")


def test_why_follows_a_cell(study):
    _, run, _ = study
    assert "scores@pca" in json.dumps(run.why("r1.ari"))
    with pytest.raises(engine_runs.RunError):
        run.why("r9.ari")


def test_runs_are_listed_and_a_change_is_passed_on(study):
    folder, first, _ = study
    second = engine_runs.run(
        folder / "small.yaml", set={"clusters": 3}, out=folder / "runs", store=folder / ".engine", on_event=None
    )
    listed = engine_runs.runs(folder / "runs")
    assert listed.column("id") == [second.id, first.id]
    assert len(set(second.labels("groups@pca").values())) == 3
    pandas = pytest.importorskip("pandas")
    assert isinstance(listed.to_pandas(), pandas.DataFrame) and len(listed.to_pandas()) == 2


def test_a_pipeline_that_is_wrong_is_told(study):
    folder, _, _ = study
    (folder / "wrong.yaml").write_text(PIPELINE.replace("kmeans", "kmeens"))
    with pytest.raises(engine_runs.RunFailed, match="kmeens") as failed:
        engine_runs.run(folder / "wrong.yaml", out=folder / "runs", store=folder / ".engine", on_event=None)
    assert failed.value.code == 2


SWEEP = """
name: seeds
seeds: 3
sweep: { grid: { groups.clusters: [4, 8] } }
steps:
  clips: { op: synth, clips_per_class: 4, seed: 0 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.5, n_fft: 256, hop_length: 128, n_mels: 16 }
  pca: { op: pca, in: mel, components: 3 }
  groups: { op: kmeans, in: pca, clusters: 4, n_init: 1, init: random }
  scores: { op: metrics, in: { features: pca, clusters: groups, truth: clips.labels } }
report:
  columns: [silhouette, ari]
  table: [{ row: K-Means, scores: scores }]
"""


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "seeds.yaml").write_text(SWEEP)
    return engine_runs.run(folder / "seeds.yaml", out=folder / "runs", store=folder / ".engine", on_event=None)


def test_intervals_are_those_of_the_report(seeds):
    summary = seeds.summary("ari", "silhouette")
    assert summary.columns == ["row", "groups.clusters", "metric", "mean", "low", "high", "seeds"]
    assert summary.column("groups.clusters") == [4, 4, 8, 8] and set(summary.column("seeds")) == {3}
    wide = seeds.wide("ari", "silhouette")
    assert wide.columns[:3] == ["row", "groups.clusters", "seeds"]
    assert wide.column("groups.clusters") == [4, 8] and set(wide.column("seeds")) == {3}
    assert [line["ari"] for line in wide] == [line["mean"] for line in summary.where(metric="ari")]
    report = (seeds.folder / "report.md").read_text(encoding="utf-8")
    spread = [line for line in summary if line["high"] - line["mean"] >= 0.0005]
    assert spread, "no seed differs from another"
    for line in spread:
        assert f"{line['mean']:.3f} ± {line['high'] - line['mean']:.3f}" in report
        values = [it["value"] for it in seeds.results.where(metric=line["metric"])
                  if it["point"] == f"groups.clusters={line['groups.clusters']}"]
        assert line["mean"] == pytest.approx(sum(values) / 3, abs=1e-12)


def test_the_wide_form_is_that_of_the_engine(seeds, tmp_path):
    told = tmp_path / "wide.csv"
    subprocess.run([engine_runs.find_binary(), "export", seeds.folder, "results", "--wide", "--to", told,
                    "--store", seeds.store], check=True, capture_output=True)
    with told.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    wide = seeds.wide()
    assert len(lines) == len(wide) == 2
    for theirs, ours in zip(lines, wide):
        for name, text in theirs.items():
            if name != "row" and text:
                assert ours[name] == pytest.approx(float(text), rel=1e-12), name
        assert {name for name, value in ours.items() if isinstance(value, float)} <= {k for k, v in theirs.items() if v}


def test_a_quantile_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    from engine_runs._statistics import t_quantile

    for freedom in (*range(1, 40), 100, 999):
        assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-12)


def test_a_notebook_shows_the_table_of_the_report(study, seeds):
    _, run, _ = study
    assert "<th>silhouette</th>" in run._repr_html_() and "n_clips" not in run._repr_html_()
    shown = seeds._repr_html_()
    assert "<th>groups.clusters</th>" in shown and "±" in shown and "davies_bouldin" not in shown


def test_runs_are_compared_by_metrics(study, seeds):
    folder, run, _ = study
    rows = engine_runs.runs(folder / "runs", "ari", "purity").where(id=run.id)
    assert [(row["row"], row["ari"]) for row in rows] == [(row["row"], row["ari"]) for row in run.table("ari")]
    rows = engine_runs.runs(seeds.folder.parent.parent, "ari")
    assert rows.column("groups.clusters") == [4, 8] and len(rows) == 2


def test_a_run_is_logged_to_mlflow(seeds, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    seeds.log_to_mlflow()
    (logged,) = mlflow.MlflowClient().search_runs([mlflow.MlflowClient().get_experiment_by_name("Default").experiment_id])
    assert logged.data.tags["run"] == seeds.id
    assert logged.data.params["groups_clusters_4_seed_0_.n_init"] == "1"
    name = "K-Means groups.clusters_4 ari"
    history = mlflow.MlflowClient().get_metric_history(logged.info.run_id, name)
    expected = [it["value"] for it in seeds.results.where(metric="ari", point="groups.clusters=4")]
    assert [(it.step, it.value) for it in history] == list(enumerate(expected))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda record: b"{", "damaged"),
        (lambda record: b"\xff\xfe", "damaged"),
        (lambda record: b"[]", "damaged"),
        (lambda record: json.dumps({**record, "version": 99}).encode(), "version 99"),
        (lambda record: json.dumps({**record, "steps": 7}).encode(), "damaged"),
    ],
)
def test_a_damaged_or_newer_record_is_an_error(study, tmp_path, edit, says):
    _, run, _ = study
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    (copy / "record.json").write_bytes(edit(run.record))
    with pytest.raises(engine_runs.RunError, match=says):
        engine_runs.open(copy)
    with pytest.raises(engine_runs.RunError, match="no record.json"):
        engine_runs.open(tmp_path)


def test_a_damaged_or_missing_object_is_an_error(study, tmp_path):
    folder, run, _ = study
    shutil.copytree(folder / ".engine", tmp_path / "store")
    other = engine_runs.open(run.folder, store=tmp_path / "store")
    path = other["pca.latent"].path
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(engine_runs.RunError, match="damaged"):
        other["pca.latent"].values
    path.unlink()
    with pytest.raises(engine_runs.RunError, match="no longer in the store"):
        other["pca.latent"]
    model = other["vae.model"].path
    model.write_bytes(model.read_bytes()[:-10])
    with pytest.raises(engine_runs.RunError, match="not a whole safetensors file"):
        other.model("vae")
