"""What DICOM readers make of good and faulty series, side by side, as a Markdown table.

Every voxel of the phantom series has a value of its own. A reader's score is the share of source
voxels that it puts at their true place in the patient with their true value. What is neither right
nor refused is wrong silently: no exception, no failing exit code.

    python benchmarks/dicom_readers.py [--modality CT|MR]
"""

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from medgan.errors import MedganError
from medgan.io.dicom import index_folder, read_series
from medgan.phantoms.dicom_case import Case
from medgan.phantoms.dicom_cases import CASES, describe, write_case
from medgan.phantoms.dicom_slices import Truth
from medgan.volumes.geometry import apply_affine, lps_to_ras

PLACE_MM, VALUE = 0.01, 0.5


@dataclass(frozen=True, eq=False)
class Image:
    """A volume that a reader made: array (X, Y, Z), affine to RAS in mm."""

    array: Any
    affine: Any


@dataclass(frozen=True)
class Result:
    """What a reader made of a folder; ``complained``: by an exception or its exit code."""

    images: Sequence[Image]
    complained: bool


def with_medgan(folder: Path) -> Result:
    """Every entry of the index."""
    images, complained = [], False
    for entry in index_folder(folder).entries:
        try:
            volume = read_series(entry).volume
        except MedganError:
            complained = True
        else:
            images.append(Image(volume.array, volume.affine))
    return Result(images, complained)


def with_simpleitk(folder: Path) -> Result:
    """Every series that GDCM finds, read as one image."""
    images, complained = [], False
    for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
        try:
            image = reader.Execute()
        except RuntimeError:
            complained = True
            continue
        array = sitk.GetArrayFromImage(image)
        if array.ndim == 3:
            images.append(Image(array.transpose(2, 1, 0), _affine(image)))
    return Result(images, complained)


def _affine(image: sitk.Image) -> Any:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return lps_to_ras(affine)


def with_monai(folder: Path) -> Result:
    """The folder as one image, the way ``LoadImage(reader="PydicomReader")`` reads it."""
    from monai.data import PydicomReader

    reader = PydicomReader()
    try:
        array, facts = reader.get_data(reader.read(str(folder)))
    except Exception:
        return Result([], complained=True)
    return Result([Image(np.asarray(array), np.asarray(facts["affine"]))], complained=False)


def dcm2niix_reader(program: Path) -> Callable[[Path], Result]:
    """A reader that runs one build of dcm2niix."""

    def read(folder: Path) -> Result:
        with tempfile.TemporaryDirectory() as out:
            command = [program, "-b", "n", "-z", "n", "-f", "%s_%d_%z", "-o", out, folder]
            run = subprocess.run(command, capture_output=True, check=False)
            images = []
            for path in sorted(Path(out).glob("*.nii")):
                image = nib.load(path)
                colour = image.get_data_dtype().kind not in "iuf"
                array = image.dataobj.get_unscaled() if colour else np.asarray(image.dataobj)
                volumes = np.moveaxis(array, -1, 0) if array.ndim == 4 else [array]
                images += [Image(volume, image.affine) for volume in volumes]
        return Result(images, run.returncode != 0)

    return read


def score(truths: Sequence[Truth], images: Sequence[Image]) -> float:
    """Share of voxels found at their place with their value, in percent."""
    points = np.concatenate([truth.points_ras for truth in truths])
    values = np.concatenate([truth.values for truth in truths])
    found = np.zeros(len(values), dtype=bool)
    for image in images:
        usable = image.array.ndim == 3 and image.array.dtype.kind in "iuf"
        if not usable or abs(np.linalg.det(image.affine)) < 1e-9:
            continue
        index = np.rint(apply_affine(np.linalg.inv(image.affine), points)).astype(int)
        inside = ((index >= 0) & (index < image.array.shape)).all(axis=1)
        near = np.linalg.norm(apply_affine(image.affine, index) - points, axis=1) < PLACE_MM
        hits = np.flatnonzero(inside & near & ~found)
        array = image.array[tuple(index[hits].T)].astype(np.float64)
        found[hits] = np.abs(array - values[hits]) < VALUE
    return 100.0 * float(found.mean())


def verdict(case: Case, result: Result) -> str:
    """One cell of the table."""
    if not result.images:
        return "refused"
    right = score(case.sources, result.images)
    if right == 100:
        return "right"
    if result.complained and case.volumes and score(case.volumes, result.images) == 100:
        return "right, rest refused"
    if result.complained:
        return f"{right:.0f} %, reported"
    return f"**{right:.0f} %, silent**"


def readers() -> dict[str, Callable[[Path], Result]]:
    """Readers by name; dcm2niix in the builds that are installed."""
    found = {"medgan": with_medgan, "SimpleITK": with_simpleitk, "MONAI": with_monai}
    beside = Path(sys.executable).with_name("dcm2niix")
    system = shutil.which("dcm2niix", path="/usr/bin")
    for name, program in (("dcm2niix (PyPI)", beside), ("dcm2niix (system)", system)):
        if program and Path(program).exists():
            found[name] = dcm2niix_reader(Path(program))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modality", choices=["CT", "MR"], default="CT")
    modality = parser.parse_args().modality
    warnings.simplefilter("ignore")
    logging.disable()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    columns = readers()
    print(f"| {modality} series |", " | ".join(columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            case = write_case(name, Path(folder), modality)
            cells = [verdict(case, read(Path(folder))) for read in columns.values()]
        print(f"| {describe(name).rstrip('.')} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    # What C libraries print would stand within the table.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    main()
