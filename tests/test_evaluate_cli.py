"""The verbs ``evaluate`` and ``report`` as a user meets them."""

import json

import numpy as np
import pytest

from medgan.cli.main import main
from medgan.io import write_volume
from medgan.metrics.protocols import PROTOCOLS
from medgan.volumes.volume import Volume


@pytest.fixture
def pair(tmp_path):
    axes = np.meshgrid(*(np.linspace(-1, 1, 24),) * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    ct = np.select([radius < 0.6, radius < 0.75], [40, 900], -1000).astype(np.int16)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("prediction", "reference", "source")}
    write_volume(Volume(ct + np.int16(30), affine, "CT"), paths["prediction"])
    write_volume(Volume(ct, affine, "CT"), paths["reference"])
    write_volume(Volume(np.maximum(0, 500 - np.abs(ct)), affine, "MR"), paths["source"])
    return {name: str(path) for name, path in paths.items()}


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    captured = capsys.readouterr()
    return stopped.value.code or 0, captured.out, captured.err


def test_a_pair_is_measured_and_shown_with_its_definition(pair, capsys):
    code, out, _ = run(capsys, "evaluate", pair["prediction"], pair["reference"])
    assert code == 0
    assert "synthrad2023" in out
    assert "body mask of the reference" in out
    assert "30" in out


def test_json_on_standard_output_is_nothing_but_json(pair, capsys):
    code, out, err = run(
        capsys, "evaluate", pair["prediction"], pair["reference"], "--json", "-",
        "--source", pair["source"],
    )  # fmt: skip
    document = json.loads(out)
    assert code == 0
    assert document["cases"][0]["mae"] == pytest.approx(30)
    assert set(document["floors"]) == {"constant", "lookup_table"}
    assert "look-up table" in err


def test_json_and_html_files_are_written(pair, capsys, tmp_path):
    code, _, _ = run(
        capsys, "evaluate", pair["prediction"], pair["reference"], "--source", pair["source"],
        "--json", str(tmp_path / "q.json"), "--html", str(tmp_path / "q.html"),
    )  # fmt: skip
    assert code == 0
    document = json.loads((tmp_path / "q.json").read_text())
    assert document["protocol"] == "synthrad2023"
    page = (tmp_path / "q.html").read_text()
    assert "Research use only" in page
    assert "data:image/png" in page
    assert "floor: best constant" in page


def test_a_report_does_not_show_the_names_of_files(pair, capsys, tmp_path):
    folders = {name: tmp_path / f"set_{name}" for name in ("prediction", "reference")}
    for name, folder in folders.items():
        folder.mkdir()
        (tmp_path / f"{name}.nii.gz").rename(folder / "DOE_JANE.nii.gz")
    page = tmp_path / "q.html"
    arguments = [str(folder) for folder in folders.values()]
    assert run(capsys, "evaluate", *arguments, "--html", str(page))[0] == 0
    assert "DOE_JANE" not in page.read_text()


def test_user_errors_end_with_code_two_and_one_message(pair, capsys, tmp_path):
    missing = str(tmp_path / "absent.nii")
    for arguments in (
        ("evaluate", missing, pair["reference"]),
        ("evaluate", pair["prediction"], pair["reference"], "--protocol", "psnr2020"),
        ("report", str(tmp_path)),
    ):
        code, _, err = run(capsys, *arguments)
        assert code == 2
        assert err.startswith("medgan: ")
        assert "Traceback" not in err


def test_help_names_every_protocol_and_an_example(capsys):
    code, out, _ = run(capsys, "evaluate", "--help")
    assert code == 0
    assert "Example: medgan evaluate" in out
    assert all(name in out for name in PROTOCOLS)


def test_runs_are_reported_in_the_first_folder_or_where_asked(capsys, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"name: {name}\n")
    runs = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert run(capsys, "report", *runs)[0] == 0
    page = (tmp_path / "one" / "report.html").read_text()
    assert "one" in page
    assert "two" in page
    assert run(capsys, "report", *runs, "--out", str(tmp_path / "both.html"))[0] == 0
    assert (tmp_path / "both.html").is_file()
