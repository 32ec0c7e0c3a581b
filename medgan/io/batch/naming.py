"""Names of results: a template filled in with facts about a source, kept below one folder."""

import hashlib
import hmac
import re
import string
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from medgan.errors import ConfigError, OutputError

FIELDS = {
    "study": "hash of the study's UID, or of a file's folder",
    "series": "hash of the series' UID, or of a file's name",
    "modality": "CT or MR; VOLUME for a file that is not DICOM",
    "part": "what sets a volume apart within its series, after an underscore; mostly empty",
    "folder": "folder of the source below the one that is converted",
    "name": "name of the source's file or folder without its ending",
    "number": "SeriesNumber",
}
"""Fields of a template that identify nobody the files' own names do not, and what they hold."""

IDENTIFYING = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "study_date": "StudyDate",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "description": "SeriesDescription",
}
"""Fields that can identify a patient, and the DICOM attribute each one holds."""

FROM_PATHS = ("folder", "name")
"""Fields that repeat names of folders and files, which are often called after the patient."""

DICOM_TEMPLATE = "{study}/{series}_{modality}{part}"
"""Where a DICOM series goes by default: nothing in it identifies the patient."""

FILE_TEMPLATE = "{folder}/{name}"
"""Where a volume's file goes by default: the tree is kept."""

LONGEST = 120
"""Bytes of one part of a path; with endings and temporary prefixes it stays below the usual 255."""

_HASH_DIGITS = 12
_UNWANTED = re.compile(r"[^\w.-]+")


def pseudonym(text: str, key: bytes | None = None) -> str:
    """A short name that says nothing about what it stands for.

    Args:
        text: a UID or a path.
        key: with it nobody else can find out which text a name belongs to by trying texts.

    Returns:
        12 hexadecimal digits of SHA-256, or of HMAC-SHA-256 where there is a key.
    """
    content = text.encode()
    digest = hmac.new(key, content, hashlib.sha256) if key else hashlib.sha256(content)
    return digest.hexdigest()[:_HASH_DIGITS]


def sanitised(value: str) -> str:
    """A value as a single part of a path: letters and digits of any script, ``.``, ``_``, ``-``.

    Everything else becomes ``_``; no dot or dash at the start, no dot at the end, at most
    ``LONGEST`` bytes; ``unknown`` where nothing is left.
    """
    plain = _UNWANTED.sub("_", unicodedata.normalize("NFC", value)).lstrip(".-")
    return plain.encode()[:LONGEST].decode(errors="ignore").rstrip(".") or "unknown"


def check_template(template: str) -> None:
    """Refuse a template that cannot name results.

    Raises:
        ConfigError: not a relative path, no field, an unknown field or one with a format.
    """
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(
            "is not a template", where="--name", measured=template, remedy=f"{error}"
        ) from error
    fields = [field for _, field, _, _ in parsed if field is not None]
    known = [*FIELDS, *IDENTIFYING]
    faults = [field for field in fields if field not in known]
    if faults or not fields or any(spec or conversion for _, _, spec, conversion in parsed):
        raise ConfigError(
            "the template names no field, an unknown one, or one with a format",
            where="--name",
            measured=template,
            limit=", ".join(f"{{{name}}}" for name in known),
        )
    literal = PurePosixPath(template)
    if literal.is_absolute() or ".." in literal.parts or "\0" in template:
        raise ConfigError(
            "the template leaves the output folder", where="--name", measured=template
        )


def fields_of(template: str) -> set[str]:
    """The names of the fields in a template that ``check_template`` accepts."""
    return {field for _, field, _, _ in string.Formatter().parse(template) if field}


def fill(template: str, values: Mapping[str, str]) -> PurePosixPath:
    """Fill in a template; no value can add or leave a folder, except ``{folder}``, cleaned.

    Args:
        template: one that ``check_template`` accepts.
        values: what its fields hold; ``part`` and ``folder`` may be empty.

    Returns:
        A relative path without an ending.
    """
    clean = {name: sanitised(values.get(name, "")) for name in fields_of(template)}
    if "part" in clean:
        part = values.get("part", "")
        clean["part"] = f"_{sanitised(part)}" if part else ""
    if "folder" in clean:
        folders = PurePosixPath(values.get("folder", "")).parts
        clean["folder"] = "/".join(sanitised(folder) for folder in folders)
    filled = string.Formatter().vformat(template, (), clean)
    # A template's own text is cleaned like any other, and an empty folder leaves no gap.
    return PurePosixPath(*(sanitised(part) for part in filled.split("/") if part))


def confined(root: Path, name: PurePosixPath) -> Path:
    """The path of a result below a folder.

    Raises:
        OutputError: it would leave the folder, through ``..`` or a symbolic link.
    """
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise OutputError(
            "would leave the output folder",
            where=name,
            remedy="Remove the symbolic link, or choose another folder or template",
        )
    return path
