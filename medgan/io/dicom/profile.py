"""Which attributes a de-identified image keeps, and what becomes of the others."""

import copy
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from medgan.io.dicom.uids import keyed_uid

DUMMIES = {"DA": "19000101", "DT": "19000101000000", "TM": "000000"}
"""What stands where there must be a date or a time."""

_DUMMY_TEXT = "REMOVED"
_REPEATING_GROUPS = frozenset([0x5000, 0x6000])


@dataclass(frozen=True)
class Profile:
    """What happens to which attributes, by keyword unless said otherwise.

    Attributes:
        representations: of these value representations, what is not named is removed.
        groups: of these group numbers, what is not named is removed.
        dummy: replaced by something of the same form.
        pseudonym: replaced by what stands for the patient or the study.
        empty: left without a value.
        remove: removed although a code, a number or a sequence.
        keep: kept although text or binary.
        characteristics: kept where patient characteristics are to be retained.
    """

    representations: frozenset[str]
    groups: frozenset[int]
    dummy: frozenset[str]
    pseudonym: frozenset[str]
    empty: frozenset[str]
    remove: frozenset[str]
    keep: frozenset[str]
    characteristics: frozenset[str]


@cache
def basic_profile() -> Profile:
    """The table in ``basic_profile.yaml``."""
    text = files("medgan.io.dicom").joinpath("basic_profile.yaml").read_text(encoding="utf-8")
    return Profile(**{name: frozenset(entries) for name, entries in yaml.safe_load(text).items()})


@dataclass(frozen=True)
class Cleaner:
    """Applies the profile to a data set and to all that is nested in it.

    Attributes:
        key: what new UIDs depend on.
        pseudonyms: by keyword, what replaces the attributes of ``Profile.pseudonym``.
        retained: keywords that stay whatever the profile says.
    """

    key: bytes
    pseudonyms: dict[str, str]
    retained: frozenset[str] = frozenset()

    def clean(self, header: Dataset) -> Dataset:
        """A new data set of what may stay; the old one is not changed."""
        result = Dataset()
        for element in header:
            change = getattr(self, f"_{self._action(element)}")
            cleaned = change(element)
            if cleaned is not None:
                result.add(cleaned)
        return result

    def _action(self, element: DataElement) -> str:
        """What is to be done to an attribute: the name of one of the methods below."""
        keyword, group = element.keyword, element.tag.group
        if keyword in self.retained:
            return "keep"
        if not keyword or element.tag.is_private or group & 0xFF00 in _REPEATING_GROUPS:
            return "remove"
        profile = basic_profile()
        for action in ("dummy", "pseudonym", "empty", "remove", "keep"):
            if keyword in getattr(profile, action):
                return action
        if group in profile.groups or element.VR in profile.representations:
            return "remove"
        if not _is_legal(element):
            return "remove"
        return {"UI": "uid", "SQ": "nested"}.get(element.VR, "keep")

    def _keep(self, element: DataElement) -> DataElement:
        return copy.copy(element)

    def _remove(self, element: DataElement) -> None:
        return None

    def _empty(self, element: DataElement) -> DataElement:
        return DataElement(element.tag, element.VR, [] if element.VR == "SQ" else None)

    def _dummy(self, element: DataElement) -> DataElement:
        return DataElement(element.tag, element.VR, DUMMIES.get(element.VR, _DUMMY_TEXT))

    def _pseudonym(self, element: DataElement) -> DataElement:
        return DataElement(element.tag, element.VR, self.pseudonyms[element.keyword])

    def _uid(self, element: DataElement) -> DataElement:
        several = isinstance(element.value, MultiValue)
        uids = element.value if several else [element.value] if element.value else []
        return DataElement(element.tag, "UI", [keyed_uid(str(uid), self.key) for uid in uids])

    def _nested(self, element: DataElement) -> DataElement:
        return DataElement(element.tag, "SQ", [self.clean(item) for item in element.value])


def _is_legal(element: DataElement) -> bool:
    """Whether what passes for a code or a number is one, and not a text in the wrong place.

    A decimal of more than 16 characters and a code in small letters are faults, but no secret.
    """
    several = isinstance(element.value, MultiValue)
    texts = [str(value) for value in (element.value if several else [element.value]) if value]
    if element.VR == "CS":
        return all(re.fullmatch(r"[\w ]{1,16}", text) for text in texts)
    if element.VR in ("DS", "IS"):
        return all(re.fullmatch(r"[-+.0-9Ee ]+", text) for text in texts)
    return True
