"""The verbs ``evaluate`` and ``report`` as a user meets them."""

import errno
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


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_target_that_cannot_be_written_is_refused_before_anything_is_read(
    option, capsys, tmp_path
):
    absent = str(tmp_path / "absent.nii.gz")
    for target, remedy in (
        (tmp_path / "no" / "q.out", "Create the folder first"),
        (tmp_path, "This is a folder"),
    ):
        code, _, err = run(capsys, "evaluate", absent, absent, option, str(target))
        assert code == 2
        assert remedy in err
    assert list(tmp_path.iterdir()) == []


def test_json_and_html_cannot_be_one_file(capsys, tmp_path):
    target = str(tmp_path / "q")
    code, _, err = run(capsys, "evaluate", "a.nii", "b.nii", "--json", target, "--html", target)
    assert code == 2
    assert "name the same file" in err


def test_neither_result_is_left_without_the_other(pair, capsys, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    targets = {"--html": tmp_path / "q.html", "--json": tmp_path / "q.json"}
    for failing in ("medgan.report.html.write_report", "medgan.cli.console.emit_json"):
        with monkeypatch.context() as patch:
            patch.setattr(failing, full)
            options = [str(part) for option in targets.items() for part in option]
            code, _, err = run(capsys, "evaluate", pair["prediction"], pair["reference"], *options)
        assert code == 2
        assert "Free some space" in err
        assert not any(target.exists() for target in targets.values())
        assert not list(tmp_path.glob(".*"))


@pytest.fixture
def models(tmp_path):
    """Two models on seven cases, the first better in every one; label maps of one class."""
    rng = np.random.default_rng(0)
    for name in ("first", "second", "ref", "labels"):
        (tmp_path / name).mkdir()
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    axes = np.meshgrid(*(np.linspace(-1, 1, 20),) * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    for case in range(7):
        ct = np.select([radius < 0.6, radius < 0.75], [40.0, 900.0], -1000.0)
        error = rng.normal(0, 40, ct.shape)
        for name, array in (
            ("first", ct + error),
            ("second", ct + (case + 2) * error),
            ("ref", ct),
        ):
            volume = Volume(np.round(array).astype(np.int16), affine, "CT")
            write_volume(volume, tmp_path / name / f"{case}.nii.gz")
        labels = (radius < 0.6).astype(np.uint8)
        write_volume(Volume(labels, affine, "LABEL"), tmp_path / "labels" / f"{case}.nii.gz")
    return tmp_path


def test_two_models_are_compared_in_table_json_and_report(models, capsys):
    page, results = models / "q.html", models / "q.json"
    code, out, _ = run(
        capsys, "evaluate", str(models / "first"), str(models / "ref"),
        "--against", str(models / "second"), "--json", str(results), "--html", str(page),
        "--labels", str(models / "labels"), str(models / "labels"),
    )  # fmt: skip
    assert code == 0
    document = json.loads(results.read_text())
    compared = document["comparison"]["mae"]
    assert (compared["cases"], compared["first_better"]) == (7, 7)
    assert compared["wilcoxon_p"] == pytest.approx(2 / 2**7)
    assert compared["interval"]["high"] < 0
    assert document["aggregates"]["dice"]["mean"] == 1
    assert document["against"]["aggregates"]["mae"]["count"] == 7
    definition = {
        name: document[name] for name in ("protocol", "range", "unit", "mask_rule", "averaging")
    }
    for part in (document, document["against"]):
        for section in (part["aggregates"], part["intervals"], document["comparison"]):
            assert all(row | definition == row for name, row in section.items()
                       if name in document["comparison"])  # fmt: skip
    # No range and no mask has a part in the overlap of label maps.
    assert document["aggregates"]["dice"]["range"] is None
    assert document["aggregates"]["dice"]["mask_rule"] == "none: whole label maps"
    for text in (out, page.read_text()):
        assert "mae (lower is better)" in text
        assert "other model" in text
        assert "Wilcoxon" in text


def test_too_few_cases_for_a_test_are_said_to_be(pair, capsys):
    code, out, _ = run(
        capsys, "evaluate", pair["prediction"], pair["reference"], "--against", pair["reference"]
    )
    assert code == 0
    assert "where there is no interval: fewer than 6 cases" in " ".join(out.split())


def test_a_label_map_as_mask_is_refused(models, pair, capsys, tmp_path):
    labels = np.arange(24**3).reshape(24, 24, 24) % 4
    path = tmp_path / "organs.nii.gz"
    write_volume(Volume(labels.astype(np.uint8), np.diag([4.0, 4.0, 4.0, 1.0]), "LABEL"), path)
    code, _, err = run(
        capsys, "evaluate", pair["prediction"], pair["reference"], "--mask", str(path)
    )
    assert code == 2
    assert "organs.nii.gz" in err
    assert "3 values besides 0" in err
    assert "--labels" in err


def test_empty_masks_and_label_maps_are_named(pair, capsys, tmp_path):
    path = tmp_path / "nothing.nii.gz"
    empty = Volume(np.zeros((24, 24, 24), np.uint8), np.diag([4.0, 4.0, 4.0, 1.0]), "LABEL")
    write_volume(empty, path)
    for options in (("--mask", path), ("--labels", path, path)):
        code, _, err = run(
            capsys, "evaluate", pair["prediction"], pair["reference"], *map(str, options)
        )
        assert code == 2
        assert "nothing.nii.gz" in err


def scored(pair, capsys, **changed):
    """The document and standard error for the pair with other values in some of its files."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    options = changed.pop("options", [])
    for name, array in changed.items():
        write_volume(Volume(array, affine, "CT"), pair[name])
    code, out, err = run(
        capsys, "evaluate", pair["prediction"], pair["reference"], *options, "--json", "-"
    )
    assert code == 0, err
    return json.loads(out), err


def test_values_that_are_no_ct_are_measured_with_a_warning(pair, capsys):
    assert scored(pair, capsys)[0]["warnings"] == []
    scaled = np.linspace(-1, 1, 24**3, dtype=np.float32).reshape(24, 24, 24)
    document, err = scored(pair, capsys, prediction=scaled)
    assert "the prediction spans 2 HU" in document["warnings"][0]
    assert document["warnings"][0] in err
    document, _ = scored(pair, capsys, prediction=np.full((24, 24, 24), 40, np.int16))
    assert document["warnings"] == ["case 1: the prediction is constant (40)"]


def test_ct_measured_as_mr_is_noted(pair, capsys):
    document, err = scored(pair, capsys, options=["--protocol", "mr-normalised"])
    assert sum("that is CT, measured as MR" in text for text in document["warnings"]) == 2
    assert "that is CT, measured as MR" in err


def test_a_tiny_mask_is_noted(pair, capsys, tmp_path):
    mask = np.zeros((24, 24, 24), np.uint8)
    mask[8:18, 8:18, 8:17] = 1
    path = tmp_path / "mask.nii.gz"
    for last_slice, warnings in ((0, ["case 1: the mask has 900 voxels, fewer than 1000"]),
                                 (1, [])):  # fmt: skip
        mask[8:18, 8:18, 17] = last_slice
        write_volume(Volume(mask, np.diag([4.0, 4.0, 4.0, 1.0]), "LABEL"), path)
        document, _ = scored(pair, capsys, options=["--mask", str(path)])
        assert document["warnings"] == warnings


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
