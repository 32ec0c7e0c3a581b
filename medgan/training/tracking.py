"""MLflow as a mirror of the run folder, never as the only copy."""

import logging
import os
import time
from pathlib import Path

from medgan.config import TrainConfig

_BATCH = 200
_RUN_ID_FILE = "mlflow_run_id"
_RETRIES = "2"
"""MLflow's own 7, each after a longer wait, kept a training waiting 4 minutes for a dead server."""

_log = logging.getLogger(__name__)


class Tracker:
    """Sends metrics in batches; a server that fails is reported once and then left alone.

    Args:
        config: the training; its ``tracking`` says whether and where.
        folder: the run folder; holds the sqlite store when no server is named, and the run's id.
    """

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self._pending: list[tuple[str, float, int]] = []
        self._client = None
        if not config.tracking.enabled:
            return
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _RETRIES)
        # the library is chatty about its database migrations on first use
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        self._failure = MlflowException
        uri = config.tracking.uri or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
        try:
            client = MlflowClient(uri)
            self._run_id = self._open(client, config, folder)
            self._client = client
        except MlflowException as error:
            _log.warning("MLflow cannot be reached, the run folder keeps everything: %s", error)

    @staticmethod
    def _open(client, config: TrainConfig, folder: Path) -> str:  # type: ignore[no-untyped-def]
        from mlflow.entities import Param

        known = folder / _RUN_ID_FILE
        if known.exists():
            return known.read_text(encoding="utf-8")
        experiment = client.get_experiment_by_name(config.tracking.experiment)
        if experiment is None:
            artifacts = None if config.tracking.uri else (folder / "mlflow_artifacts").resolve()
            experiment_id = client.create_experiment(
                config.tracking.experiment, artifacts and artifacts.as_uri()
            )
        else:
            experiment_id = experiment.experiment_id
        run = client.create_run(experiment_id, run_name=config.name)
        settings = _flat(config.model_dump(mode="json", exclude={"data", "evaluation"}))
        client.log_batch(run.info.run_id, params=[Param(name, str(v)) for name, v in settings])
        known.write_text(run.info.run_id, encoding="utf-8")
        return str(run.info.run_id)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Queue the values of a step; sent every few hundred."""
        if self._client is None:
            return
        self._pending += [(name, value, step) for name, value in values.items()]
        if len(self._pending) >= _BATCH:
            self.flush()

    def finish(self) -> None:
        """Send what is left and close the run."""
        self.flush()
        if self._client is None:
            return
        try:
            self._client.set_terminated(self._run_id)
        except self._failure as error:
            self._give_up(error)

    def flush(self) -> None:
        """Send what is queued."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        batch = [Metric(name, value, now, step) for name, value, step in self._pending]
        self._pending.clear()
        try:
            for start in range(0, len(batch), 1000):
                self._client.log_batch(self._run_id, batch[start : start + 1000])
        except self._failure as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        _log.warning("MLflow stopped answering, the run folder keeps everything: %s", error)
        self._client = None


def _flat(values: dict, prefix: str = "") -> list[tuple[str, object]]:  # type: ignore[type-arg]
    items: list[tuple[str, object]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            items += _flat(value, f"{prefix}{name}.")
        else:
            items.append((prefix + name, value))
    return items
