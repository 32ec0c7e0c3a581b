"""Maps that explain a synthetic image, such as attention, as DICOM parametric maps."""

import re
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, MRImageStorage

from medgan import __version__
from medgan.io.dicom.derived import (
    KEPT,
    Derivation,
    FrameOfReference,
    copy_anatomy,
    copy_elements,
    description,
    frame_of_reference,
    series_number,
    source_reference,
)
from medgan.io.dicom.image_modules import (
    EMPTY_TYPE_2,
    MANUFACTURER,
    SYNTHETIC_DESCRIPTION,
    as_long_string,
    as_text,
    complete_side,
    created_times,
    equipment,
    synthesizing_equipment,
    synthetic_labels,
)
from medgan.io.dicom.instances import content_digest, write_file
from medgan.io.dicom.series import DicomSeries
from medgan.io.dicom.stack import Stack, as_ds, stack_of
from medgan.io.dicom.uids import derived_uid
from medgan.io.values import require_finite
from medgan.volumes import Volume
from medgan.volumes.geometry import Affine, ras_to_lps, require_same_grid

_UNKNOWN = UID("2.25.0")
"""Stands for the identifiers until everything they are derived from is known."""

_REFERENCED = ("SeriesInstanceUID", "StudyInstanceUID")
_SHARED = tuple(
    keyword
    for keyword in KEPT
    if keyword not in ("AcquisitionDate", "AcquisitionTime", "PatientPosition")
)
"""What a map has in common with the series it belongs to."""


def write_parametric_map(
    values: Volume, source: DicomSeries, path: Path, derivation: Derivation, *, label: str
) -> None:
    """Write a map of real numbers beside a series: one multi-frame file of 32-bit floats.

    Args:
        values: (X, Y, Z) any real dtype, without a unit, on the grid of ``source.volume``.
        source: the series that the map belongs to; patient, study and place are taken from it.
        path: the file.
        derivation: how the map was made.
        label: what it shows, e.g. "attention".

    Raises:
        GeometryError: another grid than the source's, or one for which DICOM has no form.
        DataError: NaN or infinity; a time without a zone.
        OutputError: the file cannot be written.

    Source:
        DICOM PS3.3 A.75 (Parametric Map IOD).
    """
    require_same_grid(source.volume, values)
    require_finite(values.array, f"{label} map")
    stack, frame = stack_of(source.volume), frame_of_reference(source)
    # pydicom's warnings quote values, which may identify the patient.
    with pydicom.config.disable_value_validation():
        sources = _stand_ins(source, stack, frame)
        image = _parametric_map(values, sources, frame, derivation, label)
        _refer(image, source, stack)
        _describe(image, source, frame, derivation, label)
        _identify(image)
        write_file(image, path)


def _parametric_map(
    values: Volume,
    sources: list[Dataset],
    frame: FrameOfReference,
    derivation: Derivation,
    label: str,
) -> Dataset:
    array = np.ascontiguousarray(values.array.transpose(2, 1, 0), dtype=np.float32)
    low, high = float(array.min()), float(array.max())
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label=_code_string(label),
        lut_explanation=as_long_string(label),
        unit=codes.UCUM.NoUnits,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
    )
    window = highdicom.VOILUTTransformation(
        (low + high) / 2, max(high - low, 1e-6), voi_lut_function="LINEAR_EXACT"
    )
    return highdicom.pm.ParametricMap(
        source_images=sources,
        pixel_array=highdicom.Volume(
            array,
            _at_right_angles(ras_to_lps(values.affine))[:, [2, 1, 0, 3]],
            coordinate_system="PATIENT",
            frame_of_reference_uid=frame.uid,
        ),
        series_instance_uid=_UNKNOWN,
        series_number=1,
        sop_instance_uid=_UNKNOWN,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=as_long_string(derivation.model_name),
        software_versions=f"medgan {__version__}",
        device_serial_number=as_long_string(derivation.weights_sha256),
        # Attention follows the skin as well as it follows anything.
        contains_recognizable_visual_features=True,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[window],
        content_label=_code_string(label),
    )


def _at_right_angles(affine: Affine) -> Affine:
    """The nearest affine at exact right angles: highdicom forgives less than headers round off."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    result = affine.copy()
    result[:3, :3] = left @ right * spacing
    return result


def _stand_ins(source: DicomSeries, stack: Stack, frame: FrameOfReference) -> list[Dataset]:
    """One classic header for each plane, with what highdicom asks for and nothing it objects to."""
    columns, rows, _ = source.volume.shape
    headers = []
    for k, plane in enumerate(source.planes):
        header = stack.describe(k)
        copy_elements(plane.header, header, _REFERENCED)
        header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, f"2.25.{k}"
        header.FrameOfReferenceUID = frame.uid
        header.Rows, header.Columns = rows, columns
        header.SliceThickness = as_ds(stack.step_mm)
        for keyword in EMPTY_TYPE_2:
            setattr(header, keyword, None)
        headers.append(header)
    return headers


def _refer(image: Dataset, source: DicomSeries, stack: Stack) -> None:
    """Name for each frame the plane it belongs to, and each source file once."""
    for group in image.PerFrameFunctionalGroupsSequence:
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        k = int(np.linalg.norm(stack.positions - position, axis=1).argmin())
        reference = source_reference(source.planes[k], preserved=not source.repairs)
        group.DerivationImageSequence[0].SourceImageSequence = [reference]
    files = {plane.header.SOPInstanceUID: plane.header for plane in source.planes}
    image.SourceImageSequence = [_instance(header) for header in files.values()]
    image.ReferencedSeriesSequence[0].ReferencedInstanceSequence = [
        _instance(header) for header in files.values()
    ]


def _instance(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _describe(
    image: Dataset,
    source: DicomSeries,
    frame: FrameOfReference,
    derivation: Derivation,
    label: str,
) -> None:
    original = source.planes[0].header
    words = description(f"Map of {label} in a synthetic image", source, derivation, frame)
    copy_anatomy(original, image)
    copy_elements(original, image, _SHARED)
    complete_side(image)
    image.update(created_times(derivation.created, original.get("TimezoneOffsetFromUTC")))
    image.update(equipment(derivation.model_name, derivation.model_version))
    image.update(synthetic_labels())
    image.SeriesNumber = series_number(original) + 1
    image.SeriesDescription = as_long_string(f"{SYNTHETIC_DESCRIPTION['map']} {label}")
    image.DerivationDescription = as_text(words)
    ours = synthesizing_equipment(
        derivation.model_name, derivation.model_version, derivation.created, words
    )
    for item in image.ContributingEquipmentSequence:
        item.ContributionDateTime = ours.ContributionDateTime
    image.ContributingEquipmentSequence.append(ours)


def _identify(image: Dataset) -> None:
    """Derive the UIDs from all the rest, as for images."""
    items = (*image.DimensionOrganizationSequence, *image.DimensionIndexSequence)
    for item in items:
        item.DimensionOrganizationUID = _UNKNOWN
    digest = content_digest(image)
    for item in items:
        item.DimensionOrganizationUID = derived_uid("dimension organization", digest)
    image.SeriesInstanceUID = derived_uid("series", digest)
    image.SOPInstanceUID = derived_uid("instance", digest)


def _code_string(text: str) -> str:
    """A text as VR CS takes it: capitals, digits, underscores, 16 at most."""
    return re.sub(r"[^A-Z0-9]", "_", text.upper())[:16]
