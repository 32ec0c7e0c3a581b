"""Batches of conversions, and what they are given."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from medgan.cli.main import main
from medgan.io import write_volume
from medgan.phantoms.dicom_slices import Uids, rescaled, stack, write_slices
from medgan.volumes import Volume

AFFINE = np.array([[-2.0, 0, 0, 30], [0, -1.5, 0, 20], [0, 0, 3.0, -40], [0, 0, 0, 1]])
KEY = b"a secret of more than sixteen bytes"


def convert(*arguments: object) -> int:
    try:
        main(["convert", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    return {row["source"]: row for row in json.loads(path.read_text())["series"]}


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def random_ct() -> Volume:
    values = np.random.default_rng(0).integers(-1000, 1500, (8, 7, 6)).astype(np.int16)
    values[0, 0, 0] = -1000
    return Volume(values, AFFINE, "CT")


def write_studies(root: Path) -> Path:
    """Two studies: one with CT and MR, one with a gap; a NIfTI file, and a file of another kind."""
    images = stack()
    write_slices(rescaled(images, 1, -1024), root / "one" / "ct", "CT", Uids("ct", "one"))
    write_slices(images, root / "one" / "mr", "MR", Uids("mr", "one"))
    write_slices(images[:3] + images[4:], root / "two", "CT", Uids("gap", "two"))
    values = np.random.default_rng(1).integers(0, 900, (5, 6, 7)).astype(np.int16)
    (root / "more").mkdir()
    write_volume(Volume(values, AFFINE, "MR"), root / "more" / "brain.nii.gz")
    (root / "notes.txt").write_text("nothing to see")
    return root
