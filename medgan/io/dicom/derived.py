"""A synthetic series in the study and the frame of reference of the series it was made from."""

import copy
import itertools
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pydicom
from pydicom.config import RAISE
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import validate_value

from medgan import __version__
from medgan.io.dicom.codes import code_item
from medgan.io.dicom.functional_groups import frame_headers
from medgan.io.dicom.image_modules import (
    SYNTHETIC_DESCRIPTION,
    as_long_string,
    as_text,
    complete,
    created_times,
    equipment,
    image_header,
    synthesizing_equipment,
    synthetic_labels,
)
from medgan.io.dicom.instances import write_instances
from medgan.io.dicom.series import DicomSeries, Plane
from medgan.io.dicom.snomed import recode
from medgan.io.dicom.stack import Stack, as_ds, require_at, stack_of
from medgan.io.dicom.stored_pixels import ct_pixels, mr_pixels
from medgan.io.dicom.uids import derived_uid
from medgan.volumes import Volume
from medgan.volumes.geometry import require_same_grid

log = logging.getLogger(__name__)

KEPT = (
    # How texts are encoded, and what zone times are in.
    "SpecificCharacterSet", "TimezoneOffsetFromUTC",
    # Patient and patient study, PS3.3 C.7.1.1 and C.7.2.2.
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex",
    "OtherPatientIDsSequence", "OtherPatientNames", "EthnicGroup", "PatientComments",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription",
    "PatientBreedCodeSequence", "BreedRegistrationSequence", "ResponsiblePerson",
    "ResponsiblePersonRole", "ResponsibleOrganization", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified", "PatientAge", "PatientSize", "PatientWeight",
    # Study, C.7.2.1.
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID",
    "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyDescription",
    "ProcedureCodeSequence",
    # Clinical trial subject and study, C.7.1.3 and C.7.2.3.
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
    # Series and acquisition, as far as they are about the patient and not the scanner.
    "PatientPosition", "BodyPartExamined", "AnatomicRegionSequence", "Laterality",
    "ImageLaterality", "PositionReferenceIndicator",
    "AcquisitionDate", "AcquisitionTime",
)  # fmt: skip
"""Attributes of the source that a series derived from it shares."""

OPTIONAL_CODES = ("ProcedureCodeSequence", "AnatomicRegionSequence")
"""Left out where a code in them is retired and has no successor: both are of type 3."""

LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
"""What is derived from a lossy image stays lossy (PS3.3 C.7.6.1.1.5)."""


@dataclass(frozen=True)
class Derivation:
    """How a synthetic image was made; goes into the file.

    Attributes:
        model_name: goes into the description of the series, too.
        model_version: of the model, not of medgan.
        weights_sha256: hexadecimal digest of the model's weights.
        description: preparation in words: normalisation, voxel size.
        created: time zone aware, and fixed for a job: what is written depends on it.
        resampled: whether values were interpolated on the way to the model or back.
    """

    model_name: str
    model_version: str
    weights_sha256: str
    description: str
    created: datetime
    resampled: bool = False


@dataclass(frozen=True)
class FrameOfReference:
    """The frame of reference of a series: its own, or one generated because it has none."""

    uid: str
    generated: bool


def frame_of_reference(source: DicomSeries) -> FrameOfReference:
    """The frame of reference in which everything derived from a series is written.

    Where the series has none, one is derived from its Study and Series Instance UID: all that is
    derived from it agrees, though it cannot be tied to the source itself.
    """
    uid = source.volume.frame_of_reference
    if uid:
        return FrameOfReference(uid, generated=False)
    header = source.planes[0].header
    generated = derived_uid("frame of reference", header.StudyInstanceUID, header.SeriesInstanceUID)
    return FrameOfReference(generated, generated=True)


def write_derived(
    volume: Volume, source: DicomSeries, folder: Path, derivation: Derivation
) -> tuple[Path, ...]:
    """Write a synthetic CT or MR into the study of its source: one single-frame file a plane.

    Patient, study, frame of reference and place are those of the source; series and instances are
    new, with UIDs that are the same when the same work is repeated. A CT holds HU rounded to int16
    and clipped at -1024; an MR holds integers, with a real-world value mapping where it was scaled.

    Args:
        volume: (X, Y, Z) "CT" or "MR", on the grid of ``source.volume``.
        source: the series it was made from.
        folder: made where it does not exist; a series has it for itself.
        derivation: how it was made.

    Returns:
        The files, one for each plane of the volume and in the same order.

    Raises:
        GeometryError: another grid than the source's, or a plane that is not where its header says.
        DataError: values that are not finite; neither CT nor MR; a time without a zone.
        OutputError: a file cannot be written.

    Source:
        DICOM PS3.3 A.3 (CT Image IOD), A.4 (MR Image IOD), C.7.6.1 (derived images).
    """
    require_same_grid(source.volume, volume)
    stack = stack_of(source.volume)
    # pydicom's warnings quote values, which may identify the patient.
    with pydicom.config.disable_value_validation():
        series = series_header(volume, source, derivation)
        synthetic = replace(volume, synthetic=True)
        pixels = ct_pixels(synthetic) if volume.modality == "CT" else mr_pixels(synthetic)
        headers = []
        for k, plane in enumerate(source.planes):
            header = copy.deepcopy(series)
            header.update(pixels.describe())
            header.update(stack.describe(k))
            header.update(_slice_header(plane, stack, k, repaired=bool(source.repairs)))
            headers.append(header)
        return write_instances(headers, pixels, folder)


def series_header(volume: Volume, source: DicomSeries, derivation: Derivation) -> Dataset:
    """What all planes of a derived series say alike."""
    original = source.planes[0].header
    frame = frame_of_reference(source)
    if frame.generated:
        log.warning("the source has no frame of reference: %s was generated", frame.uid)
    words = description(f"Synthetic {volume.modality}", source, derivation, frame)
    header = image_header(volume.modality)
    copy_anatomy(original, header)
    copy_elements(original, header, (*KEPT, *LOSSY))
    header.update(created_times(derivation.created, original.get("TimezoneOffsetFromUTC")))
    header.update(equipment(derivation.model_name, derivation.model_version))
    header.update(synthetic_labels())
    header.FrameOfReferenceUID = frame.uid
    header.SeriesNumber = series_number(original)
    header.SeriesDescription = as_long_string(
        f"{SYNTHETIC_DESCRIPTION[volume.modality]} {derivation.model_name}"
    )
    header.BurnedInAnnotation = original.get("BurnedInAnnotation") or "NO"
    header.DerivationDescription = as_text(words)
    if derivation.resampled or source.repairs:
        header.DerivationCodeSequence = [code_item(codes.DCM.SpatialResampling)]
    header.ContributingEquipmentSequence = [
        synthesizing_equipment(
            derivation.model_name, derivation.model_version, derivation.created, words
        )
    ]
    complete(header)
    return header


def description(
    made: str, source: DicomSeries, derivation: Derivation, frame: FrameOfReference
) -> str:
    """How a derived image came about, in words for Derivation Description.

    Args:
        made: what it is, e.g. "Synthetic CT".
        source: the series it was made from.
        derivation: how it was made.
        frame: the frame of reference that is written.
    """
    origin = "synthetic " if source.volume.synthetic else ""
    parts = [
        f"{made} made from {origin}{source.volume.modality} by medgan {__version__}",
        f"model {derivation.model_name} {derivation.model_version}",
        f"weights SHA-256 {derivation.weights_sha256}",
        derivation.description,
        *source.repairs,
    ]
    if frame.generated:
        parts.append("frame of reference generated: the source has none")
    return "; ".join(part for part in parts if part)


def series_number(original: Dataset) -> int:
    """1000 above the source's, so that both stand near each other in a list."""
    number = int(original.get("SeriesNumber") or 0) + 1000
    return number if number < 2**31 else 1000


def copy_elements(source: Dataset, target: Dataset, keywords: Iterable[str]) -> None:
    """Copy those attributes that the source has, but no number that is none.

    Concepts coded by the retired edition of SNOMED are coded by the current one.
    """
    for keyword in keywords:
        if keyword not in source:
            continue
        try:
            element = copy.deepcopy(source[keyword])
            if element.VR in ("AS", "DS", "IS"):
                validate_value(element.VR, str(element.value), RAISE)
            if element.VR == "SQ" and not recode(element) and keyword in OPTIONAL_CODES:
                log.warning("%s of the source has a retired code and is left out", keyword)
                continue
        except (NotImplementedError, TypeError, ValueError):
            log.warning("%s of the source is not valid and is left out", keyword)
        else:
            target[keyword] = element


def copy_anatomy(source: Dataset, target: Dataset) -> None:
    """Copy body part and side from where an enhanced image has them (PS3.3 C.7.6.16.2.8)."""
    frame = next(frame_headers(source))
    found = [
        group["FrameAnatomySequence"][0]
        for group in frame.groups
        if group.get("FrameAnatomySequence")
    ]
    if found:
        copy_elements(found[0], target, ["AnatomicRegionSequence"])
        target.ImageLaterality = found[0].get("FrameLaterality")


def source_reference(plane: Plane, *, preserved: bool) -> Dataset:
    """An item of Source Image Sequence.

    Args:
        plane: the plane of the source.
        preserved: whether its pixels lie where those of the derived plane do.

    Source:
        DICOM PS3.3 C.7.6.1 (table C.7-9), C.12.4; PS3.16 CID 7202.
    """
    item = Dataset()
    item.ReferencedSOPClassUID = plane.header.SOPClassUID
    item.ReferencedSOPInstanceUID = plane.header.SOPInstanceUID
    if plane.frame is not None:
        item.ReferencedFrameNumber = plane.frame
    item.SpatialLocationsPreserved = "YES" if preserved else "NO"
    item.PurposeOfReferenceCodeSequence = [
        code_item(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    return item


def _slice_header(plane: Plane, stack: Stack, k: int, *, repaired: bool) -> Dataset:
    """What sets one plane of a derived series apart from the others, its place aside."""
    frames = frame_headers(plane.header)
    frame = next(itertools.islice(frames, (plane.frame or 1) - 1, None))
    if not repaired:
        require_at(stack, k, frame.numbers("ImagePositionPatient", 3), plane.path.name)
    thickness = None if repaired else frame.number_of("SliceThickness")
    header = Dataset()
    header.SliceThickness = as_ds(thickness or stack.step_mm)
    header.InstanceNumber = k + 1
    header.SourceImageSequence = [source_reference(plane, preserved=not repaired)]
    return header
