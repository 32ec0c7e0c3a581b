"""Training: that it learns, goes on bit for bit, and keeps what must be known of a model."""

import json

import numpy as np
import pytest
import torch
from detection_phantoms import make_chest
from safetensors.numpy import load_file

from medgan.data.luna16_scan import Luna16Scan
from medgan.detection import Detector, DetectorConfig, resume_detector, train_detector
from medgan.detection.detector import FILE_NAME
from medgan.detection.scans import prepare_scans
from medgan.detection.training import learning_rate
from medgan.detection.validation import false_positives, score
from medgan.errors import DataError, ModelError, OutputError, TrainingError
from medgan.volumes import Volume

STEPS = 9


@pytest.fixture(scope="module")
def chests(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chests")
    return [make_chest(folder, seed, flipped=seed % 2 == 1) for seed in range(4)]


def tiny(**training) -> DetectorConfig:
    return DetectorConfig.model_validate(
        {
            "input": {"spacing_mm": 2.0},
            "network": {"width": 4},
            "sampling": {"patch": 32, "mine_every": 3, "mine_scans": 1, "mine_marks": 4},
            "prediction": {"threshold": 0.0},
            "training": {
                "steps": STEPS, "batch": 2, "validate_every": 4, "checkpoint_every": 2,
                "log_every": 1, **training,
            },
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(chests, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "whole"
    return train_detector(chests[:3], tiny(), out, validation=chests[3:])


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [4, 7])
def test_a_run_that_was_stopped_ends_like_an_uninterrupted_one(run, chests, tmp_path, stop):
    def on_step(step, losses):
        if step == stop:
            raise Stopped

    out = tmp_path / "broken"
    with pytest.raises(Stopped):
        train_detector(chests[:3], tiny(), out, validation=chests[3:], on_step=on_step)
    resume_detector(chests[:3], out, validation=chests[3:])
    for name in ("last/state", f"last/{FILE_NAME[:-12]}", f"best/{FILE_NAME[:-12]}"):
        path = f"checkpoints/{name}.safetensors"
        left, right = load_file(run.root / path), load_file(out / path)
        assert left.keys() == right.keys()
        for key, tensor in left.items():
            assert tensor.tobytes() == right[key].tobytes(), key
    assert run.metrics.read_bytes() == (out / "metrics.jsonl").read_bytes()


def test_false_positives_were_mined_and_are_in_the_checkpoint(run):
    hard = load_file(run.state)["hard"]
    assert set(hard[:, 0]) == {0, 1}
    assert len(hard) == 8


def test_other_scans_than_before_are_refused(run, chests):
    with pytest.raises(TrainingError, match="not those"):
        resume_detector(chests[1:3], run.root)


def test_a_folder_that_holds_a_run_is_refused(run, chests):
    with pytest.raises(OutputError, match="already holds"):
        train_detector(chests[:1], tiny(), run.root)


def test_resuming_what_is_no_run_is_refused(tmp_path, chests):
    with pytest.raises(TrainingError, match="not a run folder"):
        resume_detector(chests[:1], tmp_path)


def test_a_gradient_that_is_not_finite_ends_the_training(chests, tmp_path, monkeypatch):
    from medgan.detection import training

    monkeypatch.setattr(training, "heatmap_loss", lambda logit, *_: (logit * np.nan).sum())
    with pytest.raises(TrainingError, match="step 1"):
        train_detector(chests[:1], tiny(), tmp_path / "run")


def test_the_best_model_is_the_one_of_the_highest_validation_cpm(run):
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    cpms = {line["step"]: line["validation_cpm"] for line in lines if "validation_cpm" in line}
    assert sorted(cpms) == [4, 8, STEPS]
    best = json.loads((run.best / "reason.json").read_text())
    assert best["cpm"] == max(cpms.values())
    assert Detector.load(run.root).card.provenance["chosen"] == best


def test_a_model_file_tells_what_must_be_known(run):
    card = Detector.load(run.best / FILE_NAME).card
    assert card.config == tiny()
    assert "Research use only" in card.intended_use
    assert card.provenance["scans"] == 3
    assert card.provenance["nodules"] == 9
    assert "/" not in json.dumps(card.provenance)


def test_a_loaded_detector_marks_a_volume_as_it_did_in_training(run, chests):
    detector = Detector.load(run.best)
    scan = prepare_scans(chests[3:], tiny().input)[0]
    marks = detector.predict(chests[3].read(), chests[3].lungs())
    assert 0 < len(marks) <= 100
    assert [m.probability for m in marks] == sorted((m.probability for m in marks), reverse=True)
    wrong = false_positives(detector.network, scan, tiny(), 100)
    assert len(marks) - 9 <= len(wrong) <= len(marks)
    best = json.loads((run.best / "reason.json").read_text())
    assert score(detector.network, [scan], tiny()).cpm == best["cpm"]


def test_what_is_no_detector_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no detector here"):
        Detector.load(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="damaged"):
        Detector.load(tmp_path)


def test_a_scan_without_lungs_is_left_out_and_the_others_go_on(chests, tmp_path, caplog):
    class Empty(Luna16Scan):
        def lungs(self) -> Volume:
            lungs = super().lungs()
            return lungs.with_array(np.zeros(lungs.shape, np.uint8))

    empty = Empty(**vars(make_chest(tmp_path, 9)))
    made = prepare_scans([empty, chests[0]], tiny().input)
    assert [scan.uid for scan in made] == [chests[0].uid]
    assert f"left out: scan {empty.uid}" in caplog.text
    with pytest.raises(DataError, match="none of the scans"):
        prepare_scans([empty], tiny().input)


def test_a_prepared_scan_that_was_damaged_on_disk_is_made_anew(chests, tmp_path):
    first = prepare_scans(chests[:1], tiny().input, tmp_path)[0]
    expected = np.array(first.image.hu)
    stored = next(tmp_path.rglob("hu.npy"))
    content = bytearray(stored.read_bytes())
    content[-5] ^= 0xFF
    stored.unlink()
    stored.write_bytes(content)
    again = prepare_scans(chests[:1], tiny().input, tmp_path)[0]
    assert np.array_equal(again.image.hu, expected)


def test_nodules_lie_where_the_scan_is_bright_flipped_or_not(chests):
    for scan in prepare_scans(chests, tiny().input):
        places = np.round(scan.nodules.centre).astype(int)
        assert (scan.image.hu[tuple(places.T)] > -300).all()
        assert scan.image.region[tuple(places.T)].all()


def test_the_rate_rises_then_falls_to_nothing():
    settings = tiny(steps=100, warmup=0.1, learning_rate=1.0).training
    rates = [learning_rate(settings, step) for step in range(1, 101)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert (np.diff(rates[9:]) < 0).all()
    assert 0 < rates[-1] < 1e-3


@pytest.mark.slow
def test_a_minute_of_training_finds_nodules_in_unseen_scans(tmp_path):
    scans = [make_chest(tmp_path, seed) for seed in range(12)]
    config = DetectorConfig.model_validate(
        {
            "input": {"spacing_mm": 2.0},
            "network": {"width": 8},
            "sampling": {"patch": 32, "mine_every": 50},
            "training": {"steps": 150, "batch": 4, "learning_rate": 5e-3},
        }
    )
    torch.set_num_threads(1)
    run = train_detector(scans[:8], config, tmp_path / "run", validation=scans[8:])
    best = json.loads((run.best / "reason.json").read_text())
    assert best["cpm"] > 0.7
