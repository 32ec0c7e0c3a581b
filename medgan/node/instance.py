"""What a received instance says it is."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID

from medgan.errors import FileError
from medgan.io.batch.naming import pseudonym
from medgan.io.dicom.frames import IMAGE_CLASSES
from medgan.io.dicom.parsing import faults_of_the_file, quiet_parsing, read_header
from medgan.volumes import Modality

WHERE = "an instance"
"""How errors call it: its UIDs lead to the patient."""

MB = 1e6


class OtherInstance(FileError):
    """An instance is not what it was said to be, or not what is taken here."""


@dataclass(frozen=True)
class Claim:
    """What an instance is said to be before it is looked at; "" where nothing is said.

    Attributes:
        uid: its SOP Instance UID.
        sop_class: its SOP Class UID.
        series: as ``Instance.series``.
    """

    uid: str = ""
    sop_class: str = ""
    series: str = ""


@dataclass(frozen=True)
class Instance:
    """An instance, by names that do not identify the patient.

    Attributes:
        name: pseudonym of the instance.
        series: pseudonym of study and series.
    """

    name: str
    series: str


def series_name(study_uid: str, series_uid: str) -> str:
    """What a series is called in the queue, in logs and on the status page."""
    return pseudonym(f"{study_uid} {series_uid}")


def identify(path: Path, modality: Modality, claim: Claim) -> Instance:
    """Read what a file is.

    Args:
        path: the file.
        modality: that is taken here.
        claim: what it is said to be.

    Raises:
        OtherInstance: it is something else, or no image of the modality.
        FileError: it cannot be parsed.
    """
    with quiet_parsing(), faults_of_the_file(WHERE):
        header = read_header(path, WHERE).dataset
        sop_class, uid, study, series = (
            str(header.get(keyword) or "")
            for keyword in (
                "SOPClassUID",
                "SOPInstanceUID",
                "StudyInstanceUID",
                "SeriesInstanceUID",
            )
        )
    if IMAGE_CLASSES.get(sop_class) != modality:
        raise OtherInstance(f"is no {modality} image", where=WHERE, limit=kinds(modality))
    if not (uid and study and series):
        raise OtherInstance("lacks the UID of its study, its series or its own", where=WHERE)
    found = Claim(uid, sop_class, series_name(study, series))
    said = Claim(claim.uid or uid, claim.sop_class or sop_class, claim.series or found.series)
    if found != said:
        raise OtherInstance("is another one than it was said to be", where=WHERE)
    return Instance(pseudonym(uid), found.series)


def classes_of(modality: Modality) -> list[str]:
    """The SOP classes of the images of a modality."""
    return [uid for uid, kind in IMAGE_CLASSES.items() if kind == modality]


def kinds(modality: Modality) -> str:
    """The SOP classes of a modality in the standard's words."""
    return ", ".join(UID(uid).name for uid in classes_of(modality))
