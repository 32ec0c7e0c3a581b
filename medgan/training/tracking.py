"""MLflow as a mirror of the run folder, never as the only copy."""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from medgan.config import TrainConfig
from medgan.models.mlflow_access import explain
from medgan.training.run_mirror import RunMirror, store_uri

_BATCH = 200
_PAUSE_SECONDS = 600.0
"""A server that hangs costs 20 s a try, which is 3 % of this."""

_log = logging.getLogger(__name__)


class Tracker:
    """Sends metrics in batches while a training runs.

    A server that fails is reported once and then left alone for ten minutes at a time. What it
    missed is read from the run folder when it answers again, so nothing is kept in memory for it.

    Args:
        config: the training; its ``tracking`` says whether and where.
        folder: the run folder; holds the sqlite store when no server is named, and the run's id.
    """

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self._config, self._folder = config, folder
        self._mirror: RunMirror | None = None
        self._pending: list[tuple[str, float, int]] = []
        self._failed = False
        self._asleep_until = -math.inf
        self._try(self._begin)
        # the log of a resumed run may hold what was never sent, and is cut back only after this
        self._behind = self._failed or self._mirror is None or not self._mirror.is_new

    def log(self, step: int, values: dict[str, float]) -> None:
        """Queue the values of a step; sent every few hundred."""
        self._pending += [(n, float(v), step) for n, v in values.items() if math.isfinite(v)]
        if len(self._pending) >= _BATCH:
            self._try(self._send)

    def flush(self) -> None:
        """Send what is queued, and new previews."""
        self._try(self._send_with_files)

    def finish(self) -> None:
        """Send what is left, however long the server has been silent, and close the run."""
        self._asleep_until = -math.inf
        self._try(self._close)

    def _begin(self) -> None:
        self._mirror = RunMirror.open(self._config, self._folder)
        self._mirror.describe()

    def _send(self) -> RunMirror:
        if self._mirror is None:
            self._mirror = RunMirror.open(self._config, self._folder)
        if self._behind:
            self._mirror.catch_up()
            self._behind = False
        else:
            self._mirror.send(self._pending)
        return self._mirror

    def _send_with_files(self) -> None:
        mirror = self._send()
        mirror.send_previews()
        mirror.tag_model()

    def _close(self) -> None:
        self._behind = True
        self._send().end()

    def _try(self, send: Callable[[], object]) -> None:
        if not self._config.tracking.enabled or time.monotonic() < self._asleep_until:
            self._pending.clear()
            return
        try:
            send()
        # not only MLflow's own errors: the stores and clouds behind it raise theirs
        except Exception as error:
            self._pause(error)
        else:
            if self._failed:
                _log.info("MLflow answers again and has everything")
            self._failed = False
        self._pending.clear()

    def _pause(self, error: Exception) -> None:
        level = logging.DEBUG if self._failed else logging.WARNING
        uri = store_uri(self._config, self._folder)
        _log.log(
            level,
            "MLflow does not answer, the run folder keeps everything; `medgan report %s --sync` "
            "sends it later: %s",
            self._folder.name,
            explain(error, uri),
        )
        self._failed = self._behind = True
        self._asleep_until = time.monotonic() + _PAUSE_SECONDS
