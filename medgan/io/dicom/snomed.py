"""Codes of the retired edition of SNOMED, as those of SNOMED CT that replaced them."""

from pydicom.dataelem import DataElement
from pydicom.sr._snomed_dict import mapping

RETIRED, CURRENT = "SRT", "SCT"
"""Coding Scheme Designators of SNOMED-RT style identifiers and of SNOMED CT concepts.

Source: DICOM PS3.16 section 8 (table 8-1) and annex O (mapping of the codes).
"""


def recode(sequence: DataElement) -> bool:
    """Replace every retired code in a sequence, at any depth, by its successor.

    Args:
        sequence: changed in place.

    Returns:
        Whether no retired code is left.
    """
    complete = True
    for item in sequence.value:
        if str(item.get("CodingSchemeDesignator") or "").strip() == RETIRED:
            successor = mapping[RETIRED].get(str(item.get("CodeValue") or "").strip())
            if successor is None:
                complete = False
            else:
                item.CodeValue, item.CodingSchemeDesignator = successor, CURRENT
        for element in item:
            if element.VR == "SQ":
                complete &= recode(element)
    return complete
