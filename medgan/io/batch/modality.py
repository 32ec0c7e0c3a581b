"""Of which modality a volume is whose format does not say: asked, read beside it, or plain."""

import numpy as np

from medgan.errors import DataError
from medgan.io.studies import Source, likely_modality
from medgan.io.values import CT_BELOW
from medgan.volumes import Modality, Volume

LOWEST_HU = -3072
"""Below is no CT: scanners pad with -1024 to -3024 HU; phase images of MR go down to -4096."""

OFFSET = 1024
"""What CT is stored with where its rescale is forgotten: water is here and air at 0, as in MR."""

_FEW_VALUES = 8
"""Of so few integers below 256 a scan may consist, but so may a mask in pieces."""


def known_modality(volume: Volume, source: Source, wanted: Modality | None) -> Modality | None:
    """The modality of a volume that was read from a file other than DICOM, unless it is doubtful.

    Args:
        volume: as it was read, without a modality being named.
        source: whether a ``.json`` beside it names one.
        wanted: what the user says; it makes no scan of a mask.

    Returns:
        "LABEL" for a mask or a label map; None where the values fit both CT and MR.
    """
    plain = _plain_modality(volume)
    if (source.modality or plain) == "LABEL":
        return "LABEL"
    return wanted or source.modality or plain


def require_scan(modality: Modality | None, volume: Volume) -> None:
    """Refuse what cannot become a DICOM image of CT or MR.

    Args:
        modality: from ``known_modality``.
        volume: the image.

    Raises:
        DataError: a mask or a label map, or values that fit both CT and MR.
    """
    if modality == "LABEL":
        raise DataError(
            "looks like a mask or a label map, which is no CT or MR image",
            remedy="Convert it to nifti, mha or nrrd",
        )
    if modality is None:
        raise DataError(
            "does not say whether it is CT or MR, and its values leave it open",
            measured=f"{volume.array.min():g} to {volume.array.max():g}",
            limit=f"a minimum of {LOWEST_HU} to {CT_BELOW} (CT), or 0 to {OFFSET - 1} (MR)",
            remedy="Say it with --modality CT or MR",
        )


def _plain_modality(volume: Volume) -> Modality | None:
    if likely_modality(volume) == "LABEL":
        return "LABEL"
    low, high = volume.array.min(), volume.array.max()
    if low < CT_BELOW:
        return "CT" if low >= LOWEST_HU else None
    if low < 0 or high >= OFFSET:
        return None
    return None if high < 256 and len(np.unique(volume.array)) <= _FEW_VALUES else "MR"
