"""Coded concepts, as items of a code sequence."""

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code


def code_item(concept: Code) -> Dataset:
    """An item of a code sequence.

    Args:
        concept: one of ``pydicom.sr.codedict.codes``.

    Source:
        DICOM PS3.3 8.8 (Code Sequence macro).
    """
    item = Dataset()
    item.CodeValue = concept.value
    item.CodingSchemeDesignator = concept.scheme_designator
    item.CodeMeaning = concept.meaning
    return item
