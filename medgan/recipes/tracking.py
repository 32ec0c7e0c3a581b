"""The folds of a cross-validation gathered in MLflow under one run."""

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from medgan.errors import ConfigError
from medgan.models.mlflow_access import store_errors
from medgan.training.result_tracking import KIND_TAG
from medgan.training.run_folder import RunFolder
from medgan.training.run_mirror import read_values
from medgan.training.sync import sync_run
from medgan.training.tracking_store import Point, TrackingStore, open_store

PARENT_TAG = "mlflow.parentRunId"
"""By which MLflow shows a run below another one."""

_KIND = "cross-validation"


def gather_folds(folders: Sequence[Path], name: str) -> str:
    """Bring the runs of a cross-validation up to date and gather them under one parent run.

    The parent holds, over the folds, mean and standard deviation (ddof 1) of what each logged of
    every metric last. A second call finds the parent by its name and refreshes it.

    Args:
        folders: run folders, one a fold; all tracked by one server and experiment.
        name: of the parent.

    Returns:
        The id of the parent.

    Raises:
        ConfigError: fewer than two folds, or not one and the same server.
        TrainingError: not a run folder.
        OutputError: the server cannot be reached.
    """
    uri, experiment = _shared_place(folders)
    children = [sync_run(folder).run_id for folder in folders]
    with store_errors(uri):
        store = open_store(uri, experiment)
        parent = _parent(store, name)
        for child in children:
            store.log(child, tags={PARENT_TAG: parent.info.run_id})
        now = int(time.time() * 1000)
        points = [
            Point(key, value, 0, now)
            for key, value in _summary([RunFolder(folder).metrics for folder in folders]).items()
            if parent.data.metrics.get(key) != value
        ]
        store.log(parent.info.run_id, points, tags={"medgan.folds": len(folders)})
        if parent.info.status != "FINISHED":
            store.client.set_terminated(parent.info.run_id)
    return str(parent.info.run_id)


def _shared_place(folders: Sequence[Path]) -> tuple[str, str]:
    """Server and experiment of all folds."""
    if len(set(folders)) < 2:
        raise ConfigError("a cross-validation has folds", measured=len(set(folders)), limit="2")
    settings = [RunFolder(folder).config().tracking for folder in folders]
    uri, experiment = settings[0].uri, settings[0].experiment
    if uri is None or any((each.uri, each.experiment) != (uri, experiment) for each in settings):
        raise ConfigError(
            "the folds are not tracked in one place",
            where=folders[0].parent,
            remedy="Set tracking.uri and tracking.experiment alike in each fold's config.yaml",
        )
    return uri, experiment


def _parent(store: TrackingStore, name: str) -> Any:
    """The parent of this name; made where there is none."""
    for run in store.client.search_runs(
        [store.experiment_id], f"tags.`{KIND_TAG}` = '{_KIND}'", order_by=["start_time ASC"]
    ):
        if run.info.run_name == name:
            return run
    return store.client.create_run(store.experiment_id, run_name=name, tags={KIND_TAG: _KIND})


def _summary(logs: Sequence[Path]) -> dict[str, float]:
    """Mean and spread of the last values of the metrics that every fold logged."""
    last: dict[str, list[float]] = defaultdict(list)
    for log in logs:
        for name, value in {name: value for name, value, _ in read_values(log)}.items():
            last[name].append(value)
    shared = {name: values for name, values in last.items() if len(values) == len(logs)}
    return {
        **{f"{name}.mean": fmean(values) for name, values in shared.items()},
        **{f"{name}.std": stdev(values) for name, values in shared.items()},
    }
