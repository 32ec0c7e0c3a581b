"""The scans a detector learns from, prepared once and mapped from disk."""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.data.cache import default_cache_dir
from medgan.data.luna16_scan import Luna16Scan, Nodule
from medgan.detection.config import DetectorInput
from medgan.detection.prepared import Prepared, prepare
from medgan.detection.targets import Findings
from medgan.errors import DataError, FileError, GeometryError, MedganError
from medgan.io.files import content_sha256, output_errors, write_json, writing
from medgan.io.luna16 import to_index
from medgan.io.metaimage import data_file
from medgan.volumes.geometry import Grid

FORMAT = 1
"""To be raised whenever preparation changes what it makes from the same input."""

_SIDECAR = "detection.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrainingScan:
    """A prepared scan and what is in it, in its voxels.

    Attributes:
        uid: series UID.
        image: its arrays mapped from disk.
        nodules: to be found.
        excluded: to be ignored.
    """

    uid: str
    image: Prepared
    nodules: Findings
    excluded: Findings


def prepare_scans(
    scans: Iterable[Luna16Scan], settings: DetectorInput, cache_dir: Path | None = None
) -> list[TrainingScan]:
    """Prepare scans, or take them from the cache; those that cannot be are named in the log.

    Args:
        scans: in any order.
        settings: how to prepare them.
        cache_dir: None: ``medgan.data.cache.default_cache_dir()``.

    Raises:
        DataError: none of them can be used.
        OutputError: the cache cannot be written.
    """
    made: list[TrainingScan] = []
    folder = (cache_dir or default_cache_dir()) / "detection"
    for scan in scans:
        try:
            image = prepared(scan, settings, folder)
        except (DataError, FileError, GeometryError) as error:
            _log.warning("left out: scan %s: %s", scan.uid, error.what)
            continue
        made.append(
            TrainingScan(
                scan.uid,
                image,
                _in_voxels(scan.nodules, image),
                _in_voxels(scan.excluded, image),
            )
        )
    if not made:
        raise DataError("none of the scans can be used", remedy="The log says what is wrong")
    return made


def prepared(scan: Luna16Scan, settings: DetectorInput, folder: Path) -> Prepared:
    """One scan, from the folder of the cache if the very same was prepared before.

    Raises:
        MedganError: it cannot be read or prepared, or the cache cannot be written.
    """
    entry = folder / _key(scan, settings)
    found = _load(entry)
    if found is None:
        _save(prepare(scan.read(), scan.lungs(), settings), entry)
        found = _load(entry)
    if found is None:
        raise MedganError(
            "a prepared scan was written but cannot be read back",
            where=entry,
            remedy="Check the disk that holds the cache, or set MEDGAN_CACHE to another folder",
        )
    return found


def _in_voxels(findings: Sequence[Nodule], image: Prepared) -> Findings:
    position = np.reshape([finding.position_mm for finding in findings], (-1, 3))
    radius = np.array([finding.radius_mm for finding in findings], np.float64)
    return Findings(to_index(image.grid, position), 2 * radius)


def _key(scan: Luna16Scan, settings: DetectorInput) -> str:
    facts = [
        FORMAT,
        settings.spacing_mm,
        settings.margin_mm,
        settings.lung_margin_mm,
        scan.lung_mask is None,
    ]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for path in (scan.path, scan.lung_mask):
        if path is None:
            continue
        digest.update(bytes.fromhex(content_sha256(path)))
        if path.suffix.lower() == ".mhd":
            digest.update(bytes.fromhex(content_sha256(data_file(path))))
    return digest.hexdigest()


def _save(image: Prepared, entry: Path) -> None:
    with output_errors(entry):
        entry.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {"hu": image.hu, "region": image.region}
    for name, array in arrays.items():
        with writing(entry / f"{name}.npy") as temporary:
            np.save(temporary, array, allow_pickle=False)
    hashes = {name: content_sha256(entry / f"{name}.npy") for name in arrays}
    write_json(entry / _SIDECAR, {"affine": image.grid.affine.tolist(), "sha256": hashes})


def _load(entry: Path) -> Prepared | None:
    """The entry if it is complete and undamaged."""
    try:
        facts = json.loads((entry / _SIDECAR).read_text(encoding="utf-8"))
        arrays = {}
        for name, digest in facts["sha256"].items():
            if content_sha256(entry / f"{name}.npy") != digest:
                return None
            arrays[name] = np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        grid = Grid(arrays["hu"].shape, np.array(facts["affine"]))
        return Prepared(arrays["hu"], arrays["region"], grid)
    except (OSError, ValueError, KeyError, TypeError):
        return None
