"""Prepared scans kept on disk, found again by what they were made from.

An entry is a folder of ``.npy`` arrays and one JSON file that is written last and holds their
checksums: without it, or if it disagrees, the entry is made anew.
"""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medgan.config import PreparationConfig
from medgan.data.plausibility import implausible
from medgan.data.preparation import Prepared, prepare
from medgan.errors import MedganError
from medgan.io import read_volume, split_suffix, write_json, writing
from medgan.io.files import content_sha256, output_errors
from medgan.io.metaimage import data_file
from medgan.volumes import Modality, Volume
from medgan.volumes.intensity import scale_from_dict

FORMAT = 4
"""To be raised whenever preparation changes what it makes from the same input."""

_SIDECAR = "prepared.json"
_ARRAYS = ("volume", "mask", "mask_with_margin")


def default_cache_dir() -> Path:
    """The folder named by the environment variable MEDGAN_CACHE, else ``~/.cache/medgan``."""
    return Path(os.environ.get("MEDGAN_CACHE") or Path.home() / ".cache" / "medgan")


def prepare_cached(
    path: str | os.PathLike[str],
    settings: PreparationConfig,
    cache_dir: Path | None = None,
    *,
    modality: Modality | None = None,
    hu_offset: float = 0.0,
    series: str | None = None,
) -> Prepared:
    """Read and prepare a scan to train on, or take it from the cache if it was prepared before.

    Args:
        path: a file or DICOM folder ``read_volume`` knows.
        settings: how to prepare it.
        cache_dir: None: ``default_cache_dir()``.
        modality: None: told from the values, as ``read_volume`` does.
        hu_offset: added to every value, for files that do not store HU.
        series: rule that picks one series of a DICOM folder.

    Returns:
        The prepared scan; its arrays are mapped from disk and read-only.

    Raises:
        MedganError: the file cannot be read or prepared, holds values that its modality cannot
            have, or the cache cannot be written.
    """
    path = Path(path)
    key = _key(path, [settings.model_dump(mode="json"), modality, hu_offset, series])
    entry = (cache_dir or default_cache_dir()) / "prepared" / key
    prepared = _load(entry)
    if prepared is None:
        volume = read_volume(path, modality=modality, series=series)
        if hu_offset:
            volume = volume.with_array(volume.array.astype(np.float32) + np.float32(hu_offset))
        remarks = implausible(volume, path)
        _save(replace(prepare(volume, settings), remarks=remarks), entry)
        prepared = _load(entry)
    if prepared is None:
        raise MedganError(
            "a prepared scan was written but cannot be read back",
            where=entry,
            remedy="Check the disk that holds the cache, or set MEDGAN_CACHE to another folder",
        )
    return prepared


def _key(path: Path, facts: list[Any]) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, *facts], sort_keys=True).encode())
    # The ending decides how the bytes are read.
    digest.update(split_suffix(path)[1].encode())
    files = [path]
    if path.suffix.lower() in {".mhd", ".nrrd"} and (data := data_file(path)) != path:
        files.append(data)
    for file in files:
        digest.update(bytes.fromhex(content_sha256(file)))
    return digest.hexdigest()


def _save(prepared: Prepared, entry: Path) -> None:
    with output_errors(entry):
        entry.mkdir(parents=True, exist_ok=True)
    arrays = dict(
        zip(
            _ARRAYS,
            (prepared.volume.array, prepared.mask, prepared.mask_with_margin),
            strict=True,
        )
    )
    for name, array in arrays.items():
        with writing(entry / f"{name}.npy") as temporary:
            np.save(temporary, array, allow_pickle=False)
    volume = prepared.volume
    write_json(
        entry / _SIDECAR,
        {
            "affine": volume.affine.tolist(),
            "modality": volume.modality,
            "frame_of_reference": volume.frame_of_reference,
            "synthetic": volume.synthetic,
            "scale": prepared.scale.to_dict(),
            "native_mm": prepared.native_mm,
            "remarks": prepared.remarks,
            "sha256": {name: content_sha256(entry / f"{name}.npy") for name in _ARRAYS},
        },
    )


def _load(entry: Path) -> Prepared | None:
    """The entry if it is complete and undamaged."""
    try:
        facts = json.loads((entry / _SIDECAR).read_text(encoding="utf-8"))
        if any(facts["sha256"][name] != content_sha256(entry / f"{name}.npy") for name in _ARRAYS):
            return None
        array, mask, margin = (
            np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS
        )
        volume = Volume(
            array,
            np.array(facts["affine"]),
            facts["modality"],
            facts["frame_of_reference"],
            facts["synthetic"],
        )
        x, y, z = facts["native_mm"]
        scale = scale_from_dict(facts["scale"])
        return Prepared(volume, mask, margin, scale, (x, y, z), tuple(facts["remarks"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
