"""FID, KID and FROC as they are measured: the right values of the right amount of work."""

import csv
import json
from pathlib import Path

import pytest

from medgan.metrics.distribution import fid, squared_mmd
from medgan.recipes import froc_speed
from medgan.recipes.distribution_speed import Setup, fid_by_square_root


@pytest.mark.parametrize("features", [8, 30])
def test_both_ways_to_fid_agree(features: int) -> None:
    """With more images than features; with fewer the square root is of a singular matrix."""
    a, b = Setup(60, features).sets()
    assert a.shape == b.shape == (60, features)
    assert fid_by_square_root(a, b) == pytest.approx(fid(a, b), rel=1e-9)


def test_the_verb_reports_fid_and_kid(medgan_cli, tmp_path: Path) -> None:
    report = tmp_path / "fid.json"
    options = ("--images", 40, "--features", 6, "--rounds", 2, "--json", report)
    code, _, _ = medgan_cli("benchmark", "fid", *options)
    assert code == 0
    found = json.loads(report.read_text())
    sets = Setup(40, 6).sets()
    assert found["fid"] == pytest.approx(fid(*sets))
    assert found["kid"] == pytest.approx(squared_mmd(*sets))
    assert found["relative_difference"] < 1e-9
    assert found["ratio"] == pytest.approx(found["seconds_sqrtm"] / found["seconds_fid"])
    assert found["peak_memory_mb"] > 10


def test_findings_are_as_many_as_in_luna16_in_proportion(tmp_path: Path) -> None:
    setup = froc_speed.Setup(scans=222, marks=20, resamples=0)
    files = froc_speed.write_files(tmp_path, setup)
    rows = {}
    for name in ("annotations", "excluded", "results"):
        with files[name].open() as file:
            rows[name] = len(list(csv.reader(file))) - 1
    assert rows == {"annotations": round(1186 / 4), "excluded": 35192 / 4, "results": 222 * 20}
    assert len(files["seriesuids"].read_text().splitlines()) == 222


def test_the_verb_reports_an_evaluation(medgan_cli, tmp_path: Path) -> None:
    report = tmp_path / "froc.json"
    options = ("--scans", 12, "--marks", 10, "--resamples", 5, "--rounds", 1, "--json", report)
    code, _, _ = medgan_cli("benchmark", "froc", *options)
    assert code == 0
    found = json.loads(report.read_text())
    setup = froc_speed.Setup(12, 10, 5)
    document = froc_speed.evaluate(froc_speed.write_files(tmp_path, setup), setup)
    assert (found["nodules"], found["excluded"]) == (16, 476)
    assert (found["cpm"], found["cpm_ci"]) == (document["cpm"], document["cpm_ci"])
    assert document["bootstrap"]["replicates"] == 5
    assert min(found["seconds_judging"], found["seconds"]) > 0
