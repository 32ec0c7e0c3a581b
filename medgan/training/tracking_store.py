"""The way to an MLflow store: quiet, with short waits, and nothing secret in a message."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medgan.errors import OutputError

EXPERIMENT = "medgan"
"""Where runs are listed by default."""

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow's own 7 retries of 120 s each kept a training waiting for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
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
    _prepare()
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


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow raises into a message without credentials.

    Raises:
        OutputError: the store cannot be reached or refuses what it is sent.
    """
    _prepare()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise OutputError(
            "the tracking server cannot be used",
            where=without_credentials(uri, uri),
            measured=explain(error, uri),
            remedy="Start it, or correct its URI; what it has missed can be sent again",
        ) from error


def explain(error: Exception, uri: str) -> str:
    """What MLflow says, in one line and without the credentials of the URI."""
    return without_credentials(" ".join(str(error).split()), uri) or type(error).__name__


def without_credentials(text: str, uri: str) -> str:
    """A text less the user name and the password that stand in a URI."""
    secret = urlsplit(uri).netloc.rpartition("@")[0]
    return text.replace(f"{secret}@", "") if secret else text


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    items: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            items |= flat(value, f"{prefix}{name}.")
        else:
            items[prefix + name] = value
    return items


def _prepare() -> None:
    """Settle what MLflow reads when it is imported."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # the library is chatty about its database migrations on first use
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.ERROR)


def _artifact_location(uri: str) -> str | None:
    """Beside a database of one's own; a server knows itself where."""
    if not uri.startswith(_SQLITE):
        return None
    return (Path(uri.removeprefix(_SQLITE)).resolve().parent / _ARTIFACTS).as_uri()
