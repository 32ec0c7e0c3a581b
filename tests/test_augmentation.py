"""An augmentation experiment in earnest, tiny: made, trained, marked, reported, gone on with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from augmentations import TINY, configured
from detection_phantoms import make_chest

from medgan.data.luna16 import Luna16
from medgan.errors import DataError, TrainingError
from medgan.io import read_volume, write_volume
from medgan.io.luna16 import Row, write_rows
from medgan.metrics.luna16 import evaluate_detections
from medgan.recipes import augmentation, augmentation_run, augmentation_script, trainings
from medgan.recipes.augmentation_config import SourceConfig
from medgan.recipes.augmentation_material import Truth, prepare_material
from medgan.recipes.augmentation_plan import lesson, runs
from medgan.recipes.augmentation_sources import prepare_source
from medgan.recipes.augmentation_synthesis import source_hash

ROOT = Path(__file__).parents[1]
ONE_SEED = {"seeds": [0]}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """No workers: to start one takes seconds."""
    monkeypatch.setattr(
        trainings, "map_in_workers", lambda function, items, *_: map(function, items)
    )


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Folder and document."""
    out = tmp_path_factory.mktemp("experiment") / "tiny"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings, "map_in_workers", lambda function, items, *_: map(function, items))
        found = augmentation.run_experiment(configured(**ONE_SEED), out)
    torch.set_num_threads(threads)
    return out, found


def test_every_arm_at_every_share_has_a_row(experiment):
    _, found = experiment
    rows = {(row["arm"], row["share"]): row for row in found["rows"]}
    assert list(rows) == [
        ("real", 1), ("real", 0.5), ("classic", 1), ("oversampled", 1), ("oracle", 1),
        ("oracle", 0.5), ("oracle_alone", 1), ("noise", 1),
    ]  # fmt: skip
    scans = {key: row["train_scans"] for key, row in rows.items()}
    assert (scans["real", 1], scans["real", 0.5], scans["oversampled", 1]) == (2, 1, 6)
    assert (scans["oracle", 1], scans["oracle", 0.5]) == (4, 2)
    assert (scans["oracle_alone", 1], scans["noise", 1]) == (2, 3)
    assert rows["oracle_alone", 1]["train_nodules"] == 2 * 5
    assert found["trainings"] == {"planned": 8, "finished": 8}
    assert {row["steps"][0] for row in found["rows"]} == {8}
    assert found["failures"] == found["problems"] == []


def test_the_numbers_are_those_of_the_marks_by_hand(experiment):
    out, found = experiment
    truth = Truth.of(out, "test")
    for run in found["runs"]:
        by_hand = evaluate_detections(
            out / run["marks"],
            annotations=out / "scans/test/annotations.csv",
            excluded=out / "scans/test/annotations_excluded.csv",
            seriesuids=truth.seriesuids,
            threshold=run["threshold"],
            bootstrap=0,
        )
        assert run["cpm"] == pytest.approx(by_hand["cpm"])
        assert run["fppi"] == pytest.approx(by_hand["operating_point"]["fppi"])
        assert by_hand["marks"]["given"] > 0


def test_distances_of_the_sources_stand_beside_their_floors(experiment):
    _, found = experiment
    oracle, noise = found["sources"]
    full, masked = (oracle["distances"][region] for region in ("full", "masked"))
    assert full["n_compared"] >= 10
    assert masked["n_fake"] == oracle["inserted"] == 10
    assert masked["floor_fid"] > 0
    assert oracle["distances"]["features"]["name"] == "efficientnet-lite0"
    assert "too few images" in noise["distances"]["masked"]["refused"]


def test_images_and_detection_of_an_arm_stand_in_one_row_of_the_report_and_the_document(experiment):
    out, found = experiment
    assert json.loads((out / "experiment.json").read_text())["published"] == found["published"]
    # why a place is empty
    assert "No masked-region FID of Noise: too few images" in (out / "report.html").read_text()
    arms = [row["label"] for row in found["rows"]]
    assert [row["arm"] for row in found["published"]] == arms
    row = next(row for row in found["published"] if row["arm"] == "Oracle alone")
    full = found["sources"][0]["distances"]["full"]
    assert (row["full"]["fid"], row["full"]["n"]) == (full["fid"], full["n_compared"])
    assert row["full"]["fid_ci"] == [full["fid_low"], full["fid_high"]]
    assert full["splits"] == 40
    detected = next(row for row in found["rows"] if row["arm"] == "oracle_alone")
    for name in ("precision", "precision_ci", "slice_precision", "slice_precision_ci"):
        assert row[name] == detected[name]
    page = (out / "report.html").read_text()
    assert "full-image FID (efficientnet-lite0)" in page
    assert "precision (2-D boxes, IoU 0.5)" in page


def test_what_is_finished_is_only_read(experiment):
    out, found = experiment
    files = [path for path in out.rglob("*") if path.is_file() and "runs" in path.parts]
    before = {path: path.stat().st_mtime_ns for path in files}
    lines = []
    again = augmentation.run_experiment(configured(**ONE_SEED), out, on_event=lines.append)
    assert again == found
    assert not any(line.startswith("[") for line in lines)
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_a_run_that_was_interrupted_goes_on_and_marks_the_same(experiment):
    out, found = experiment
    planned = next(run for run in runs(configured(**ONE_SEED), out) if run.arm.name == "noise")
    files = planned.files
    marks = files.marks("test").read_bytes()
    for path in (files.result, files.marks("test"), files.diameters("test")):
        path.unlink()
    state = files.detector / "checkpoints/last/state.safetensors"
    state.unlink()  # the training was killed before its first checkpoint
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    again = augmentation.run_experiment(configured(**ONE_SEED), out)
    torch.set_num_threads(threads)
    assert files.marks("test").read_bytes() == marks
    assert [row["cpm"] for row in again["rows"]] == [row["cpm"] for row in found["rows"]]


def test_another_experiment_in_the_folder_is_refused(experiment):
    out, _ = experiment
    other = TINY["phantoms"] | {"test": {"scans": 3, "nodules": 12}}
    with pytest.raises(TrainingError, match="other scans"):
        augmentation.run_experiment(configured(**ONE_SEED, phantoms=other), out)
    detector = TINY["detector"] | {"network": {"width": 8}}
    with pytest.raises(TrainingError, match="other network"):
        augmentation.run_experiment(configured(**ONE_SEED, detector=detector), out)
    sources = [TINY["sources"][0] | {"nodules": 4}, TINY["sources"][1]]
    with pytest.raises(TrainingError, match="made with other settings"):
        augmentation.run_experiment(configured(**ONE_SEED, sources=sources), out)


def test_a_share_holds_the_smaller_ones_and_synthetic_scans_stay_within_it(experiment):
    out, _ = experiment
    config = configured(**ONE_SEED)
    material = prepare_material(config, out)
    sources = {
        name: prepare_source(config.source(name), config, material, out)
        for name in ("oracle", "noise")
    }
    half, whole = material.part(0.5, 7), material.part(1.0, 7)
    assert len(half) == 1
    assert set(half) < set(whole)
    run = next(run for run in runs(config, out) if run.arm.name == "oracle" and run.share == 0.5)
    taken = lesson(run, material, sources).train
    origin = next(one.origin for one in sources["oracle"].scans if one.scan == taken[1])
    assert origin == taken[0].uid
    held_out = {scan.uid for name in ("validation", "test") for scan in material.groups[name]}
    assert not held_out & {scan.uid for scan in taken}


def test_synthetic_alone_has_new_nodules_to_find_and_ignores_the_real_ones(experiment):
    out, _ = experiment
    config = configured(**ONE_SEED)
    material = prepare_material(config, out)
    source = prepare_source(config.source("oracle"), config, material, out)
    for one in source.scans:
        real = next(scan for scan in material.groups["train"] if scan.uid == one.origin)
        assert one.scan.nodules == (*real.nodules, *one.inserted)
        alone = one.alone()
        assert alone.nodules == one.inserted
        assert alone.excluded == (*real.excluded, *real.nodules)


def folder_of_copies(experiment, folder, group):
    """A folder as other programs might make it: the scans of a group under other UIDs."""
    out, _ = experiment
    scans = Luna16.open(out / "scans" / group).scans
    (folder / "subset0").mkdir(parents=True)
    rows, lines = [], ["seriesuid,source_sha256,action,coordX,coordY,coordZ,diameter_mm"]
    for number, scan in enumerate(scans):
        uid = f"1.2.3.{number}"
        for suffix in (".mhd", ".zraw"):
            content = scan.path.with_suffix(suffix).read_bytes()
            content = content.replace(scan.uid.encode(), uid.encode())
            (folder / "subset0" / f"{uid}{suffix}").write_bytes(content)
        rows += [Row(uid, nodule.position_mm, nodule.diameter_mm) for nodule in scan.nodules]
        place = ",".join(map(repr, scan.nodules[0].position_mm))
        lines.append(f"{uid},{source_hash(scan.uid)},inserted,{place},5")
    write_rows(folder / "annotations.csv", rows, "diameter_mm")
    (folder / "provenance.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_folder_made_elsewhere_is_a_source_unless_it_knows_test_scans(experiment, tmp_path):
    out, _ = experiment
    config = configured(**ONE_SEED)
    material = prepare_material(config, out)

    def source(path):
        return SourceConfig(name="mine", label="Mine", kind="folder", path=path)

    good = folder_of_copies(experiment, tmp_path / "good", "train")
    found = prepare_source(source(good), config, material, out)
    assert [one.origin for one in found.scans] == [s.uid for s in material.groups["train"]]
    assert [len(one.inserted) for one in found.scans] == [1, 1]
    bad = folder_of_copies(experiment, tmp_path / "bad", "test")
    with pytest.raises(DataError, match="must not be learnt from"):
        prepare_source(source(bad), config, material, out)
    (good / "provenance.csv").unlink()
    unknown = prepare_source(source(good), config, material, out)
    assert all(one.origin is None and one.inserted == one.scan.nodules for one in unknown.scans)


@pytest.fixture
def broken_luna(tmp_path):
    """Three folds of schematic chests, four scans of which cannot be used."""
    root, chests = tmp_path / "luna", []
    for fold, seeds in enumerate(((0, 1, 2, 3, 4), (5,), (6, 7))):
        folder = root / f"subset{fold}"
        folder.mkdir(parents=True)
        masks = root / "seg-lungs"
        masks.mkdir(exist_ok=True)
        chests += [make_chest(folder, seed, masks=masks, mask_suffix=".mhd") for seed in seeds]
    missing, empty, off, twice = chests[1].path, chests[2], chests[3], chests[4].path
    missing.with_suffix(".zraw").unlink()
    lungs = read_volume(empty.lung_mask, modality="LABEL")
    write_volume(lungs.with_array(lungs.array * 0), empty.lung_mask)
    for suffix in (".mhd", ".zraw"):
        copy = root / "subset2" / twice.with_suffix(suffix).name
        copy.write_bytes(twice.with_suffix(suffix).read_bytes())
    rows = [Row(c.uid, n.position_mm, n.diameter_mm) for c in chests for n in c.nodules]
    rows.append(Row(off.uid, (5000.0, 0.0, 0.0), 6.0))
    write_rows(root / "annotations.csv", rows, "diameter_mm")
    return root, [chests[index].uid for index in (1, 2, 3, 4)]


def test_scans_that_cannot_be_used_are_named_and_the_rest_goes_on(broken_luna, tmp_path, capsys):
    root, bad = broken_luna
    document = {
        **TINY, "name": "folds", "seeds": [0], "phantoms": None, "sources": [], "images": None,
        "luna16": {"root": str(root), "train": [0], "validation": [1], "test": [2]},
        "arms": [{"name": "real", "label": "Real"}], "bootstrap": 0,
    }  # fmt: skip
    path, out = tmp_path / "folds.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(document))
    assert augmentation_script.main("Measure.", [str(path), "--out", str(out)]) == 1
    shown, errors = capsys.readouterr()
    found = json.loads((out / "experiment.json").read_text())
    assert found["definition"]["scans"] == {"train": 1, "validation": 1, "test": 2}
    faults = {problem["uid"]: problem["what"] for problem in found["problems"]}
    assert set(faults) == set(bad)
    for uid, word in zip(
        bad, ("data file", "lungs", "off the scan", "more than once"), strict=True
    ):
        assert word in faults[uid]
        assert faults[uid] in errors
    assert found["trainings"]["finished"] == 1
    assert "[1/1] real at 100 %, seed 0: 1 scan" in shown
    assert "precision (LUNA16 hits)" in shown
    assert (out / "report.html").exists()


def test_a_training_that_fails_does_not_stop_the_others(experiment, tmp_path, monkeypatch, capsys):
    train_and_mark = augmentation_run.train_and_mark

    def failing(one):
        if one.run.arm.name == "classic":
            raise TrainingError("diverged: the gradient is not finite")
        return train_and_mark(one)

    monkeypatch.setattr(augmentation_run, "train_and_mark", failing)
    out, _ = experiment
    (tmp_path / "scans").symlink_to(out / "scans")
    arms = [arm | {"shares": [1]} for arm in TINY["arms"][:2]]
    document = TINY | {"arms": arms, "sources": [], "seeds": [0]}
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(document))
    arguments = [str(path), "--out", str(tmp_path), "--only", "real", "classic", "bootstrap=10"]
    assert augmentation_script.main("Measure.", arguments) == 1
    assert "classic failed: diverged" in capsys.readouterr().err
    found = json.loads((tmp_path / "experiment.json").read_text())
    assert [row["arm"] for row in found["rows"]] == ["real"]
    assert found["definition"]["bootstrap"]["replicates"] == 10


def test_the_pipeline_refuses_an_absent_configuration_with_one_message():
    script = [sys.executable, str(ROOT / "pipelines" / "luna16_augmentation.py"), "absent.yaml"]
    absent = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert absent.returncode == 2
    assert absent.stderr.startswith("medgan: ")
