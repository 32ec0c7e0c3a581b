"""DICOM series to and from volumes. Importing this package imports pydicom."""

from medgan.io.dicom.choice import SeriesRule, choose
from medgan.io.dicom.index import Index, SeriesEntry, Skipped, index_folder
from medgan.io.dicom.series import DicomSeries, Plane, read_series

__all__ = [
    "DicomSeries",
    "Index",
    "Plane",
    "SeriesEntry",
    "SeriesRule",
    "Skipped",
    "choose",
    "index_folder",
    "read_series",
]
