"""A CT or MR series from a volume that has no DICOM headers, such as one from NIfTI."""

import copy
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

from medgan import __version__
from medgan.errors import ConfigError
from medgan.io.dicom.image_modules import (
    SYNTHETIC_DESCRIPTION,
    as_text,
    complete,
    created_times,
    equipment,
    image_header,
    synthesizing_equipment,
    synthetic_labels,
)
from medgan.io.dicom.instances import write_instances
from medgan.io.dicom.stack import as_ds, as_planes, stack_of
from medgan.io.dicom.stored_pixels import ct_pixels, mr_pixels
from medgan.io.dicom.uids import derived_uid
from medgan.volumes import Volume


@dataclass(frozen=True)
class Identity:
    """Who a series made from a file without DICOM headers is said to show.

    What is None is generated where it says so and otherwise left empty.

    Attributes:
        patient_id: generated: "MEDGAN-" and twelve hexadecimal digits.
        patient_name: ``family^given``; generated: "MEDGAN^" and the same digits.
        patient_birth_date: ``YYYYMMDD``.
        patient_sex: "M", "F" or "O".
        study_uid: of the study that the series joins; generated: from seed and time of creation.
        study_date: ``YYYYMMDD``; generated: that of creation.
        study_time: ``HHMMSS``; generated: that of creation.
        study_id: as the department numbers it; generated: "1".
        accession_number: as the order was numbered.
        study_description: free text.
        series_description: free text; that of a synthetic series begins with its label.
        series_number: within the study.
        body_part: Body Part Examined, e.g. "HEAD".
        patient_position: e.g. "HFS": head first, supine.
    """

    patient_id: str | None = None
    patient_name: str | None = None
    patient_birth_date: str | None = None
    patient_sex: str | None = None
    study_uid: str | None = None
    study_date: str | None = None
    study_time: str | None = None
    study_id: str | None = None
    accession_number: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    series_number: int = 1
    body_part: str | None = None
    patient_position: str | None = None

    @classmethod
    def of(cls, header: Dataset) -> Self:
        """The patient and the study that a header names."""
        words = {name: word for name, word in _KEYWORDS.items() if name != "series_number"}
        values = {name: str(header.get(word) or "") or None for name, word in words.items()}
        return cls(**values, series_number=int(header.get("SeriesNumber") or 1))


_KEYWORDS = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "study_uid": "StudyInstanceUID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_id": "StudyID",
    "accession_number": "AccessionNumber",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "series_number": "SeriesNumber",
    "body_part": "BodyPartExamined",
    "patient_position": "PatientPosition",
}


def write_series(
    volume: Volume,
    folder: Path,
    identity: Identity | None = None,
    *,
    created: datetime,
    seed: str,
) -> tuple[Path, ...]:
    """Write a CT or MR series from any volume: one single-frame file a plane.

    Axes are permuted and flipped into planes that a viewer shows upright, without interpolation. HU
    are rounded to int16; MR that is not integral is scaled to 16 bits, with a real-world value
    mapping that undoes it.

    Args:
        volume: (X, Y, Z) "CT" or "MR" in any orientation, at right angles.
        folder: made where it does not exist; a series has it for itself.
        identity: who it shows; None generates everything.
        created: time zone aware; part of the content and of generated UIDs.
        seed: what generated identifiers are derived from, e.g. a file's path below its root. What
            is written with one seed at one time is one patient, study and frame of reference.

    Returns:
        The files, one for each plane in order of position.

    Raises:
        GeometryError: voxel axes that are not at right angles.
        DataError: values not finite or, in a real CT, beyond int16; neither CT nor MR; a time
            without a zone.
        ConfigError: a part of the identity that DICOM has no form for.
        OutputError: a file cannot be written.
    """
    volume = as_planes(volume)
    stack = stack_of(volume)
    series = _series_header(volume, identity or Identity(), created, seed)
    pixels = ct_pixels(volume) if volume.modality == "CT" else mr_pixels(volume)
    image = pixels.describe()
    headers = []
    for k in range(volume.shape[2]):
        header = copy.deepcopy(series)
        header.update(image)
        header.update(stack.describe(k))
        header.SliceThickness = as_ds(stack.step_mm)
        header.InstanceNumber = k + 1
        headers.append(header)
    return write_instances(headers, pixels, folder)


def _series_header(volume: Volume, identity: Identity, created: datetime, seed: str) -> Dataset:
    header = image_header(volume.modality)
    header.SpecificCharacterSet = "ISO_IR 192"
    header.update(created_times(created))
    header.update(equipment("medgan", __version__))
    header.update(_identity_header(_completed(identity, created, seed)))
    header.FrameOfReferenceUID = volume.frame_of_reference or derived_uid(
        "frame of reference", seed, created.isoformat()
    )
    words = f"Converted by medgan {__version__} from a file without DICOM headers"
    if volume.synthetic:
        words = f"Synthetic {volume.modality}. {words}"
        header.update(synthetic_labels())
        label = SYNTHETIC_DESCRIPTION[volume.modality]
        header.SeriesDescription = f"{label} {identity.series_description or ''}"[:64].strip()
        header.ContributingEquipmentSequence = [
            synthesizing_equipment("medgan", __version__, created, words)
        ]
    header.DerivationDescription = as_text(words)
    complete(header)
    return header


def _completed(identity: Identity, created: datetime, seed: str) -> Identity:
    number = f"{int(derived_uid('patient', seed).rpartition('.')[2]) >> 80:012X}"
    return replace(
        identity,
        patient_id=identity.patient_id or f"MEDGAN-{number}",
        patient_name=identity.patient_name or f"MEDGAN^{number}",
        study_uid=identity.study_uid or derived_uid("study", seed, created.isoformat()),
        study_date=identity.study_date or created.strftime("%Y%m%d"),
        study_time=identity.study_time or created.strftime("%H%M%S"),
        study_id=identity.study_id or "1",
    )


def _identity_header(identity: Identity) -> Dataset:
    """Raises ConfigError, and never repeats a value."""
    header = Dataset()
    for name, keyword in _KEYWORDS.items():
        value = getattr(identity, name)
        if value is None:
            continue
        vr = dictionary_VR(keyword)
        try:
            validate_value(vr, str(value), RAISE)
        except ValueError as error:
            raise ConfigError(
                f"{name} of this identity has no form in DICOM",
                measured=f"{len(str(value))} characters",
                remedy=f"See Value Representation {vr} in DICOM PS3.5 6.2",
            ) from error
        setattr(header, keyword, value)
    return header
