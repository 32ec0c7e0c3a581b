import os
import re
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="the extra notebooks is not installed")
nbclient = pytest.importorskip("nbclient", reason="the extra notebooks is not installed")
nbformat = pytest.importorskip("nbformat", reason="the extra notebooks is not installed")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
NAMES = [script.stem for script in SCRIPTS]


@pytest.fixture
def notebook(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_every_notebook_is_there_in_both_forms_and_listed():
    assert len(NAMES) == 6
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES
    listed = re.findall(
        r"\| \d\. .+: `notebooks/(\w+)\.ipynb`", (ROOT / "docs/notebooks.md").read_text()
    )
    assert sorted(listed) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_of_a_notebook_agree(name, notebook):
    script = jupytext.read(FOLDER / f"{name}.py")
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in script.cells
    ]
    tags = [cell.metadata.get("tags") for cell in notebook.cells]
    assert tags == [cell.metadata.get("tags") for cell in script.cells]
    assert tags.count(["parameters"]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_no_output_and_nothing_of_the_machine_it_was_written_on(name, notebook):
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags"}
    assert set(notebook.metadata) <= {"jupytext", "kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    text = (FOLDER / f"{name}.ipynb").read_text()
    assert not re.search(r"/home/|/root/|/tmp/|/work/|/Users/|[A-Z]:\\\\", text)
    assert "https://" not in text and "http://" not in text


@pytest.mark.parametrize("name", NAMES)
def test_links_of_a_notebook_lead_to_files(name, notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+)", cell.source):
                assert (FOLDER / target).is_file(), target


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_from_top_to_bottom(name, notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDGAN_SMOKE", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    # the backend of the other tests would let figures vanish
    monkeypatch.delenv("MPLBACKEND", raising=False)
    # no notebook may lean on real scans; what they draw goes where the test's files go
    monkeypatch.delenv("MEDGAN_DATA", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
