"""What every CT or MR image written here says besides patient, place and pixels."""

import re
from datetime import datetime, timedelta, timezone

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, MRImageStorage

from medgan import __version__
from medgan.errors import DataError
from medgan.io.dicom.codes import code_item
from medgan.volumes import Modality

MANUFACTURER = "The medgan developers"
"""Begins unlike any vendor's name: dcm2niix tells vendors by two letters and takes "medgan" for
Mediso."""

RESEARCH_ONLY = "RESEARCH USE ONLY - NOT FOR CLINICAL USE"

SYNTHETIC_DESCRIPTION = {
    "CT": "sCT (synthetic, research)",
    "MR": "sMR (synthetic, research)",
    "map": "Map (synthetic, research)",
}
"""How the description of a synthetic series begins."""

EMPTY_TYPE_2 = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientPosition",
    "PatientSex",
    "PositionReferenceIndicator",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""Must be there, may be empty (PS3.3 C.7.1.1, C.7.2.1, C.7.3.1, C.7.4.1)."""

_EMPTY_IN_MR = (
    "ScanOptions",
    "MRAcquisitionType",
    "RepetitionTime",
    "EchoTime",
    "EchoTrainLength",
)
"""A synthetic MR has no acquisition; these must be there all the same (PS3.3 C.8.3.1)."""


def image_header(modality: Modality) -> Dataset:
    """The attributes of the CT or MR Image module that do not depend on the image.

    Source:
        DICOM PS3.3 C.8.2.1 (CT Image module), C.8.3.1 (MR Image module). AXIAL stands for any
        section, sagittal and oblique ones too (C.8.2.1.1.1); RM is research mode.

    Raises:
        DataError: neither CT nor MR.
    """
    header = Dataset()
    header.Modality = modality
    header.AcquisitionNumber = None
    header.LossyImageCompression = "00"
    if modality == "CT":
        header.SOPClassUID = CTImageStorage
        header.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        header.KVP = None
        header.RescaleSlope, header.RescaleIntercept, header.RescaleType = "1", "0", "HU"
    elif modality == "MR":
        header.SOPClassUID = MRImageStorage
        header.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
        header.ScanningSequence = "RM"
        header.SequenceVariant = "NONE"
        for keyword in _EMPTY_IN_MR:
            setattr(header, keyword, None)
    else:
        raise DataError("only CT and MR become DICOM images", measured=modality)
    return header


def equipment(model: str, software: str) -> Dataset:
    """The General Equipment module, or an item of Contributing Equipment.

    Args:
        model: what made the image.
        software: its version.

    Source:
        DICOM PS3.3 C.7.5.1.
    """
    header = Dataset()
    header.Manufacturer = MANUFACTURER
    header.ManufacturerModelName = as_long_string(model)
    header.SoftwareVersions = [as_long_string(software), f"medgan {__version__}"]
    return header


def synthesizing_equipment(model: str, software: str, created: datetime, done: str) -> Dataset:
    """An item of Contributing Equipment Sequence that says what synthesised the image.

    Args:
        model: name of the model.
        software: its version.
        created: time zone aware.
        done: what it did, in words.

    Source:
        DICOM PS3.3 C.12.1 (SOP Common module), PS3.16 CID 7005.
    """
    item = equipment(model, software)
    item.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.SynthesizingEquipment)]
    item.ContributionDateTime = created.strftime("%Y%m%d%H%M%S.%f%z")
    item.ContributionDescription = as_text(done)
    return item


def synthetic_labels() -> Dataset:
    """The attributes by which machines and people see that a model made the image."""
    header = Dataset()
    header.SyntheticData = "YES"
    header.ContentQualification = "RESEARCH"
    header.ImageComments = RESEARCH_ONLY
    return header


def created_times(created: datetime, offset: str | None = None) -> Dataset:
    """Dates and times of series, content and instance.

    Args:
        created: time zone aware.
        offset: Timezone Offset From UTC of the data set, ``&ZZXX``; None: that of ``created``.

    Raises:
        DataError: ``created`` has no time zone.
    """
    if created.tzinfo is None:
        raise DataError("a time of creation needs a time zone", measured="none")
    local = created.astimezone(_time_zone(offset)) if offset else created
    header = Dataset()
    for name in ("InstanceCreation", "Series", "Content"):
        setattr(header, f"{name}Date", local.strftime("%Y%m%d"))
        setattr(header, f"{name}Time", local.strftime("%H%M%S.%f"))
    return header


def complete(header: Dataset) -> None:
    """Add what must be there though it is not known."""
    for keyword in EMPTY_TYPE_2:
        if keyword not in header:
            setattr(header, keyword, None)
    complete_side(header)


def complete_side(header: Dataset) -> None:
    """Say of an image that names neither body part nor side that the part is unpaired.

    Heads and trunks are; to leave it open is allowed, but validators warn of it.

    Source:
        DICOM PS3.3 C.7.3.1 (Laterality), 10.5 (Image Laterality).
    """
    anatomy = ("BodyPartExamined", "AnatomicRegionSequence", "Laterality", "ImageLaterality")
    for keyword in anatomy:
        if keyword in header and not header[keyword].value:
            del header[keyword]
    if not any(keyword in header for keyword in anatomy):
        header.ImageLaterality = "U"


def as_long_string(text: str, length: int = 64) -> str:
    """A text as VR LO takes it: printable ASCII without a backslash, cut to a length."""
    return re.sub(r"[^ -\[\]-~]", "?", text)[:length].strip()


def as_text(text: str) -> str:
    """A text as VR ST takes it: ASCII, at most 1024 characters."""
    return re.sub(r"[^ -~\n]", "?", text)[:1024].strip()


def _time_zone(offset: str) -> timezone | None:
    found = re.fullmatch(r"([+-])(\d\d)(\d\d)", offset.strip())
    if not found:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
