"""Folders of synthetic scans: rows, lungs, provenance, resuming; and the verb that makes them."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
from luna16_folders import TINY_NODULES, trained, two_chests

from medgan.data.luna16 import Luna16
from medgan.data.nodule_shapes import DENSITIES
from medgan.errors import ConfigError, OutputError
from medgan.inference.luna16_writing import insert_into_scans, remove_from_scans
from medgan.inference.nodule_plan import InsertionPlan, planned_shape
from medgan.inference.nodules import NoduleInserter
from medgan.io import read_volume
from medgan.io.luna16 import contains, read_rows, read_uids, to_index

PLAN = InsertionPlan(2, (5, 9), on_wall=0, seed=3)


@pytest.fixture(scope="module")
def luna(tmp_path_factory):
    return two_chests(tmp_path_factory.mktemp("luna"), nodules=2)


@pytest.fixture(scope="module")
def run(luna, tmp_path_factory):
    data = {"nodules": {"roots": [str(luna)], "healthy": 2}}
    return trained(tmp_path_factory.mktemp("run"), TINY_NODULES, data)


@pytest.fixture(scope="module")
def made(run, luna, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    scans = Luna16.open(luna).scans
    return out, insert_into_scans(NoduleInserter.load(run), scans, out, PLAN)


def test_the_training_is_judged_on_phantoms_of_both_ends(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scores = next(line for line in lines if "validation_score" in line)
    inside = (scores["validation_insert_mae_hu"] + scores["validation_remove_mae_hu"]) / 2
    assert scores["validation_score"] == pytest.approx(inside + scores["validation_outside_mae_hu"])
    assert list((run / "previews").glob("*.png"))


def test_a_synthetic_scan_has_a_uid_of_its_own_in_the_subset_of_its_source(luna, made):
    out, outcome = made
    sources, results = Luna16.open(luna).scans, Luna16.open(out).scans
    assert not {scan.uid for scan in sources} & {scan.uid for scan in results}
    assert [scan.subset for scan in results] == [0, 1]
    assert read_uids(out / "seriesuids.csv") == tuple(scan.uid for scan in outcome.made)
    assert not outcome.failures
    for scan in results:
        assert "Synthetic = YES" in scan.path.read_text()
        assert scan.read().synthetic


def test_findings_and_lungs_are_carried_over_and_new_rows_added(luna, made):
    out, _ = made
    for source, result in zip(Luna16.open(luna).scans, Luna16.open(out).scans, strict=True):
        assert result.nodules[:2] == source.nodules
        assert len(result.nodules) == 4
        assert result.excluded == source.excluded
        assert np.array_equal(result.lungs().array, source.lungs().array)
        lungs = result.lungs()
        for nodule in result.nodules[2:]:
            assert contains(lungs, nodule.position_mm)
            assert lungs.array[tuple(np.rint(to_index(lungs, nodule.position_mm)).astype(int))]
            assert 4 < nodule.diameter_mm < 10


def test_far_from_the_new_nodules_a_scan_is_its_source(luna, made):
    out, _ = made
    for source, result in zip(Luna16.open(luna).scans, Luna16.open(out).scans, strict=True):
        old, new = source.read(), result.read()
        index = np.indices(old.shape).reshape(3, -1).T
        near = np.zeros(len(index), bool)
        for nodule in result.nodules[2:]:
            offset = (index - to_index(old, nodule.position_mm)) * old.spacing_mm
            near |= np.linalg.norm(offset, axis=1) < 1.5 * nodule.radius_mm + 6
        near = near.reshape(old.shape)
        assert np.array_equal(old.array[~near], new.array[~near])
        assert (old.array[near] != new.array[near]).any()


def test_the_provenance_says_where_every_nodule_comes_from(run, made):
    out, outcome = made
    rows = list(csv.DictReader((out / "provenance.csv").open()))
    assert len(rows) == sum(len(scan.changed) for scan in outcome.made) == 4
    annotated = {(r.uid, *r.position_mm) for r in read_rows(out / "annotations.csv", "diameter_mm")}
    for row in rows:
        place = tuple(float(row[f"coord{axis}"]) for axis in "XYZ")
        assert (row["seriesuid"], *place) in annotated
        assert row["model_sha256"] == NoduleInserter.load(run).model.sha256
        assert (row["synthetic"], row["action"], row["on_wall"]) == ("YES", "inserted", "NO")
        shape = planned_shape(float(row["drawn_mm"]), row["density"], int(row["shape_seed"]))
        assert shape.diameter_mm == pytest.approx(float(row["diameter_mm"]), rel=0.2)


def test_what_stands_is_not_made_again_and_what_was_lost_is_made_the_same(run, luna, made):
    out, outcome = made
    scans = Luna16.open(luna).scans
    first, second = outcome.made
    paths = {scan.uid: out / f"subset{scan.subset}" / f"{scan.uid}.mhd" for scan in outcome.made}
    lost = read_volume(paths[first.uid]).array
    os.utime(paths[second.uid], (1, 1))
    (out / "made" / f"{first.uid}.json").unlink()
    paths[first.uid].unlink()
    again = insert_into_scans(NoduleInserter.load(run), scans, out, PLAN)
    assert again == outcome
    assert np.array_equal(read_volume(paths[first.uid]).array, lost)
    assert paths[second.uid].stat().st_mtime == 1


def test_another_plan_makes_other_scans_and_the_same_plan_the_same(run, luna, made, tmp_path):
    _, outcome = made
    scan = Luna16.open(luna).scans[:1]
    same = insert_into_scans(NoduleInserter.load(run), scan, tmp_path, PLAN)
    assert same.made[0] in outcome.made
    other = InsertionPlan(2, (5, 9), on_wall=0, seed=4)
    both = insert_into_scans(NoduleInserter.load(run), scan, tmp_path, other)
    assert len(both.made) == 2


def test_a_folder_of_others_is_left_alone(run, luna, tmp_path):
    (tmp_path / "annotations.csv").write_text("theirs")
    with pytest.raises(OutputError, match="medgan did not write"):
        insert_into_scans(NoduleInserter.load(run), Luna16.open(luna).scans, tmp_path, PLAN)
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.csv"]


def test_removed_nodules_leave_the_table(run, luna, tmp_path):
    outcome = remove_from_scans(NoduleInserter.load(run), Luna16.open(luna).scans, tmp_path)
    assert [scan.nodules for scan in outcome.made] == [(), ()]
    result = Luna16.open(tmp_path)
    assert not any(scan.nodules for scan in result.scans)
    assert all(scan.read().synthetic for scan in result.scans)


@pytest.mark.parametrize("density", [None, *DENSITIES])
def test_the_verb_inserts_and_names_what_failed(run, luna, tmp_path, medgan_cli, density):
    scans = tmp_path / "luna"
    shutil.copytree(luna, scans)
    data = next((scans / "subset1").glob("*.zraw"))
    data.write_bytes(data.read_bytes()[:500])
    wanted = () if density is None else ("--density", density)
    code, out, _ = medgan_cli(
        "nodules", "insert", run, scans, tmp_path / "out", "--per-scan", 1, "--diameter", 5, 8,
        *wanted, "--json", "-",
    )  # fmt: skip
    document = json.loads(out)
    assert code == 1
    assert (document["scans"], document["nodules"]) == (1, 1)
    assert [problem["uid"] for problem in document["problems"]] == [data.stem]
    rows = list(csv.DictReader((tmp_path / "out" / "provenance.csv").open()))
    assert density in (None, rows[0]["density"])


def test_the_verb_removes(run, luna, tmp_path, medgan_cli):
    code, out, _ = medgan_cli(
        "nodules", "remove", run, luna, tmp_path / "out", "--subsets", "1", "--json", "-"
    )
    assert code == 0
    assert (json.loads(out)["scans"], json.loads(out)["nodules"]) == (1, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--diameter", 9, 5), "diameters_mm"),
        (("--diameter", 5, 40), "3 to 30"),
        (("--subsets", "one"), "subsets are numbers"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(run, luna, tmp_path, medgan_cli, options, said):
    code, _, err = medgan_cli("nodules", "insert", run, luna, tmp_path / "out", *options)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_results_do_not_lie_among_the_scans(run, luna, medgan_cli):
    code, _, err = medgan_cli("nodules", "insert", run, luna, luna / "new")
    assert code == 2
    assert "among the scans" in err


def test_a_plan_out_of_range_is_refused():
    for wrong in ({"per_scan": 0}, {"on_wall": 2.0}, {"diameters_mm": (1.0, 5.0)}):
        with pytest.raises(ConfigError, match="out of range"):
            InsertionPlan(**wrong)
