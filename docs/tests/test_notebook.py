"""The notebook of the documentation runs from its first cell to its last."""

from pathlib import Path

import engine_runs
import pytest
from engine_runs import find_binary
from pages import DOCS

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


def test_the_notebook_runs(tmp_path, monkeypatch):
    # The kernel is this Python, with the same reader.
    monkeypatch.setenv("ENGINE_BINARY", str(Path(find_binary()).resolve()))
    monkeypatch.setenv("PYTHONPATH", str(Path(engine_runs.__file__).parent.parent))
    notebook = nbformat.read(DOCS / "reading-runs.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept in the repository"
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/svg+xml" in output.get("data", {}) for output in shown)
    assert any("text/html" in output.get("data", {}) for output in shown)
