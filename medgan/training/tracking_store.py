"""An MLflow store that runs are sent to, in few requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgan.models.mlflow_access import prepare_mlflow

EXPERIMENT = "medgan"
"""Where runs are listed by default."""

_SQLITE = "sqlite:///"
_ARTIFACTS = "mlflow_artifacts"
_LONGEST_BATCH = 1000
_MOST_PARAMETERS = 100
"""What MLflow takes in one request.

Source: MLflow REST API, Runs Log Batch, request limits.
"""


@dataclass(frozen=True)
class Point:
    """One value of one metric; ``time_ms`` since 1970."""

    name: str
    value: float
    step: int
    time_ms: int


@dataclass(frozen=True)
class TrackingStore:
    """A store that answered, and the experiment in it that runs are listed in."""

    client: Any
    uri: str
    experiment_id: str

    def log(
        self,
        run_id: str,
        points: Sequence[Point] = (),
        parameters: Mapping[str, object] | None = None,
        tags: Mapping[str, object] | None = None,
    ) -> None:
        """Send metrics, parameters and tags in as few requests as MLflow allows."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(name, str(value)) for name, value in (parameters or {}).items()]
        for start in range(0, len(params), _MOST_PARAMETERS):
            some = params[start : start + _MOST_PARAMETERS]
            self.client.log_batch(run_id, params=some, synchronous=True)
        if tags:
            labels = [RunTag(name, str(value)) for name, value in tags.items()]
            self.client.log_batch(run_id, tags=labels, synchronous=True)
        metrics = [Metric(p.name, p.value, p.time_ms, p.step) for p in points]
        for start in range(0, len(metrics), _LONGEST_BATCH):
            batch = metrics[start : start + _LONGEST_BATCH]
            self.client.log_batch(run_id, metrics=batch, synchronous=True)


def open_store(uri: str, experiment: str = EXPERIMENT) -> TrackingStore:
    """Reach a store; makes the experiment where it is not there.

    Args:
        uri: of a tracking server, ``http://host:port``, or ``sqlite:///file``, whose artifacts
            then go to a folder beside that file.
        experiment: where runs are listed.

    Raises:
        Exception: whatever MLflow raises; see ``store_errors``.
    """
    prepare_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    if found is not None:
        return TrackingStore(client, uri, str(found.experiment_id))
    try:
        made = client.create_experiment(experiment, _artifact_location(uri))
    except MlflowException:
        # another run may have been quicker
        found = client.get_experiment_by_name(experiment)
        if found is None:
            raise
        made = found.experiment_id
    return TrackingStore(client, uri, str(made))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    items: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            items |= flat(value, f"{prefix}{name}.")
        else:
            items[prefix + name] = value
    return items


def _artifact_location(uri: str) -> str | None:
    """Beside a database of one's own; a server knows itself where."""
    if not uri.startswith(_SQLITE):
        return None
    return (Path(uri.removeprefix(_SQLITE)).resolve().parent / _ARTIFACTS).as_uri()
