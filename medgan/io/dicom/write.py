"""Writing DICOM: synthetic series beside their source, new series, parametric maps."""

from medgan.io.dicom.derived import (
    Derivation,
    FrameOfReference,
    frame_of_reference,
    write_derived,
)
from medgan.io.dicom.new_series import Identity, write_series
from medgan.io.dicom.parametric_map import write_parametric_map

__all__ = [
    "Derivation",
    "FrameOfReference",
    "Identity",
    "frame_of_reference",
    "write_derived",
    "write_parametric_map",
    "write_series",
]
