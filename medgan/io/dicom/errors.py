"""What can be wrong with a DICOM series: one class for each fault.

``where`` names files relative to the folder that was searched; tags are given as
``(gggg,eeee) Name``. Neither messages nor fields ever hold a value that could identify a patient.
"""

from pydicom.datadict import dictionary_description, tag_for_keyword

from medgan.errors import DataError, FileError, GeometryError


class DamagedFile(FileError):
    """A DICOM file that cannot be parsed, or lacks what every image has."""


class TruncatedFile(FileError):
    """A file holds fewer pixels than its header declares, or ends within the header."""


class UnsupportedTransferSyntax(FileError):
    """No decoder is known, or none installed, for the way the pixels are coded."""


class DecodingFailed(FileError):
    """Compressed pixels are damaged, or their decoder crashed, hung or ran out of memory."""


class UnsupportedPixels(FileError):
    """Colour, floating point, or a number of bits that CT and MR images do not have."""


class SecondaryCapture(FileError):
    """A picture of a screen, a film or a page, not the scanner's own image."""


class BurnedInAnnotation(FileError):
    """Text is part of the pixels; it may identify the patient and is no anatomy."""


class WrongModality(FileError):
    """Modality and SOP class contradict each other."""


class MissingGeometry(GeometryError):
    """A position, an orientation or a pixel spacing is absent or not a set of finite numbers."""


class InvalidOrientation(GeometryError):
    """The row and column directions are not two unit vectors at right angles."""


class DuplicateSlices(GeometryError):
    """Several images lie at one place, and nothing in the headers tells them apart."""


class MissingSlices(GeometryError):
    """Gaps are whole multiples of the slice distance: images are absent."""


class VariableSpacing(GeometryError):
    """Slices lie at changing distances."""


class GantryTilt(GeometryError):
    """Slices are shifted sideways from one to the next: the voxel axes are not at right angles."""


class UnalignedSlices(GeometryError):
    """Slice positions do not lie on a straight line."""


class LeftoverImages(GeometryError):
    """An image fits no stack of its series: other matrix, orientation, spacing, echo or time."""


class ProjectionImage(GeometryError):
    """A CT localizer: a projection through the patient, not a slice."""


class MissingRescale(DataError):
    """Nothing says how stored values become Hounsfield units."""


class NotHounsfield(DataError):
    """A CT whose values are declared to be something other than Hounsfield units."""


class AmbiguousSeries(DataError):
    """Several series fit the rule; the message lists them."""


class NoSeries(DataError):
    """No series fits the rule; the message lists those there are."""


def tag(keyword: str) -> str:
    """Name an attribute for people: ``(0020,0032) Image Position (Patient)``."""
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(keyword)
    return f"({number >> 16:04X},{number & 0xFFFF:04X}) {dictionary_description(number)}"
