"""The run in MLflow that mirrors a run folder: what it lacks is sent, nothing is sent twice."""

import hashlib
import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from medgan.config import TrainConfig
from medgan.io.files import write_text
from medgan.models.model_file import FILE_NAME
from medgan.models.tensor_file import load_tensors
from medgan.training.result_tracking import KIND_TAG, numbers, without_names
from medgan.training.run_folder import RunFolder
from medgan.training.tracking_store import Point, TrackingStore, flat, open_store

RUN_ID_FILE = "mlflow_run_id"
"""In the run folder: ids of the run, one a line for each store it was mirrored to."""

FOLDER_TAG = "medgan.run_folder"
"""On the run: the folder's name and the hash of its configuration."""

_FACTS = ("scans", "phantom_heads", "data_sha256", "steps")
_DOCUMENTS = (
    "environment.json",
    "timing.jsonl",
    "evaluation.json",
    "evaluation_backward.json",
    "report.html",
    "report_backward.html",
)
"""Files of a run folder that go to the store whole; the configuration does not: it holds paths."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Synced:
    """What a mirror lacked: id of its run, number of metric values and of files sent."""

    run_id: str
    values: int
    files: int


def store_uri(config: TrainConfig, folder: Path) -> str:
    """Where a run is mirrored to: its server, or a database in its folder."""
    return config.tracking.uri or f"sqlite:///{(folder / 'mlflow.db').resolve()}"


class RunMirror:
    """One run folder and its run in a store.

    All methods raise whatever MLflow raises.

    Args:
        store: holds the run.
        run: its entity in MLflow.
        folder: on disk; everything is read from it.
        config: its configuration.
        is_new: the store had not seen it.
    """

    def __init__(
        self, store: TrackingStore, run: Any, folder: RunFolder, config: TrainConfig, is_new: bool
    ) -> None:
        self.store, self.folder, self.config, self.is_new = store, folder, config, is_new
        root = folder.root
        self.run_id = str(run.info.run_id)
        self._start_ms = int(run.info.start_time)
        # a database that was moved with its folder still names the old place for its artifacts
        here = f"{root.resolve().as_uri()}/"
        self._takes_files = bool(config.tracking.uri) or run.info.artifact_uri.startswith(here)
        if not self._takes_files:
            _log.info("%s was moved: the files in it are not copied to its MLflow store", root.name)
        self._previews: set[str] | None = None

    @classmethod
    def open(cls, config: TrainConfig, root: Path) -> Self:
        """Find the run by its folder, or begin it."""
        store = open_store(store_uri(config, root), config.tracking.experiment)
        folder, ids = RunFolder(root), root / RUN_ID_FILE
        known = ids.read_text(encoding="utf-8").split() if ids.exists() else []
        for run_id in reversed(known):
            run = _find(store, run_id)
            if run is not None:
                return cls(store, run, folder, config, is_new=False)
        tags = {KIND_TAG: "train", FOLDER_TAG: folder_tag(config, root)}
        run = store.client.create_run(store.experiment_id, run_name=config.name, tags=tags)
        write_text(ids, "".join(f"{run_id}\n" for run_id in (*known, run.info.run_id)))
        return cls(store, run, folder, config, is_new=True)

    def describe(self) -> None:
        """Send the parameters and what else is known before the first step."""
        # paths and names of scans may tell who was scanned, a URI may hold a password
        settings = self.config.model_dump(
            mode="json",
            exclude={"data": {"root", "source", "target"}, "evaluation": True, "tracking": True},
        )
        tags: dict[str, object] = {}
        environment = self.folder.root / "environment.json"
        if environment.exists():
            tags = flat({"environment": json.loads(environment.read_text(encoding="utf-8"))})
        self.store.log(self.run_id, parameters=flat(settings), tags=tags)

    def send(self, values: Iterable[tuple[str, float, int]]) -> None:
        """Send values of metrics: name, value, step."""
        # The log holds no clock. A time that follows from the step makes a value that is sent
        # twice the same value, which a store keeps once.
        points = [Point(name, value, step, self._start_ms + step) for name, value, step in values]
        self.store.log(self.run_id, points)

    def send_previews(self) -> int:
        """Send the previews that the store lacks; how many there were."""
        if not self._takes_files:
            return 0
        if self._previews is None:
            listed = self.store.client.list_artifacts(self.run_id, "previews")
            self._previews = {Path(info.path).name for info in listed}
        new = [
            path
            for path in sorted(self.folder.previews.glob("[!.]*.png"))
            if path.name not in self._previews
        ]
        for path in new:
            self.store.client.log_artifact(self.run_id, str(path), "previews")
            self._previews.add(path.name)
        return len(new)

    def tag_model(self) -> None:
        """Send the hash of the best model and what it was trained on."""
        for place in (self.folder.best, self.folder.last):
            path = place / FILE_NAME
            if path.exists():
                facts = load_tensors(path).document["provenance"]
                tags = {f"medgan.{name}": facts[name] for name in _FACTS if name in facts}
                tags["medgan.model_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
                self.store.log(self.run_id, tags=tags)
                return

    def catch_up(self) -> Synced:
        """Send everything that the folder holds and the store does not."""
        self.describe()
        missing = self._missing_values()
        self.send(missing)
        self.tag_model()
        files = self.send_previews() + self._send_documents()
        if (self.folder.last / FILE_NAME).exists():
            self.end()
        return Synced(self.run_id, len(missing), files)

    def end(self) -> None:
        """Close the run, if it is open."""
        if self.store.client.get_run(self.run_id).info.status != "FINISHED":
            self.store.client.set_terminated(self.run_id)

    def _missing_values(self) -> list[tuple[str, float, int]]:
        logged: dict[str, list[tuple[str, float, int]]] = defaultdict(list)
        for name, value, step in read_values(self.folder.metrics):
            logged[name].append((name, value, step))
        missing = []
        for name, values in logged.items():
            history = self.store.client.get_metric_history(self.run_id, name)
            there = {(point.value, point.step) for point in history}
            missing += [each for each in values if each[1:] not in there]
        return missing

    def _send_documents(self) -> int:
        """Send the files that change over time, where the store has other ones; how many."""
        if not self._takes_files:
            return 0
        tags = self.store.client.get_run(self.run_id).data.tags
        sent = 0
        for name in _DOCUMENTS:
            path = self.folder.root / name
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            digest = hashlib.sha256(text.encode()).hexdigest()
            if not text or tags.get(f"medgan.sha256.{name}") == digest:
                continue
            if name.startswith("evaluation"):
                text = self._send_evaluation(path.stem, json.loads(text))
            self.store.client.log_text(self.run_id, text, name)
            self.store.client.set_tag(self.run_id, f"medgan.sha256.{name}", digest)
            sent += 1
        return sent

    def _send_evaluation(self, name: str, document: dict[str, Any]) -> str:
        """Send an evaluation's numbers; the document without the names of its cases."""
        now = int(time.time() * 1000)
        found = numbers(document).items()
        self.store.log(self.run_id, [Point(f"{name}.{key}", value, 0, now) for key, value in found])
        return json.dumps(without_names(document), indent=2)


def read_values(log: Path) -> list[tuple[str, float, int]]:
    """What a run logged: name, value, step; what was not finite, and half a line, are left out."""
    values: list[tuple[str, float, int]] = []
    if not log.exists():
        return values
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break
        step = record.pop("step")
        values += [(name, float(v), step) for name, v in record.items() if v is not None]
    return values


def folder_tag(config: TrainConfig, folder: Path) -> str:
    """What tells a run folder from a run: its name, and a hash of all but ``tracking``."""
    settings = config.model_dump(mode="json", exclude={"tracking"})
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return f"{folder.resolve().name} {digest[:16]}"


def _find(store: TrackingStore, run_id: str) -> Any:
    """The run of an id, or None where the store has none, or only a deleted one."""
    from mlflow.exceptions import MlflowException

    try:
        run = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None
