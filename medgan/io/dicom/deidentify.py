"""De-identification by the basic profile: what stays is named, pseudonyms depend on a key."""

import hmac
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from medgan import __version__
from medgan.errors import ConfigError
from medgan.io.dicom.codes import code_item
from medgan.io.dicom.errors import BurnedInAnnotation, DamagedFile, SecondaryCapture
from medgan.io.dicom.frames import capture_problem
from medgan.io.dicom.image_modules import (
    MANUFACTURER,
    RESEARCH_ONLY,
    SYNTHETIC_DESCRIPTION,
    equipment,
)
from medgan.io.dicom.instances import file_meta
from medgan.io.dicom.parsing import quiet_parsing, read_whole
from medgan.io.dicom.profile import Cleaner, basic_profile
from medgan.io.files import writing

SHORTEST_KEY = 16
"""Bytes; a shorter key can be found by trying."""


def deidentify(header: Dataset, key: bytes, *, retain_characteristics: bool = False) -> Dataset:
    """Remove what could identify a patient from a CT or MR image.

    UIDs, the patient's ID and name become pseudonyms, the same for the same original under one key,
    so that a whole tree stays consistent. Dates are removed, or 1900-01-01 where there must be one.
    The marks of an image that medgan synthesised stay. Pixels are not touched: the face in a head
    scan can still be recognised.

    Args:
        header: a data set, with or without pixels; it is not changed.
        key: secret, at least 16 bytes; whoever has it can test a guess.
        retain_characteristics: keep sex, age, size, weight and the like.

    Returns:
        A new data set that says what was done to it.

    Raises:
        BurnedInAnnotation: text is part of the pixels.
        SecondaryCapture: a picture of a screen, a film or a page, which may show anything.
        ConfigError: the key is too short.

    Source:
        DICOM PS3.15 E.1 (profile), E.3.7 (patient characteristics), PS3.3 C.12.1.
    """
    _require_long_key(key)
    retained = basic_profile().characteristics if retain_characteristics else frozenset()
    with quiet_parsing():
        _require_clean_pixels(header)
        pseudonyms = _pseudonyms(header, key)
        result = Cleaner(key, pseudonyms, retained).clean(header)
        for keyword, value in pseudonyms.items():
            setattr(result, keyword, value)
        _restore_synthetic_marks(result, header)
    _say_what_was_done(result, retained=retain_characteristics)
    return result


def deidentify_file(
    source: Path,
    target: Path,
    key: bytes,
    *,
    root: Path | None = None,
    retain_characteristics: bool = False,
) -> None:
    """De-identify one file, atomically; the coding of its pixels stays as it is.

    Args:
        source: a DICOM file.
        target: the file to write. Its name is the caller's: that of ``source`` may identify.
        key: as for ``deidentify``.
        root: folder to which names in errors are relative.
        retain_characteristics: as for ``deidentify``.

    Raises:
        DamagedFile: not to be read as DICOM.
        BurnedInAnnotation: text is part of the pixels.
        SecondaryCapture: a picture of a screen, a film or a page.
        OutputError: the file cannot be written.
    """
    where = source.relative_to(root) if root else source.name
    _require_long_key(key)
    # What pydicom warns of while it parses names the file, which may be called after the patient.
    with quiet_parsing():
        original = read_whole(source, where)
    try:
        result = deidentify(original, key, retain_characteristics=retain_characteristics)
        result.file_meta = file_meta(result, original.file_meta.TransferSyntaxUID)
    except (BurnedInAnnotation, SecondaryCapture) as error:
        raise type(error)(error.what, where=where, remedy=error.remedy) from error
    # pydicom raises an AttributeError for an attribute that is missing
    except (AttributeError, NotImplementedError, RecursionError, TypeError, ValueError) as error:
        raise DamagedFile("an attribute is missing or cannot be read", where=where) from error
    with writing(target) as temporary:
        dcmwrite(temporary, result, enforce_file_format=True)


def _require_long_key(key: bytes) -> None:
    if len(key) < SHORTEST_KEY:
        raise ConfigError(
            "the key for pseudonyms is too short", measured=len(key), limit=f"{SHORTEST_KEY} bytes"
        )


def _require_clean_pixels(header: Dataset) -> None:
    problem = capture_problem(header)
    if problem is not None:
        remedy = "It may show who the patient is: leave it out, or remove the text first"
        raise type(problem)(problem.what, remedy=remedy)


def _pseudonyms(header: Dataset, key: bytes) -> dict[str, str]:
    study = str(header.get("StudyInstanceUID", ""))
    identity = str(header.get("PatientID") or header.get("PatientName") or study).strip()
    patient = _pseudonym(identity, "patient", key)
    return {
        "PatientID": f"ANON-{patient}",
        "PatientName": f"ANON^{patient}",
        "StudyID": _pseudonym(study, "study", key),
    }


def _pseudonym(original: str, kind: str, key: bytes) -> str:
    message = f"{kind}\0{original}".encode()
    return hmac.new(key, message, "sha256").hexdigest()[:12].upper()


def _synthesized_here(item: Dataset) -> bool:
    """Whether an item of Contributing Equipment Sequence is medgan's own."""
    purposes = item.get("PurposeOfReferenceCodeSequence") or []
    codes_given = {purpose.get("CodeValue") for purpose in purposes}
    return (
        item.get("Manufacturer") == MANUFACTURER
        and codes.DCM.SynthesizingEquipment.value in codes_given
    )


def _restore_synthetic_marks(result: Dataset, header: Dataset) -> None:
    """Put back the texts by which medgan marked an image; they hold nothing of the patient's."""
    contributors = header.get("ContributingEquipmentSequence") or []
    ours = [k for k, item in enumerate(contributors) if _synthesized_here(item)]
    if not ours or header.get("SyntheticData") != "YES":
        return
    for k in ours:
        cleaned = result.ContributingEquipmentSequence[k]
        cleaned.ContributionDescription = contributors[k].get("ContributionDescription")
    described = str(header.get("SeriesDescription", ""))
    for label in SYNTHETIC_DESCRIPTION.values():
        if described.startswith(label):
            result.SeriesDescription = label
    result.ImageComments = RESEARCH_ONLY
    if "DerivationDescription" in header:
        result.DerivationDescription = header.DerivationDescription


def _say_what_was_done(result: Dataset, *, retained: bool) -> None:
    done = [codes.DCM.BasicApplicationConfidentialityProfile]
    if retained:
        done.append(codes.DCM.RetainPatientCharacteristicsOption)
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = f"medgan {__version__}"
    result.DeidentificationMethodCodeSequence = [code_item(concept) for concept in done]
    result.LongitudinalTemporalInformationModified = "REMOVED"
    tool = equipment("medgan", __version__)
    tool.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.DeIdentifyingEquipment)]
    earlier = result.get("ContributingEquipmentSequence") or []
    result.ContributingEquipmentSequence = [*earlier, tool]
