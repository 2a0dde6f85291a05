"""`engine export RUN --to tensorboard DIR` writes what TensorBoard's own reader reads."""

import struct
import subprocess

import engine_runs
import pytest
from test_reader import study  # noqa: F401  (a fixture)

np = pytest.importorskip("numpy")
accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
plugin_data_pb2 = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):  # noqa: F811
    folder, run, _ = study
    to = tmp_path_factory.mktemp("tensorboard") / "tb"
    command = [engine_runs.find_binary(), "export", "latest", "--to", "tensorboard", to]
    command += ["--out", folder / "runs", "--store", folder / ".engine"]
    subprocess.run([*map(str, command)], check=True)

    def read(name):
        events = accumulator.EventAccumulator(str(to / name), size_guidance=accumulator.STORE_EVERYTHING_SIZE_GUIDANCE)
        return events.Reload()

    return to, run, read


def test_each_row_is_a_run_with_its_scores_and_epochs(written):
    to, run, read = written
    names = sorted(path.name for path in to.iterdir() if path.is_dir())
    assert names == ["PCA + K-Means", "VAE + K-Means", "figures"]
    events = read("VAE + K-Means")
    (ari,) = [it["value"] for it in run.results if (it["row"], it["metric"]) == ("VAE + K-Means", "ari")]
    assert events.Scalars("ari")[0].value == pytest.approx(ari, abs=1e-6)
    history = run["vae.history"].table()
    for column in ("loss", "reconstruction", "kl"):
        scalars = events.Scalars(f"vae/{column}")
        assert [scalar.step for scalar in scalars] == history["epoch"].to_pylist()
        assert np.allclose([scalar.value for scalar in scalars], history[column].to_pylist())
        times = [scalar.wall_time for scalar in scalars]
        assert times == sorted(times) and times[0] < times[-1]
    assert "vae/loss" not in read("PCA + K-Means").Tags()["scalars"]


def test_the_figures_are_images(written):
    _, run, read = written
    events = read("figures")
    (tag,) = events.Tags()["images"]
    image = events.Images(tag)[0]
    png = (run.folder / "figures" / f"{tag}.png").read_bytes()
    assert image.encoded_image_string == png
    assert (image.width, image.height) == struct.unpack(">II", png[16:24])


def test_the_hyperparameters_are_those_of_the_plugin(written):
    _, _, read = written

    def data(name, tag):
        content = read(name).SummaryMetadata(tag).plugin_data
        assert content.plugin_name == "hparams"
        return plugin_data_pb2.HParamsPluginData.FromString(content.content)

    session = data("VAE + K-Means", "_hparams_/session_start_info").session_start_info
    assert session.hparams["row"].string_value == "VAE + K-Means"
    assert session.group_name == "VAE + K-Means"
    ended = data("VAE + K-Means", "_hparams_/session_end_info").session_end_info
    assert ended.end_time_secs > session.start_time_secs > 1.6e9
    experiment = data(".", "_hparams_/experiment").experiment
    assert experiment.name == "small"
    assert {"row", "seed"} <= {info.name for info in experiment.hparam_infos}
    assert "ari" in {info.name.tag for info in experiment.metric_infos}
