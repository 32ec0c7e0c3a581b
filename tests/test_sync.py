"""A store is completed from the run folder alone, and a second time changes nothing."""

import json
import shutil
import sqlite3

import pytest
from mlflow import MlflowClient
from mlflow_stores import begin_run, downloaded, empty_store, logged_values, mirrored_values

from medgan.errors import ConfigError, OutputError, TrainingError
from medgan.recipes.tracking import PARENT_TAG, gather_folds
from medgan.training.sync import sync_run


@pytest.fixture
def store(tmp_path, tmp_path_factory):
    """The URI of an empty store that several runs may share."""
    (tmp_path / "shared").mkdir()
    return f"sqlite:///{empty_store(tmp_path_factory, tmp_path / 'shared' / 'shared.db')}"


def logged_run(folder, uri, losses, **settings):
    run = begin_run(folder, uri=uri, **settings)
    for step, loss in enumerate(losses, 1):
        run.append(run.metrics, {"step": step, "loss": loss, "steady": 1.0})
    (run.previews / "step_0000001.png").write_bytes(b"picture")
    return run


def rows(uri):
    """Everything in a database."""
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
        return list(database.iterdump())


def test_a_store_that_never_saw_the_run_gets_all_of_it(tmp_path, store):
    run = logged_run(tmp_path / "run", store, [0.5, None, 0.1 + 0.2])
    sent = sync_run(run.root)
    client = MlflowClient(store)
    assert (sent.values, sent.files) == (5, 2)
    assert mirrored_values(client, sent.run_id) == logged_values(run.root)
    preview = "previews/step_0000001.png"
    assert downloaded(client, sent.run_id, preview, tmp_path) == b"picture"


def test_a_second_time_changes_nothing(tmp_path, store):
    run = logged_run(tmp_path / "run", store, [0.5, 0.25])
    first = sync_run(run.root)
    before = rows(store)
    second = sync_run(run.root)
    assert (second.run_id, second.values, second.files) == (first.run_id, 0, 0)
    assert rows(store) == before


def test_only_what_is_new_is_sent(tmp_path, store):
    run = logged_run(tmp_path / "run", store, [0.5])
    sync_run(run.root)
    run.append(run.metrics, {"step": 2, "loss": 0.25})
    (run.root / "report.html").write_text("<p>first</p>")
    assert (sync_run(run.root).values, sync_run(run.root).files) == (1, 0)
    (run.root / "report.html").write_text("<p>other</p>")
    again = sync_run(run.root)
    assert (again.values, again.files) == (0, 1)
    report = downloaded(MlflowClient(store), again.run_id, "report.html", tmp_path)
    assert report == b"<p>other</p>"


def test_half_a_line_of_a_killed_training_is_no_hindrance(tmp_path, store):
    run = logged_run(tmp_path / "run", store, [0.5])
    with run.metrics.open("a") as log:
        log.write('{"step": 2, "lo')
    assert sync_run(run.root).values == 2


def test_a_run_is_found_from_its_folder_in_each_of_its_stores(tmp_path, tmp_path_factory, store):
    run = logged_run(tmp_path / "run", store, [0.5])
    (tmp_path / "second").mkdir()
    second = f"sqlite:///{empty_store(tmp_path_factory, tmp_path / 'second' / 'second.db')}"
    text = run.config_path.read_text()
    ids = []
    for uri in (store, second, store):
        run.config_path.write_text(text.replace(store, uri))
        ids.append(sync_run(run.root).run_id)
    assert ids[0] == ids[2] != ids[1]
    assert (run.root / "mlflow_run_id").read_text().split() == ids[:2]


def test_a_folder_is_told_by_its_run_without_a_path(tmp_path, store):
    runs = [logged_run(tmp_path / name, store, [0.5], name=name) for name in ("one", "two")]
    client = MlflowClient(store)
    tags = [
        client.get_run(sync_run(run.root).run_id).data.tags["medgan.run_folder"] for run in runs
    ]
    assert [tag.split()[0] for tag in tags] == ["one", "two"]
    assert len({tag.split()[1] for tag in tags}) == 2


def test_a_deleted_run_is_begun_anew(tmp_path, store):
    run = logged_run(tmp_path / "run", store, [0.5])
    first = sync_run(run.root)
    MlflowClient(store).delete_run(first.run_id)
    second = sync_run(run.root)
    assert second.run_id != first.run_id
    assert second.values == 2


def test_an_evaluation_goes_along_without_the_names_of_its_cases(tmp_path, store):
    run = logged_run(tmp_path / "run", store, [0.5])
    document = {
        "cases": [{"case": "DOE_JANE", "mae": 3.0}],
        "aggregates": {"mae": {"mean": 3.0}},
        "floors": {"constant": {"cases": [{"case": "DOE_JANE", "mae": 9.0}]}},
    }
    (run.root / "evaluation.json").write_text(json.dumps(document))
    sent = sync_run(run.root)
    client = MlflowClient(store)
    assert client.get_run(sent.run_id).data.metrics["evaluation.aggregates.mae.mean"] == 3.0
    text = downloaded(client, sent.run_id, "evaluation.json", tmp_path)
    assert b"DOE" not in text
    assert json.loads(text)["cases"] == [{"case": 1, "mae": 3.0}]


def test_files_stay_out_of_the_place_that_a_folder_was_moved_from(tmp_path, tmp_path_factory):
    old = tmp_path / "old"
    run = logged_run(old, None, [0.5])
    empty_store(tmp_path_factory, old / "mlflow.db")
    first = sync_run(run.root)
    assert first.files == 2
    shutil.move(old, tmp_path / "new")
    moved = tmp_path / "new"
    (moved / "report.html").write_text("<p>new</p>")
    with (moved / "metrics.jsonl").open("a") as log:
        log.write('{"step": 2, "loss": 0.25}\n')
    second = sync_run(moved)
    assert (second.run_id, second.values, second.files) == (first.run_id, 1, 0)
    assert not old.exists()


def test_what_cannot_be_synced_says_why(tmp_path):
    off = begin_run(tmp_path / "off", enabled=False)
    with pytest.raises(ConfigError, match="tracking is off"):
        sync_run(off.root)
    with pytest.raises(TrainingError, match="not a run folder"):
        sync_run(tmp_path / "nothing")
    away = begin_run(tmp_path / "away", uri="http://jane:secret@127.0.0.1:9")
    with pytest.raises(OutputError, match="cannot be used") as refused:
        sync_run(away.root)
    assert "secret" not in str(refused.value)


def test_the_command_reports_and_syncs_several_runs(tmp_path, store, medgan_cli):
    runs = [logged_run(tmp_path / name, store, [0.5, 0.25], name=name) for name in ("one", "two")]
    for values in ("sent 4 values, 3 files", "sent 0 values, 0 files"):
        code, out, err = medgan_cli("report", *(run.root for run in runs), "--sync")
        assert code == 0, err
        assert out.count(values) == (1 if "3 files" in values else 2)
    experiment = MlflowClient(store).get_experiment_by_name("medgan")
    assert len(MlflowClient(store).search_runs([experiment.experiment_id])) == 2


def test_folds_gather_under_one_parent_with_their_mean_and_spread(tmp_path, store):
    folds = [
        logged_run(tmp_path / f"fold_{number}", store, [9.0, last], name=f"fold_{number}").root
        for number, last in enumerate([1.0, 2.0, 6.0])
    ]
    parent = gather_folds(folds, "crossed")
    before = rows(store)
    assert gather_folds(folds, "crossed") == parent
    assert rows(store) == before
    client = MlflowClient(store)
    metrics = client.get_run(parent).data.metrics
    assert metrics["loss.mean"] == 3.0
    assert metrics["loss.std"] == pytest.approx(7**0.5)
    assert metrics["steady.std"] == 0.0
    experiment = client.get_experiment_by_name("medgan").experiment_id
    children = client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{parent}'")
    assert {run.info.run_name for run in children} == {"fold_0", "fold_1", "fold_2"}


def test_folds_that_share_no_server_cannot_gather(tmp_path, store):
    folds = [
        logged_run(tmp_path / "a", store, [1.0]).root,
        logged_run(tmp_path / "b", None, [1.0]).root,
    ]
    with pytest.raises(ConfigError, match="not tracked in one place"):
        gather_folds(folds, "crossed")
    with pytest.raises(ConfigError, match="has folds"):
        gather_folds(folds[:1], "crossed")
