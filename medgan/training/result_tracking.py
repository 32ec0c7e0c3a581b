"""What was measured, as a run in an MLflow store: numbers and hashes, no names and no paths."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medgan.errors import MedganError
from medgan.io import SUFFIXES, read_volume
from medgan.models.mlflow_access import store_errors
from medgan.training.tracking_store import Point, TrackingStore, flat

RESULT_FILE = "result.json"
REPORT_FILE = "report.html"
KIND_TAG = "medgan.kind"


def log_result(
    store: TrackingStore,
    kind: str,
    document: Mapping[str, Any],
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Path | None],
    report: str | None = None,
) -> str:
    """Log one measurement as a run of its own.

    The numbers of the document become metrics, named by their place in it; the whole of it, its
    cases numbered as in the report, is the artifact ``result.json``.

    Args:
        store: where to.
        kind: the verb that measured, e.g. "evaluate"; also the run's name.
        document: the result as ready for JSON.
        settings: options and protocol; they become parameters, nested ones with dotted names.
        inputs: files and folders by their role; each becomes a fingerprint. None: not given.
        report: HTML; becomes the artifact ``report.html``.

    Returns:
        The id of the run.

    Raises:
        OutputError: the store cannot be reached.
        FileError: an input cannot be read.
    """
    from medgan.training.run_folder import environment

    parameters = flat(settings)
    metrics = numbers(document).items()
    hashes = {f"input.{role}.sha256": fingerprint(path) for role, path in inputs.items() if path}
    surroundings = environment()
    tags = {KIND_TAG: kind, **flat({"environment": surroundings})}
    with store_errors(store.uri):
        run = store.client.create_run(store.experiment_id, run_name=kind)
        run_id, time_ms = str(run.info.run_id), run.info.start_time
        points = [
            Point(name, value, 0, time_ms) for name, value in metrics if name not in parameters
        ]
        store.log(run_id, points, parameters | hashes, tags)
        store.client.log_dict(run_id, without_names(document), RESULT_FILE)
        store.client.log_dict(run_id, surroundings, "environment.json")
        if report is not None:
            store.client.log_text(run_id, report, REPORT_FILE)
        store.client.set_terminated(run_id)
    return run_id


def numbers(document: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a document by their place in it, e.g. ``aggregates.mae.mean``.

    Lists are left out, but for the two ends of an interval ``x_ci``: ``x_ci.low``, ``x_ci.high``.
    """
    return {
        name: float(value)
        for name, value in _leaves(flat(document))
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def without_names(value: Any) -> Any:
    """A document whose cases are numbered from 1, because a file name may tell who it is."""
    if isinstance(value, Mapping):
        return {
            key: _numbered(item)
            if key == "cases" and isinstance(item, list)
            else without_names(item)
            for key, item in value.items()
        }
    return [without_names(item) for item in value] if isinstance(value, list) else value


def fingerprint(path: Path) -> str:
    """SHA-256 of what a file or a folder holds, whatever its files are called.

    Of volumes it is that of shape, affine, dtype and voxels, so that compression does not matter;
    of other files that of their content. Hidden files do not count.

    Raises:
        OSError: a file cannot be read.
    """
    if not path.is_dir():
        return _file_sha256(path)
    files = (file for file in path.rglob("[!.]*") if file.is_file())
    return hashlib.sha256("".join(sorted(map(_file_sha256, files))).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    if path.name.lower().endswith(SUFFIXES):
        try:
            volume = read_volume(path)
        except MedganError:
            # not a volume after all: its content still tells whether it is the same
            return hashlib.sha256(path.read_bytes()).hexdigest()
        digest = hashlib.sha256(f"{volume.shape} {volume.array.dtype}".encode())
        digest.update(volume.affine.tobytes())
        digest.update(volume.array.tobytes())
        return digest.hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name.endswith("_ci") and isinstance(value, list) and len(value) == 2:
            yield from zip((f"{name}.low", f"{name}.high"), value, strict=True)
        else:
            yield name, value


def _numbered(cases: list[Any]) -> list[Any]:
    return [
        {**case, "case": number} if isinstance(case, Mapping) and "case" in case else case
        for number, case in enumerate(cases, 1)
    ]
