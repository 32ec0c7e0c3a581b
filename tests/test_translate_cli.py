"""``medgan translate``: what is said, where the results go, and the exit code."""

import json
import shutil
from dataclasses import replace
from datetime import datetime

import numpy as np
import pydicom
import pytest

from medgan.inference.translator import Translator
from medgan.io import read_volume, write_volume
from medgan.io.batch.manifest import now
from medgan.io.dicom.write import Identity, write_series
from medgan.phantoms.scan import scan_head
from medgan.volumes.geometry import reorient, same_grid


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """The MR of a phantom as a DICOM series, as of a patient."""
    folder = tmp_path_factory.mktemp("series") / "mr"
    head = scan_head(4, spacing_mm=(6.0, 6.0, 12.0), supersample=1)
    mr = replace(head.mr, synthetic=False)
    write_series(mr, folder, Identity(), created=datetime.fromisoformat(now()), seed="head")
    return folder


def test_a_study_becomes_a_synthetic_series_and_is_skipped_the_second_time(
    medgan_cli, tiny_run, series, tmp_path
):
    out, report = tmp_path / "out", tmp_path / "rows.json"
    code, shown, err = medgan_cli("translate", tiny_run, series, out, "--json", report)
    assert code == 0, err
    result = out / "synthetic_ct"
    assert shown.split() == ["translated", "."]
    (row,) = json.loads(report.read_text())["files"]
    assert (row["status"], row["output"], row["error"]) == ("translated", str(result), None)
    assert read_volume(result).shape == read_volume(series).shape
    code, shown, err = medgan_cli("translate", tiny_run, series, out)
    assert code == 0, err
    assert shown.startswith("skipped ")


def test_another_precision_is_another_result_and_is_said_beside_it(
    medgan_cli, tiny_run, series, tmp_path
):
    volumes, out = tmp_path / "in", tmp_path / "out"
    volumes.mkdir()
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(read_volume(series), volumes / name)
    found = {}
    for precision in ("fp32", "bf16"):
        arguments = ("translate", tiny_run, volumes, out, "--precision", precision)
        code, shown, err = medgan_cli(*arguments, *(["--jobs", 2] if precision == "bf16" else []))
        assert code == 0, err
        assert shown.count("translated") == 2
        record = json.loads((out / "b.nii.gz.qc.json").read_text())
        assert record["precision"] == precision
        found[precision] = read_volume(out / "b.nii.gz").array
        own = Translator.load(tiny_run, bf16=precision == "bf16")
        expected = own(read_volume(volumes / "b.nii.gz")).image.array
        np.testing.assert_allclose(found[precision], expected, atol=0.51)
    assert medgan_cli(*arguments)[1].count("skipped") == 2
    apart = np.abs(found["fp32"] - found["bf16"].astype(float))
    assert 0 < apart.mean() < 10


def test_a_batch_with_a_failure_ends_with_1_and_names_it(medgan_cli, tiny_run, series, tmp_path):
    shutil.copytree(series, tmp_path / "in" / "mr")
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"not an image")
    code, printed, err = medgan_cli(
        "translate", tiny_run, tmp_path / "in", tmp_path / "out", "--json", "-"
    )
    assert code == 1
    rows = json.loads(printed)["files"]
    assert [row["status"] for row in rows] == ["failed", "translated"]
    assert "medgan: broken.nii.gz: " in err
    assert "Traceback" not in err


def test_a_single_file_that_fails_ends_with_2(medgan_cli, tiny_run, series, tmp_path):
    one = series / "0001.dcm"
    arguments = ("translate", tiny_run, one, tmp_path / "out", "--direction", "backward")
    code, _, err = medgan_cli(*arguments)
    assert code == 2
    assert "the model reads another modality (measured MR, allowed CT)" in err


def test_a_synthetic_series_is_refused_unless_the_rule_asks_for_one(medgan_cli, tiny_run, tmp_path):
    head = scan_head(4, spacing_mm=(6.0, 6.0, 12.0), supersample=1)
    created = datetime.fromisoformat(now())
    write_series(head.mr, tmp_path / "mr", Identity(), created=created, seed="head")
    arguments = ("translate", tiny_run, tmp_path / "mr", tmp_path / "out", "--json", "-")
    code, printed, err = medgan_cli(*arguments)
    assert code == 1
    assert [row["status"] for row in json.loads(printed)["files"]] == ["failed"]
    assert "every series that fits is synthetic" in err and "synthetic=yes" in err
    code, printed, err = medgan_cli(*arguments, "--series", "synthetic=yes")
    assert code == 0, err
    words = pydicom.dcmread(tmp_path / "out" / "synthetic_ct" / "0001.dcm").DerivationDescription
    assert words.startswith("Synthetic CT made from synthetic MR by medgan")


def test_a_rule_that_is_not_understood_ends_with_2(medgan_cli, tiny_run, series, tmp_path):
    code, _, err = medgan_cli(
        "translate", tiny_run, series, tmp_path / "out", "--series", "colour=red"
    )
    assert code == 2
    assert "colour=red" in err
    assert not (tmp_path / "out").exists()


def test_what_is_odd_about_a_source_is_said(medgan_cli, tiny_run, tiny_scans, tmp_path):
    code, _, err = medgan_cli(
        "translate", tiny_run, tiny_scans / "ct_4.nii.gz", tmp_path / "ct.nii.gz"
    )
    assert code == 0
    assert "medgan: ct_4.nii.gz: modality: by its values this looks like CT" in err


@pytest.mark.parametrize("to", ["nifti", "dicom", "mha", "nrrd"])
def test_a_series_and_a_file_become_any_format(medgan_cli, tiny_run, series, tmp_path, to):
    shutil.copytree(series, tmp_path / "in" / "study" / "mr")
    write_volume(read_volume(series), tmp_path / "in" / "mr.nii.gz")
    code, printed, err = medgan_cli(
        "translate", tiny_run, tmp_path / "in", tmp_path / "out", "--to", to, "--json", "-"
    )
    assert code == 0, err
    of_file, of_series = (read_volume(row["output"]) for row in json.loads(printed)["files"])
    assert same_grid(reorient(of_file, "RAS"), reorient(of_series, "RAS"))
    difference = reorient(of_file, "RAS").array - reorient(of_series, "RAS").array.astype(float)
    assert abs(difference).max() <= 1


def test_evaluate_takes_series_as_it_takes_files(medgan_cli, series, tmp_path):
    head = scan_head(4, spacing_mm=(6.0, 6.0, 12.0), supersample=1)
    created = datetime.fromisoformat(now())
    truth = tmp_path / "ref" / "head"
    write_series(head.ct, truth, Identity(), created=created, seed="head")
    worse = head.ct.with_array(head.ct.array + 20)
    made = tmp_path / "pred" / "head"
    write_series(worse, made, Identity(), created=created, seed="head")
    for path in (truth, made):
        write_volume(read_volume(path), path.parent / "file.nii.gz")

    def cases(*arguments):
        code, printed, err = medgan_cli("evaluate", *arguments, "--json", "-")
        assert code == 0, err
        return [dict(case, case="") for case in json.loads(printed)["cases"]]

    files = cases(made.parent / "file.nii.gz", truth.parent / "file.nii.gz")
    assert cases(made, truth) == files
    assert cases(made, truth.parent / "file.nii.gz") == files
    assert cases(made.parent, truth.parent) == files * 2
    code, _, err = medgan_cli("evaluate", series, truth)
    assert code == 2
    assert "another modality" in err
